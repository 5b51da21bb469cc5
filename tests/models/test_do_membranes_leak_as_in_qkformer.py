"""QKFormer's own code runs one layer's neurons over the images of a batch: the switch does too."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from spikingjelly.activation_based import neuron

from models.errors import ModelError
from models.networks.config import named_config
from models.networks.layers import Context
from models.networks.probes import SILENT
from models.networks.rows import Rows
from models.networks.spikformer import fire_across
from models.networks.stas import STAS
from models.neurons.lif import LIF
from tests.messages import said
from tests.models.tiny_networks import lively

CONFIG = named_config("qkformer_4_128", "digits", 3)
LEAKING = dataclasses.replace(CONFIG, membrane_leak=True)


def test_the_neurons_are_those_of_spikingjelly_over_timesteps_times_images() -> None:
    torch.manual_seed(0)
    current = 2.0 * torch.randn(3, 2, 5, 8)  # timestep, image, token, channel
    twin = neuron.LIFNode(tau=2.0, detach_reset=True, step_mode="m")
    wanted = twin(current.flatten(0, 1))  # as the repository hands it over
    context = Context(Rows(3, 2, 5, neuron=LIF), {}, SILENT)
    found = fire_across(current.view(-1, 8), context, "proj")
    assert torch.equal(found, wanted.reshape(-1, 8))


def test_an_image_depends_on_its_batch_with_the_leak_alone() -> None:
    torch.manual_seed(1)
    pixels = torch.randint(0, 256, (3, 1, 16, 16)).float()
    plain, leaking = lively(CONFIG).eval(), STAS(LEAKING).eval()
    leaking.load_state_dict(plain.state_dict())
    with torch.no_grad():
        alone, together = (
            torch.stack([m(p)[0][-1] for m in (plain, leaking)]) for p in (pixels[2:], pixels)
        )
    assert torch.allclose(alone[0], together[0], atol=1e-5)
    assert not torch.allclose(alone[1], together[1], atol=1e-3)


def test_it_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(ModelError, match=said("a leak of another family")):
        dataclasses.replace(named_config("spikformer_2_32", "digits"), membrane_leak=True)
    with pytest.raises(ModelError, match=said("a leak timestep by timestep")), torch.no_grad():
        STAS(LEAKING)(torch.zeros(1, 1, 16, 16), path="serial")
