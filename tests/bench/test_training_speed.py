"""How long does a step of training take, without halting and with it?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from models.halting.losses import LossConfig, total_loss
from models.networks.config import named_config
from models.networks.stas import STAS
from models.neurons.base import fused_kernels
from models.neurons.lif import LIF
from models.threads import keep_freed_memory, use_threads

IMAGES = 100


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    use_threads(request.param)
    keep_freed_memory()
    yield request.param
    use_threads(before)


@pytest.mark.benchmark(group="a training step of 2-128 on 100 digits of 32 x 32, T = 4, by threads")
@pytest.mark.parametrize(
    ("network", "path"),
    [
        ("spikformer_2_128", "layers"),
        ("stas_spikformer_2_128", "layers"),
        ("stas_spikformer_2_128", "halting"),
    ],
)
def test_a_step(benchmark: Any, network: str, path: str, threads: int) -> None:
    torch.manual_seed(0)
    model = STAS(named_config(network, "mnist")).to(memory_format=torch.channels_last).train()
    pixels = 255.0 * torch.rand(IMAGES, 1, 32, 32)
    labels = torch.randint(0, 10, (IMAGES,))

    def step() -> None:
        output = model(pixels, path=path)
        total_loss(output, labels, model.config, LossConfig()).backward()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="neurons and their gradient, (4, 50, 48, 24, 24), one thread")
@pytest.mark.parametrize("fused", [False, True])
def test_neurons(benchmark: Any, fused: bool) -> None:
    torch.manual_seed(0)
    use_threads(1)
    current = torch.randn(4, 50, 48, 24, 24).requires_grad_()

    def fire() -> None:
        with fused_kernels(LIF) if fused else contextlib.nullcontext():
            LIF.fire(current)[0].sum().backward()

    benchmark.pedantic(fire, rounds=7, warmup_rounds=1)
