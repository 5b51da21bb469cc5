"""The patch embeddings of QKFormer, as shapes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from models.networks.config import ModelConfig


class Embedding(NamedTuple):
    """Describe a patch embedding.

    channels: in, then out of each 3x3 convolution.
    pooled: whether each of them pools.
    shortcut_from: the layer whose output (0: the input) the shortcut reads.
    """

    channels: tuple[int, ...]
    pooled: tuple[bool, ...]
    shortcut_from: int

    @property
    def shortcut_stride(self) -> int:
        """Return how far the shortcut's 1x1 convolution steps to meet the main path's grid."""
        return 1 << sum(self.pooled[self.shortcut_from :])


def embeddings(config: ModelConfig) -> tuple[Embedding, Embedding, Embedding]:
    """Return the patch embeddings of the three stages.

    The form for large images pools in the first convolutions of a stage (in the first stage twice),
    that for small ones in the last convolution of the later stages.
    """
    widths = tuple(config.size.embed_dim // part for part in (4, 2, 1))
    first, image = widths[0], config.dataset.image_channels
    if 0 in config.dataset.pooled_stages:
        start = Embedding((image, first // 2, first, first), (True, True, False), 1)
        pooled = (True, False)
    else:
        start = Embedding((image, first // 2, first), (False, False), 1)
        pooled = (False, True)
    later = [
        Embedding((before, after, after), pooled, 0) for before, after in itertools.pairwise(widths)
    ]
    return start, later[0], later[1]
