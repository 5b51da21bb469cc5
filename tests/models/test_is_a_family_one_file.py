"""A family of another file registers, and everything that reads the registry takes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.networks.config import model_names, named_config
from models.networks.families import FAMILIES
from models.networks.families.base import register
from models.networks.families.spikformer import Spikformer
from models.networks.stas import STAS
from models.operations import describe
from tests.messages import said
from tests.models.tiny_networks import kept_of, lively, tiny_config


@pytest.fixture
def late_pools() -> Iterator[str]:
    """A family that pools behind the neurons, as a file of a user would say it."""

    class LatePools(Spikformer):
        chooses_pool = False

        def pool(self, config: object, stage: int) -> str:
            return "after_lif"

    register("latepools")(LatePools)
    yield "latepools"
    del FAMILIES["latepools"]


def test_a_new_family_is_named_built_and_listed(late_pools: str) -> None:
    assert f"stas_{late_pools}_4_384" in model_names(late_pools)
    model = lively(tiny_config(family=late_pools))
    output, kept = kept_of(model, torch.full((2, 3, 32, 32), 99.0))
    assert output.logits.shape == (2, 10)
    # What the forward pass records is what a trace lists.
    listed = describe(model.config).tensors.keys() - {"sps.image"}
    assert kept.keys() == listed
    assert "sps.2.unpooled" in listed


def test_a_name_is_not_registered_twice() -> None:
    with pytest.raises(ValueError, match=said("a family twice")):
        register("spikformer")(Spikformer)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_size_of_every_family_can_be_described(family: str) -> None:
    for dataset, sizes in FAMILIES[family].sizes.items():
        for size in sizes:
            config = named_config(f"stas_{family}_{size.blocks}_{size.embed_dim}", dataset)
            assert describe(config).operations


@pytest.mark.parametrize("family", FAMILIES)
def test_its_layers_are_those_of_a_trace(family: str) -> None:
    layers = STAS(tiny_config(family=family)).spiking_layers()
    names = {operation["name"] for operation in describe(tiny_config(family=family)).operations}
    assert {layer.name.split(".")[0] for layer in layers} <= {n.split(".")[0] for n in names}
