"""How long a capture takes: a network's first image, recorded and proven, and a later one.

The first image is what two take less what a later one takes; compare with the plain run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="captures need torch")

import torch
from torch import nn

from models.capturing import capture
from tests.models.any_networks import case, pictures


@pytest.mark.benchmark(group="capture")
@pytest.mark.parametrize("images", [1, 2])
def test_capture_a_convolutional_network(benchmark: Any, tmp_path: Path, images: int) -> None:
    own = case("plain")
    benchmark(capture, own.network, own.images, tmp_path / "t.npz", limit=images, **own.options)


@pytest.mark.benchmark(group="capture")
def test_run_the_same_network_plainly(benchmark: Any) -> None:
    own = case("plain")
    inputs = own.options["prepare"](own.images[:1].float() / 255)

    def run() -> Any:
        for module in (own.network.n1, own.network.n2, own.network.n3):  # type: ignore[attr-defined]
            module.reset()
        return own.network(inputs)

    benchmark(run)


def spikformer() -> nn.Module:
    """Spikformer-2-256 of SpikingJelly, most of whose neurons fire."""
    from spikingjelly.activation_based.model.spikformer import Spikformer

    torch.manual_seed(0)
    net = Spikformer(
        T=4, img_size_h=32, img_size_w=32, patch_size=4, num_classes=10, embed_dims=256, depths=2
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.1, 0.9)
    return net.eval()


@pytest.mark.benchmark(group="capture a Spikformer")
@pytest.mark.parametrize("images", [1, 2, 3])
def test_capture_a_spikformer(benchmark: Any, tmp_path: Path, images: int) -> None:
    own = pictures(3, (3, 32, 32))
    path = tmp_path / "t.npz"
    benchmark.pedantic(capture, (spikformer(), own, path), {"limit": images}, rounds=3)


@pytest.mark.benchmark(group="capture a Spikformer")
def test_run_a_spikformer_plainly(benchmark: Any) -> None:
    from spikingjelly.activation_based import functional

    net, inputs = spikformer(), pictures(1, (3, 32, 32)).float() / 255

    def run() -> Any:
        functional.reset_net(net)
        with torch.no_grad():
            return net(inputs)

    benchmark.pedantic(run, rounds=5)
