"""The three forms of I-SPS: what is computed once, what is summed, what the blocks are fed."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelError
from models.networks.config import DATASETS
from models.operations import describe
from tests.messages import said
from tests.models.tiny_networks import kept_of, lively, noise, tiny_config

CONVS_OF_FORM = {
    "none": [3, 3, 3, 3, 3],
    "late_sum": [3, 3, 3, 3, 3],
    "early_integration": [1, 1, 1, 1, 1],
    "single_step": [1, 1, 1, 1, 1],
}


def kept(isps: str, **switches: object) -> dict[str, torch.Tensor]:
    return kept_of(lively(tiny_config(halting=False, isps=isps, **switches)), noise(2))[1]


def test_late_sum_adds_the_tokens_of_all_timesteps() -> None:
    tensors = kept("late_sum")
    assert torch.equal(tensors["sps.x"], tensors["sps.3.out"] + tensors["sps.4.out"])
    assert torch.equal(tensors["blocks.0.x"], tensors["sps.x"].sum(0, keepdim=True))
    plain = kept("none")
    for stage in range(5):  # the same weights and norms: the splitting itself is that of SPS
        assert torch.equal(tensors[f"sps.{stage}.out"], plain[f"sps.{stage}.out"])


@pytest.mark.parametrize(("integration", "scale"), [("mean", 3.0), ("sum", 1.0)])
def test_late_sum_feeds_the_mean_or_the_sum(integration: str, scale: float) -> None:
    tensors = kept("late_sum", integration=integration)
    fed = tensors["blocks.0.x"] / scale
    middle = tensors["blocks.0.mlp.x"] - tensors["blocks.0.attn.proj_out"]
    assert torch.allclose(middle, fed.expand_as(middle), atol=1e-6)


def test_single_step_fires_once_and_later_forms_t_times() -> None:
    single, early = kept("single_step"), kept("early_integration")
    assert len(single["sps.0.out"]) == len(single["blocks.0.x"]) == 1
    assert len(early["sps.0.out"]) == 3
    assert len(early["blocks.0.x"]) == 1
    assert torch.equal(single["sps.0.out"][0], early["sps.0.out"][0])
    assert len(single["blocks.0.attn.q"]) == 3


@pytest.mark.parametrize("form", CONVS_OF_FORM)
@pytest.mark.parametrize("dataset", ["cifar10", "mnist_sequential"])
def test_the_operations_run_their_convolutions_as_often_as_they_say(
    form: str, dataset: str
) -> None:
    config = tiny_config(halting=False, isps=form, dataset=DATASETS[dataset])
    operations = describe(config).operations
    convs = [o["timesteps"] for o in operations if o["kind"] == "conv2d"]
    expected = list(CONVS_OF_FORM[form])
    if dataset == "mnist_sequential":
        expected[0] = 3  # what is shown changes: the first convolution cannot be shared
    assert convs == expected


@pytest.mark.parametrize("form", CONVS_OF_FORM)
def test_a_constant_sequence_is_the_still_image(form: str) -> None:
    still = lively(tiny_config(isps=form, dataset=DATASETS["mnist"]))
    moving = lively(tiny_config(isps=form, dataset=DATASETS["mnist_sequential"]))
    moving.load_state_dict(still.state_dict())
    images = noise(2, still.config)
    with torch.no_grad():
        expected = still(images).logits
        logits = moving(images.unsqueeze(1).expand(-1, 3, -1, -1, -1)).logits
    assert torch.allclose(logits, expected, atol=1e-5)


def test_a_sequence_of_another_length_is_refused() -> None:
    model = lively(tiny_config(dataset=DATASETS["mnist_sequential"]))
    with pytest.raises(ModelError, match=said("a sequence of another length")):
        model(torch.zeros(2, 4, 1, 32, 32))
    with pytest.raises(ModelError, match=said("a sequence of another length")):
        model(torch.zeros(2, 1, 32, 32))
