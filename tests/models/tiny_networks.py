"""Small networks and a probe that keeps everything, for the tests of the PyTorch side."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from models.data.images import Images, sample_images
from models.networks.config import DATASETS, HaltingConfig, ModelConfig, Size
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.networks.stas import STAS, Output
from models.networks.weights import round_weights

TINY = Size(2, 32, 2)


def tiny_config(
    *, halting: bool | HaltingConfig = True, isps: bool | str = True, **switches: object
) -> ModelConfig:
    """2 blocks of 32 channels on 32x32 pictures, 64 tokens, T = 3; `isps` True is the default form,
    `halting` True the two-dimensional one.
    """
    if isinstance(halting, bool):
        granularity = "two_dimensional" if halting else "none"
        halting = HaltingConfig(granularity, gamma=1.0, beta=-1.5)
    if isinstance(isps, bool):
        isps = "early_integration" if isps else "none"
    if switches.get("family") == "qkformer":
        switches.setdefault("earlier_blocks", (1, 1))
    config = ModelConfig(
        name="tiny",
        size=TINY,
        dataset=DATASETS["cifar10"],
        timesteps=3,
        isps=isps,
        halting=halting,
    )
    return dataclasses.replace(config, **switches)  # type: ignore[arg-type]


def lively(config: ModelConfig, seed: int = 0) -> STAS:
    """A network in evaluation mode whose neurons fire: random weights on grids, norms measured on
    noise.
    """
    torch.manual_seed(seed)
    model = STAS(config)
    with torch.no_grad():
        for layer in model.spiking_layers():
            layer.norm.weight.fill_(1.0).add_(0.2 * torch.randn(layer.norm.num_features))
            layer.norm.bias.fill_(0.7).add_(0.5 * torch.randn(layer.norm.num_features))
        round_weights(model)
        for layer in model.spiking_layers():
            layer.norm.momentum = None
        model.train()
        model(noise(4, config, seed=seed + 1), path="layers")
    return model.eval()


def noise(count: int, config: ModelConfig | None = None, seed: int = 0) -> Tensor:
    """Random pixels 0..255 (image, [timestep,] channel, h, w)."""
    dataset = DATASETS["cifar10"] if config is None else config.dataset
    generator = torch.Generator().manual_seed(seed)
    side = (dataset.image_size, dataset.image_size)
    times = (config.timesteps,) if config is not None and dataset.sequential else ()
    shape = (count, *times, dataset.image_channels, *side)
    return torch.randint(0, 256, shape, generator=generator).float()


def pictures(count: int) -> Images:
    """Real pictures of CIFAR-10."""
    return sample_images("cifar10", count)


class Keeper(Probe):
    """Keeps every recorded tensor as (timestep, image, row, channel)."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Tensor]] = {}
        self.masks: dict[int, list[Tensor]] = {}

    def record(self, name: str, values: Tensor, rows: Rows) -> None:
        self.parts.setdefault(name, []).append(rows.restore(values).detach())

    def record_maps(self, name: str, maps: Tensor) -> None:
        self.parts.setdefault(name, []).append(maps.flatten(3).transpose(2, 3).detach())

    def record_active(self, block: int, active: Tensor) -> None:
        self.masks.setdefault(block, []).append(active)

    def tensors(self) -> dict[str, Tensor]:
        """All timesteps of each tensor."""
        return {name: torch.cat(parts) for name, parts in self.parts.items()}


def kept_of(model: STAS, images: Tensor, **options: Any) -> tuple[Output, dict[str, Tensor]]:
    """What a network gives without gradients, and every tensor that it records on its way."""
    keeper = Keeper()
    with torch.no_grad():
        output = model(images, keeper, **options)
    return output, keeper.tensors()
