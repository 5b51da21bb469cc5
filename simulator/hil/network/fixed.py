"""A STAS Spikformer in fixed point: what the RTL and its twin compute with.

Batch-norms need no multiplier. With v = scale * u a neuron's membrane is counted in weights:
u' = (u + sum + bias) / 2 fires at 1 / scale, so that a channel has a bias and a threshold of its
own, and the scale is gone. A negative scale turns the channel's weights about.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.errors import DeviceError

SCORE_BITS = 16
"""Bits behind the point of a halting score: 1 is 1 << SCORE_BITS."""
WEIGHT_FRACTION, ATTENTION_FRACTION = 2, 4
"""Bits behind the point of a membrane, in weights and in attention's sums."""
ATTENTION_THRESHOLD = 4 << ATTENTION_FRACTION
"""0.5 / 0.125: the attention's neurons fire at 0.5, its sums are scaled by 0.125."""
BLOCK_LAYERS = ("q", "k", "v", "proj", "fc1", "fc2")


class FixedLayer(NamedTuple):
    """Hold weights, int (input, output) of 8 bits, inputs tap-major for a convolution.

    bias: (output,), in weights. threshold: (output,), WEIGHT_FRACTION bits behind the point.
    """

    weights: Ints
    bias: Ints
    threshold: Ints


class FixedStage(NamedTuple):
    """Hold a 3x3 convolution of the patch splitting; a pool or not, then neurons.

    `integrated`: the neurons run for all timesteps on a constant current, and their spikes are
    counted; else they run once.
    """

    layer: FixedLayer
    pooled: bool
    integrated: bool


class FixedNetwork(NamedTuple):
    """Hold a network with halting granularity two_dimensional (or none), early integration.

    `side`: of the square image; `scores` int (value,): halting score of each value of channel 0 of
    the stream, None where nothing halts; `limit`: accumulated score at which a token halts. Logits
    are (head @ field << head_shift) + head_bias, with the field the weighted sum over tokens.
    `logit_unit`: the value of 1 of a logit.
    """

    name: str
    side: int
    timesteps: int
    heads: int
    stages: tuple[FixedStage, ...]
    blocks: tuple[dict[str, FixedLayer], ...]
    scores: Ints | None
    limit: int
    head: Ints
    head_shift: Ints
    head_bias: Ints
    logit_unit: float

    @property
    def dim(self) -> int:
        """Channels of a token."""
        return int(self.stages[-1].layer.bias.shape[0])

    @property
    def tokens(self) -> int:
        """Tokens of an image."""
        side = self.side >> sum(stage.pooled for stage in self.stages)
        return side * side


def check_sums(name: str, layer: FixedLayer, most: int, sum_bits: int) -> None:
    """Raise DeviceError for a layer one of whose sums could wrap, with inputs of 0 to `most`."""
    positive = np.where(layer.weights > 0, layer.weights, 0).sum(axis=0) * most
    negative = np.where(layer.weights < 0, layer.weights, 0).sum(axis=0) * most
    limit = 1 << (sum_bits - 1)
    if positive.max() >= limit or negative.min() < -limit:
        raise DeviceError(
            f"fixed point: layer {name}: sums from {negative.min()} to {positive.max()}: "
            f"must fit {sum_bits} bits"
        )
