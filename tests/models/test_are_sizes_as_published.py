"""Parameters and dense MACs against published counts; listed operations against what runs."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import ModelError
from models.networks.config import Dataset, ModelConfig, Size, model_names, named_config
from models.networks.layers import SpikingConv, SpikingLinear
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.networks.stas import STAS
from models.networks.weights import weight_tensors
from models.operations import describe
from models.operations.topology import Topology
from tests.models.tiny_networks import lively, noise, tiny_config

MILLION = 10**6
# Millions of parameters, with the biases and LayerNorms of the original repository (docs/stas.md).
PUBLISHED_MILLIONS = {
    ("spikformer_2_256", "cifar10"): 2.57,
    ("spikformer_4_256", "cifar10"): 4.16,
    ("spikformer_2_384", "cifar10"): 5.77,
    ("spikformer_4_384", "cifar10"): 9.33,
    ("spikformer_2_512", "cifar10"): 10.24,
    ("spikformer_8_384", "imagenet"): 16.8,
    ("spikformer_8_512", "imagenet"): 29.7,
    ("spikformer_8_768", "imagenet"): 66.4,
    ("spikingformer_4_384", "cifar10"): 9.32,
    ("spikingformer_8_384", "imagenet"): 16.81,
    ("spikingformer_8_512", "imagenet"): 29.68,
    ("spikingformer_8_768", "imagenet"): 66.34,
    ("sdt_8_384", "imagenet"): 16.81,
    ("sdt_8_512", "imagenet"): 29.68,
    ("sdt_8_768", "imagenet"): 66.34,
    ("qkformer_4_384", "cifar100"): 6.74,
    ("qkformer_10_384", "imagenet"): 16.47,
    ("qkformer_10_512", "imagenet"): 29.08,
    ("qkformer_10_768", "imagenet"): 64.96,
}
DENSE_MACS = {
    ("spikformer_4_384", "cifar10"): 934.0,
    ("spikformer_2_512", "cifar10"): 1243.3,
    ("spikformer_8_384", "imagenet"): 4896.4,
    ("spikformer_8_512", "imagenet"): 8570.9,
    ("spikformer_8_768", "imagenet"): 18983.4,
    ("spikingformer_4_384", "cifar10"): 934.0,
    ("spikingformer_8_512", "imagenet"): 8570.9,
}


def dense_macs(topology: Topology) -> int:
    """Multiply-accumulates of one full timestep, whatever halts; the head is left out."""
    return sum(_macs(operation) for operation in topology.operations)


def _macs(operation: dict[str, Any]) -> int:
    """Multiply-accumulates of one timestep of an operation, every row computed."""
    shapes = operation["shapes"]
    if operation["kind"] == "conv2d":
        taps = shapes["kernel"][0] * shapes["kernel"][1] * shapes["in_channels"]
        return int(taps * shapes["out_channels"] * shapes["out_grid"][0] * shapes["out_grid"][1])
    if operation["kind"] == "linear":
        return int(shapes["in_features"] * shapes["out_features"] * shapes["rows"])
    if operation["kind"] in ("attention_scores", "attention_context"):
        return int(shapes["heads"] * shapes["head_dim"] * shapes["tokens"] ** 2)
    return 0


@pytest.mark.parametrize(("name", "dataset"), DENSE_MACS)
def test_dense_macs_of_a_timestep(name: str, dataset: str) -> None:
    macs = dense_macs(describe(named_config(name, dataset)))
    assert macs / MILLION == pytest.approx(DENSE_MACS[name, dataset], abs=0.06)


@pytest.mark.parametrize(("name", "dataset"), PUBLISHED_MILLIONS)
def test_parameters_are_the_published_less_what_is_never_used(name: str, dataset: str) -> None:
    config = named_config(name, dataset)
    with torch.device("meta"):
        model = STAS(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    published = PUBLISHED_MILLIONS[name, dataset]
    known = (count + unused(config)) / MILLION
    assert known == pytest.approx(published, abs=0.06 if dataset == "imagenet" else 0.007)


def test_4_384_has_the_two_counts_that_are_known() -> None:
    config = named_config("spikformer_4_384", "cifar10")
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in STAS(config).parameters())
    assert count == 9_310_906
    assert count + unused(config) == 9_330_874


def unused(config: ModelConfig) -> int:
    """Two LayerNorms a block that no forward pass calls, and the biases ahead of batch-norms."""
    dim, blocks = config.size.embed_dim, config.size.blocks
    mlp = 4 * dim + dim
    if config.family == "spikformer":
        return blocks * (2 * 2 * dim + mlp + 4 * dim)
    if config.family == "spikingformer":  # LayerNorms are counted there too; q, k, v have no bias
        return blocks * (2 * 2 * dim + mlp + dim)
    if config.family == "sdt":
        return sum(config.stage_channels[:4]) + blocks * (mlp + dim)
    return 6 * sum(
        depth * width
        for depth, width in zip(
            (*config.earlier_blocks, blocks), (dim // 4, dim // 2, dim), strict=True
        )
    )


def test_the_patch_splitting_of_4_384_has_the_published_macs() -> None:
    operations = describe(named_config("spikformer_4_384", "cifar10")).operations
    macs = [_macs(each) for each in operations if each["kind"] == "conv2d"]
    assert [round(m / MILLION, 1) for m in macs] == [1.3, 42.5, 169.9, 169.9, 84.9]


@pytest.mark.parametrize("name", model_names())
def test_every_named_model_has_a_data_set_and_a_consistent_list(name: str) -> None:
    found = 0
    for dataset in ("cifar10", "cifar100", "imagenet", "mnist", "stream", "relay"):
        try:
            config = named_config(name, dataset)
        except ModelError:
            continue
        found += 1
        topology = describe(config)
        known = set(topology.tensors) - {o["output"] for o in topology.operations}
        for operation in topology.operations:
            assert operation["input"] in known
            assert operation["second_input"] in known | {None}
            known.add(operation["output"])
        assert set(topology.tensors) <= known
    assert found


class RowCounter(Probe):
    """Counts the rows or pixels that every layer computes, by the name of its weights."""

    def __init__(self, model: STAS) -> None:
        self.names = {layer: name for name, layer in model.named_modules()}
        self.rows: Counter[str] = Counter()

    def before_norm(
        self,
        layer: SpikingConv | SpikingLinear,
        current: torch.Tensor,
        timesteps: int,
        rows: Rows | None,
    ) -> None:
        inner = "conv" if rows is None else "linear"
        sums = current[:, :, 0] if rows is None else current[:, 0]
        self.rows[f"{self.names[layer]}.{inner}.weight"] += sums.numel()


RUN = {
    "stas": tiny_config(),
    "isps": tiny_config(halting=False),
    "baseline": tiny_config(halting=False, isps=False),
    "sps_halting_after_lif": tiny_config(isps=False, pool="after_lif"),
    "late": tiny_config(isps="late_sum"),
    "single": tiny_config(isps="single_step", halting=False),
    "spikingformer": tiny_config(family="spikingformer"),
    "sdt": tiny_config(family="sdt"),
    "qkformer": tiny_config(family="qkformer"),
    "qkformer_baseline": tiny_config(family="qkformer", isps=False, halting=False),
}


@pytest.mark.parametrize("config", RUN.values(), ids=RUN)
def test_what_is_listed_is_what_runs(config: ModelConfig) -> None:
    """Every convolution and linear layer computes as many rows as its operation lists."""
    model, images = lively(config), 2
    probe = RowCounter(model)
    with torch.no_grad():
        active = model(noise(images), probe, rows="masked").active
    rows = probe.rows
    weights = weight_tensors(model)
    weighted = [o for o in describe(config).operations if o["kind"] in ("conv2d", "linear")]
    assert len(weighted) == len(rows) == len(weights) - 1
    for operation, (name, ran) in zip(weighted, rows.items(), strict=True):
        shapes = operation["shapes"]
        if operation["kind"] == "conv2d":
            listed = math.prod(shapes["out_grid"])
            size = [shapes["out_channels"], shapes["in_channels"], *shapes["kernel"]]
        else:
            listed = shapes["rows"]
            size = [shapes["out_features"], shapes["in_features"]]
        assert ran == images * operation["timesteps"] * listed, name
        assert list(weights[name].shape) == size, name
    assert (active is not None) == config.halts


def convolution_macs(model: nn.Module, images: torch.Tensor) -> int:
    """Multiply-accumulates of all convolutions of one forward pass, counted by hooks."""
    counted = 0

    def count(module: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(images)
    return counted


def of_spikingjelly(family: str) -> tuple[nn.Module, ModelConfig]:
    """SpikingJelly's network of a family, and the config of ours."""
    from spikingjelly.activation_based.model.qkformer import QKFormer
    from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
    from spikingjelly.activation_based.model.spikformer import spikformer_cifar10

    dataset, size = Dataset(1000, 3, 64, (0, 1, 2, 3)), Size(2, 64, 4)
    if family == "spikformer":
        return spikformer_cifar10(T=1), named_config("spikformer_4_384", "cifar10", 1)
    if family == "sdt":
        theirs = SpikeDrivenTransformer(T=1, embed_dims=64, num_heads=4, depths=2)
        return theirs, ModelConfig("x", size, dataset, 1, family=family)
    theirs = QKFormer(T=1, embed_dims=64, num_heads=(4, 4, 4), depths=(1, 1, 2))
    return theirs, ModelConfig("x", size, dataset, 1, family=family, earlier_blocks=(1, 1))


@pytest.mark.parametrize("family", ["spikformer", "sdt", "qkformer"])
def test_spikingjellys_families_have_as_many_macs_and_parameters(family: str) -> None:
    theirs, config = of_spikingjelly(family)
    products = 0 if family == "sdt" else 2 * config.size.blocks
    attention = products * config.tokens**2 * config.size.embed_dim
    counted = convolution_macs(theirs, noise(1, config) / 256.0)
    assert counted + attention == dense_macs(describe(config))
    biases = sum(
        module.bias.numel()
        for module in theirs.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d) and module.bias is not None
    )
    ours = sum(p.numel() for p in STAS(config).parameters())
    assert ours + biases == sum(p.numel() for p in theirs.parameters())
