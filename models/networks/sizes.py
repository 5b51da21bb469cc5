"""What data sets show, and sizes that families share: published, or where nothing is our choice."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Hold depth, width and heads of a Spikformer."""

    blocks: int
    embed_dim: int
    heads: int


class Dataset(NamedTuple):
    """Describe what a network must know of a data set: its classes, and the images it is shown.

    `sequential`: an image has a picture for each timestep, (timestep, channel, h, w).
    """

    classes: int
    image_channels: int
    image_size: int
    pooled_stages: tuple[int, ...]
    sequential: bool = False


# Heads: 12 on CIFAR for 384 and 8 (8-768: 12) on ImageNet are published for Spikformer, 8 (384: 6,
# 768: 12) for QKFormer, 8 for the Spike-Driven Transformer; elsewhere head_dim 32 is our choice.
CIFAR_SIZES = (
    Size(2, 256, 8),
    Size(4, 256, 8),
    Size(2, 384, 12),
    Size(4, 384, 12),
    Size(2, 512, 16),
)
IMAGENET_SIZES = (Size(8, 384, 8), Size(8, 512, 8), Size(8, 768, 12))
SMALL_SIZES = (Size(2, 32, 1), Size(2, 64, 2), Size(2, 128, 4))
COMPOSED_SIZES = (Size(1, 48, 2), Size(2, 48, 2), Size(3, 48, 2))
RELAY_SIZES = (Size(1, 32, 2), Size(2, 32, 2), Size(4, 32, 2))
DVS_SIZES = (Size(2, 256, 16),)

DATASETS = {
    "cifar10": Dataset(10, 3, 32, (2, 3)),
    "cifar100": Dataset(100, 3, 32, (2, 3)),
    "imagenet": Dataset(1000, 3, 224, (0, 1, 2, 3)),
    "mnist": Dataset(10, 1, 32, (2, 3)),
    "mnist_sequential": Dataset(10, 1, 32, (2, 3), sequential=True),
    "digits": Dataset(10, 1, 16, (2, 3)),
    "digits_sequential": Dataset(10, 1, 16, (2, 3), sequential=True),
    "stream": Dataset(10, 1, 24, (2, 3), sequential=True),
    "clutter": Dataset(10, 1, 24, (2, 3)),
    "pointed": Dataset(10, 1, 24, (2, 3)),
    "relay": Dataset(4, 1, 24, (0, 1, 2), sequential=True),
    "cifar10dvs": Dataset(10, 2, 128, (0, 1, 2, 3), sequential=True),
}
# Data sets whose sizes are our choice, for they are small.
SMALL = ("mnist", "mnist_sequential", "digits", "digits_sequential")
COMPOSED = ("stream", "clutter", "pointed")
