"""Does a network's self-attention take its products in the order of the original?"""

from __future__ import annotations

import dataclasses

import pytest

from models.errors import ModelError
from models.networks.config import named_config
from tests.messages import said

ORIGINALS = {
    ("spikformer_4_384", "cifar10"): "scores_first",
    ("spikformer_8_512", "imagenet"): "key_values_first",
    ("spikingformer_4_384", "cifar10"): "scores_first",
    ("spikingformer_8_512", "imagenet"): "key_values_first",
    ("qkformer_4_384", "cifar100"): "key_values_first",
    ("qkformer_10_512", "imagenet"): "key_values_first",
}


@pytest.mark.parametrize(("name", "dataset"), ORIGINALS)
def test_it_is_that_of_the_original_at_each_size(name: str, dataset: str) -> None:
    assert named_config(name, dataset).order_of_attention == ORIGINALS[name, dataset]


def test_a_switch_chooses_another() -> None:
    config = named_config("spikformer_4_384", "cifar10")
    other = dataclasses.replace(config, attention_order="key_values_first")
    assert other.order_of_attention == "key_values_first"
    with pytest.raises(ModelError, match=said("an unknown order of attention")):
        dataclasses.replace(config, attention_order="softmax")
