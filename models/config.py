"""The switches of a network: one frozen dataclass, built from a name such as
`stas_spikformer_4_384`.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import NamedTuple

from models.errors import ModelError

ISPS_FORMS = ("none", "early_integration")
GRANULARITIES = ("none", "two_dimensional")
PLANNED = ("late_sum", "single_step", "block", "timestep")


class Size(NamedTuple):
    """Depth, width and heads of a Spikformer."""

    blocks: int
    embed_dim: int
    heads: int


class Dataset(NamedTuple):
    """What a network must know of a data set: its classes, and the images it is shown."""

    classes: int
    image_channels: int
    image_size: int
    pooled_stages: tuple[int, ...]


# Heads: 12 on CIFAR for 384 and 8 (8-768: 12) on ImageNet are published; elsewhere head_dim 32 is
# our choice.
CIFAR_SIZES = (
    Size(2, 256, 8),
    Size(4, 256, 8),
    Size(2, 384, 12),
    Size(4, 384, 12),
    Size(2, 512, 16),
)
IMAGENET_SIZES = (Size(8, 384, 8), Size(8, 512, 8), Size(8, 768, 12))
MNIST_SIZES = (Size(2, 128, 4),)

DATASETS = {
    "cifar10": Dataset(10, 3, 32, (2, 3)),
    "cifar100": Dataset(100, 3, 32, (2, 3)),
    "imagenet": Dataset(1000, 3, 224, (0, 1, 2, 3)),
    "mnist": Dataset(10, 1, 32, (2, 3)),
}
SIZES_OF_DATASET = {
    "cifar10": CIFAR_SIZES,
    "cifar100": CIFAR_SIZES,
    "imagenet": IMAGENET_SIZES,
    "mnist": MNIST_SIZES,
}


@dataclass(frozen=True)
class HaltingConfig:
    """The switches of A-SSA's halting; `learned` makes gamma and beta parameters of the network."""

    granularity: str = "none"
    gamma: float = 1.0
    beta: float = -4.0
    learned: bool = False
    eps: float = 0.01
    score: str = "channel0"


@dataclass(frozen=True)
class ModelConfig:
    """Everything that shapes a network.

    `isps`: form of I-SPS; `integration`: `mean` feeds the later convolutions sum/T, so that they
    see the scale of one spike map, `sum` the graded map itself. `pool`: max-pooling before the LIF
    (SpikingJelly) or after it (the original repository). `pooled_stages`: SPS stages that halve the
    grid. A pixel enters as (value * pixel_scale - image_mean) / image_std.
    """

    name: str
    size: Size
    dataset: Dataset
    timesteps: int = 4
    mlp_ratio: int = 4
    isps: str = "none"
    integration: str = "mean"
    pool: str = "before_lif"
    halting: HaltingConfig = field(default_factory=HaltingConfig)
    pixel_scale: float = 1.0 / 256.0
    image_mean: tuple[float, ...] = ()
    image_std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that no network can have."""
        _one_of("isps", self.isps, ISPS_FORMS)
        _one_of("halting granularity", self.halting.granularity, GRANULARITIES)
        _one_of("integration", self.integration, ("mean", "sum"))
        _one_of("pool", self.pool, ("before_lif", "after_lif"))
        _one_of("halting score", self.halting.score, ("channel0", "mean"))
        if not 1 <= self.timesteps <= 64:
            raise ModelError(f"timesteps is {self.timesteps}; it must lie in 1..64")
        if not 0.0 < self.halting.eps < 1.0:
            raise ModelError(f"halting eps is {self.halting.eps}; it must lie between 0 and 1")
        if self.size.embed_dim % self.size.heads or self.size.embed_dim % 8:
            raise ModelError(
                f"embed_dim is {self.size.embed_dim}; it must be a multiple of 8 and of heads "
                f"({self.size.heads})"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the token grid."""
        side = self.dataset.image_size >> len(self.dataset.pooled_stages)
        return side, side

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.size.embed_dim // self.size.heads

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Output channels of the five SPS stages; the last is the relative position convolution."""
        dim = self.size.embed_dim
        return dim // 8, dim // 4, dim // 2, dim, dim

    @property
    def halts(self) -> bool:
        """Whether tokens halt."""
        return self.halting.granularity != "none"

    def baseline(self) -> ModelConfig:
        """The twin without I-SPS and without halting: the same weights fit it."""
        return dataclasses.replace(
            self,
            name=self.name.removeprefix("stas_"),
            isps="none",
            halting=dataclasses.replace(self.halting, granularity="none", learned=False),
        )


def model_names() -> tuple[str, ...]:
    """Every name that `named_config` knows."""
    sizes = sorted({size[:2] for group in SIZES_OF_DATASET.values() for size in group})
    return tuple(f"{prefix}spikformer_{b}_{d}" for prefix in ("stas_", "") for b, d in sizes)


def named_config(name: str, dataset: str, timesteps: int = 4) -> ModelConfig:
    """The network `name` for `dataset`; raises ModelError for a name or a pairing that does not
    exist.
    """
    if dataset not in DATASETS:
        raise ModelError(_unknown("dataset", dataset, tuple(DATASETS)))
    if name not in model_names():
        raise ModelError(_unknown("model", name, model_names()))
    base = name.removeprefix("stas_")
    for size in SIZES_OF_DATASET[dataset]:
        if base == f"spikformer_{size.blocks}_{size.embed_dim}":
            break
    else:
        fitting = ", ".join(f"{s.blocks}_{s.embed_dim}" for s in SIZES_OF_DATASET[dataset])
        raise ModelError(f"model {name} has no form for {dataset}; its sizes are {fitting}")
    plain = ModelConfig(name=name, size=size, dataset=DATASETS[dataset], timesteps=timesteps)
    if base == name:
        return plain
    return dataclasses.replace(
        plain, isps="early_integration", halting=HaltingConfig(granularity="two_dimensional")
    )


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value in PLANNED and value not in known:
        raise ModelError(f"{what} {value!r} is not built yet; built are {', '.join(known)}")
    if value not in known:
        raise ModelError(_unknown(what, value, known))


def _unknown(what: str, value: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(value, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {value!r}{hint} Known: {', '.join(known)}"
