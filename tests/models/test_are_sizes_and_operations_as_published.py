"""Parameters and dense MACs against published counts; listed operations against what runs."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from models.config import ModelConfig, model_names, named_config
from models.errors import ModelError
from models.operations import describe
from models.stas import STAS
from models.weights import weight_tensors
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
}
DENSE_MACS = {
    ("spikformer_4_384", "cifar10"): 934.0,
    ("spikformer_2_512", "cifar10"): 1243.3,
    ("spikformer_8_384", "imagenet"): 4896.4,
    ("spikformer_8_512", "imagenet"): 8570.9,
    ("spikformer_8_768", "imagenet"): 18983.4,
}


@pytest.mark.parametrize(("name", "dataset"), DENSE_MACS)
def test_dense_macs_of_a_timestep(name: str, dataset: str) -> None:
    macs = describe(named_config(name, dataset)).dense_macs()
    assert macs / MILLION == pytest.approx(DENSE_MACS[name, dataset], abs=0.06)


@pytest.mark.parametrize(("name", "dataset"), PUBLISHED_MILLIONS)
def test_parameters_are_the_published_less_what_is_never_used(name: str, dataset: str) -> None:
    config = named_config(name, dataset)
    with torch.device("meta"):
        model = STAS(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    published = PUBLISHED_MILLIONS[name, dataset]
    known = (count + unused(config)) / MILLION
    assert known == pytest.approx(published, abs=0.06 if dataset == "imagenet" else 0.006)


def test_4_384_has_the_two_counts_that_are_known() -> None:
    config = named_config("spikformer_4_384", "cifar10")
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in STAS(config).parameters())
    assert count == 9_310_906
    assert count + unused(config) == 9_330_874


def unused(config: ModelConfig) -> int:
    """Two LayerNorms a block that no forward pass calls, and the biases ahead of batch-norms."""
    dim = config.size.embed_dim
    layer_norms = 2 * 2 * dim
    biases = 4 * dim + 4 * dim + dim
    return config.size.blocks * (layer_norms + biases)


def test_the_patch_splitting_of_4_384_has_the_published_macs() -> None:
    operations = describe(named_config("spikformer_4_384", "cifar10")).operations
    macs = [
        math.prod(o["shapes"]["kernel"] + o["shapes"]["out_grid"])
        * o["shapes"]["in_channels"]
        * o["shapes"]["out_channels"]
        for o in operations
        if o["kind"] == "conv2d"
    ]
    assert [round(m / MILLION, 1) for m in macs] == [1.3, 42.5, 169.9, 169.9, 84.9]


@pytest.mark.parametrize("name", model_names())
def test_every_named_model_has_a_data_set_and_a_consistent_list(name: str) -> None:
    found = 0
    for dataset in ("cifar10", "cifar100", "imagenet", "mnist"):
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


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(),
        tiny_config(halting=False),
        tiny_config(halting=False, isps=False),
        tiny_config(isps=False, pool="after_lif"),
    ],
    ids=["stas", "isps", "baseline", "sps_halting_after_lif"],
)
def test_what_is_listed_is_what_runs(config: ModelConfig) -> None:
    """Every convolution and linear layer computes as many rows as its operation lists."""
    model = lively(config)
    images = 2
    rows: Counter[str] = Counter()
    hooks = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):

            def count(module: Any, inputs: Any, output: torch.Tensor, name: str = name) -> None:
                rows[f"{name}.weight"] += output[:, 0].numel()

            hooks.append(layer.register_forward_hook(count))
    for layer in model.spiking_layers():
        if hasattr(layer, "linear"):

            def seen(module: Any, inputs: Any, output: torch.Tensor) -> None:
                rows[f"{modules[module]}.linear.weight"] += len(output)

            hooks.append(layer.register_forward_hook(seen))
    modules = {module: name for name, module in model.named_modules()}
    with torch.no_grad():
        active = model(noise(images), rows="masked").active
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


def test_spikingjellys_own_counter_agrees_on_dense_macs() -> None:
    from spikingjelly.activation_based.model.spikformer import spikformer_cifar10

    theirs = spikformer_cifar10(T=1).eval()
    counted = 0

    def count(module: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    for module in theirs.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        theirs(noise(1) / 256.0)
    topology = describe(named_config("spikformer_4_384", "cifar10"))
    attention = 4 * 2 * 64 * 64 * 384
    assert counted + attention == topology.dense_macs()
