"""NaN and infinity in weights, pixels and sums, and pictures of a wrong size: one message each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.errors import ModelError
from models.networks.weights import load_weights
from tests.messages import said
from tests.models.tiny_networks import lively, noise, tiny_config


def test_weights() -> None:
    model = lively(tiny_config())
    state = model.state_dict() | {"head.weight": torch.full_like(model.head.weight, torch.inf)}
    with pytest.raises(ModelError, match=said("weights that are infinite")):
        load_weights(model, state, Path("a.safetensors"))


def test_pixels() -> None:
    pixels = noise(2)
    pixels[1, 0, 3, 3] = torch.nan
    with pytest.raises(ModelError, match=said("pixels that are no numbers")):
        lively(tiny_config())(pixels)


def test_sums_that_neurons_would_hide() -> None:
    """A neuron whose current is NaN never fires: the logits alone would look sound."""
    model = lively(tiny_config()).eval()
    model.blocks[1].attn.q.linear.weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match=said("sums that are no numbers")):
        model(noise(2))


def test_pictures_of_a_wrong_size() -> None:
    with pytest.raises(ModelError, match=said("pictures of a wrong size")):
        lively(tiny_config())(noise(2)[..., :-1])
