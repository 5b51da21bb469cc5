"""The fixed-point twin: what the RTL must compute for an image, number by number, in numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Bools, Ints
from simulator.hil.network.fixed import (
    ATTENTION_FRACTION,
    ATTENTION_THRESHOLD,
    SCORE_BITS,
    WEIGHT_FRACTION,
    FixedLayer,
    FixedNetwork,
    FixedStage,
)

ONE = 1 << SCORE_BITS


class TwinRun(NamedTuple):
    """Hold what an image makes in each layer.

    tensors: int (timestep, row, channel) by the trace's names: spikes, or integers of the
    residual stream. active: bool (timestep, token) by block. logits: int (class,).
    """

    tensors: dict[str, Ints]
    active: dict[str, Bools]
    logits: Ints


def run_twin(network: FixedNetwork, pixels: npt.NDArray[np.uint8], membrane_bits: int) -> TwinRun:
    """Run one image, uint8 (side, side[, channel]), with membranes of `membrane_bits` bits."""
    return _Twin(network, membrane_bits).run(pixels)


class _Twin:
    def __init__(self, network: FixedNetwork, membrane_bits: int) -> None:
        self.network = network
        self.limit = 1 << (membrane_bits - 1)
        self.tensors: dict[str, Ints] = {}
        self.active: dict[str, list[Bools]] = {str(b): [] for b in range(len(network.blocks))}
        self.membranes: dict[str, Ints] = {}

    def run(self, pixels: npt.NDArray[np.uint8]) -> TwinRun:
        network = self.network
        stem = self._stem(pixels.astype(np.int64).reshape(network.side, network.side, -1))
        tokens, dim = stem.shape
        active = np.ones(tokens, np.bool_)
        accumulated = np.zeros(tokens, np.int64)
        remainder = np.full(tokens, ONE, np.int64)
        field = np.zeros(dim, np.int64)
        for timestep in range(network.timesteps):
            stream = stem
            for block in range(len(network.blocks)):
                self.active[str(block)].append(active.copy())
                stream = self._block(block, timestep, stream, np.flatnonzero(active))
                if network.scores is None:
                    if block == len(network.blocks) - 1:
                        field += (ONE // network.timesteps * stream).sum(axis=0)
                    continue
                last = timestep == network.timesteps - 1 and block == len(network.blocks) - 1
                score = np.where(active, ONE if last else network.scores[stream[:, 0]], 0)
                accumulated += score
                reached = active & (accumulated >= network.limit)
                weight = np.where(reached, remainder, score)
                field += weight @ stream
                active = active & ~reached
                remainder -= np.where(active, score, 0)
        logits = ((network.head @ field) << network.head_shift) + network.head_bias
        return TwinRun(
            self.tensors,
            {block: np.stack(masks) for block, masks in self.active.items()},
            logits,
        )

    def _stem(self, image: Ints) -> Ints:
        """Integers (token, channel) from an image (y, x, channel)."""
        network, maps = self.network, image
        self._keep("sps.image", 0, image, 1)
        for index, stage in enumerate(network.stages):
            entering = maps
            sums = convolved(maps, stage.layer.weights)
            if stage.pooled:
                sums = pooled(sums)
            maps = self._stage_neurons(index, stage, sums)
        maps = entering + maps
        self._keep("blocks.0.x", 0, maps, 1)
        return maps.reshape(-1, maps.shape[-1])

    def _stage_neurons(self, index: int, stage: FixedStage, sums: Ints) -> Ints:
        membrane = np.zeros_like(sums)
        if not stage.integrated:
            spikes, _ = self._lif(stage.layer, sums, membrane)
            self._keep(f"sps.{index}.out", 0, spikes, 1)
            return spikes
        total = np.zeros_like(sums)
        for timestep in range(self.network.timesteps):
            spikes, membrane = self._lif(stage.layer, sums, membrane)
            self._keep(f"sps.{index}.out", timestep, spikes, self.network.timesteps)
            total += spikes
        self._keep(f"sps.{index}.integrated", 0, total, 1)
        return total

    def _block(self, block: int, timestep: int, stream: Ints, live: Ints) -> Ints:
        """The stream (token, channel) one block later, zero for halted tokens."""
        network, name = self.network, f"blocks.{block}"
        layers, rows = network.blocks[block], stream[live]
        total, steps = len(stream), network.timesteps

        def fire(layer: str, made: str, entering: Ints) -> Ints:
            sums = product(entering, layers[layer].weights)
            spikes = self._neurons(f"{name}.{made}", layers[layer], sums, live, total)
            keep(made, spikes)
            return spikes

        def keep(made: str, values: Ints) -> None:
            all_rows = np.zeros((total, values.shape[1]), np.int64)
            all_rows[live] = values
            self._keep(made if made == "head.x" else f"{name}.{made}", timestep, all_rows, steps)

        q, k, v = (fire(part, f"attn.{part}", rows) for part in "qkv")
        mixed = np.concatenate(
            [
                product(product(qh, kh.T), vh)
                for qh, kh, vh in zip(
                    *(np.split(part, network.heads, axis=1) for part in (q, k, v)), strict=True
                )
            ],
            axis=1,
        )
        out = self._neurons(f"{name}.attn.out", None, mixed, live, total)
        keep("attn.out", out)
        middle = rows + fire("proj", "attn.proj_out", out)
        keep("mlp.x", middle)
        hidden = fire("fc1", "mlp.hidden", middle)
        after = middle + fire("fc2", "mlp.out", hidden)
        result = np.zeros_like(stream)
        result[live] = after
        last = block == len(network.blocks) - 1
        made = "head.x" if last else f"blocks.{block + 1}.x"
        self._keep(made, timestep, result, steps)
        return result

    def _neurons(
        self, name: str, layer: FixedLayer | None, sums: Ints, live: Ints, total: int
    ) -> Ints:
        held = self.membranes.setdefault(name, np.zeros((total, sums.shape[1]), np.int64))
        spikes, held[live] = self._lif(layer, sums, held[live])
        return spikes

    def _lif(self, layer: FixedLayer | None, sums: Ints, membrane: Ints) -> tuple[Ints, Ints]:
        """One step: spikes and membranes; without a layer, those of attention."""
        if layer is None:
            current, fraction = sums, ATTENTION_FRACTION
            threshold: Ints | int = ATTENTION_THRESHOLD
        else:
            current, fraction, threshold = sums + layer.bias, WEIGHT_FRACTION, layer.threshold
        charged = ((current << fraction) + membrane) >> 1
        charged = np.clip(charged, -self.limit, self.limit - 1)
        spikes = charged >= threshold
        return spikes.astype(np.int64), np.where(spikes, 0, charged)

    def _keep(self, name: str, timestep: int, values: Ints, timesteps: int) -> None:
        rows = values.reshape(-1, values.shape[-1])
        if name not in self.tensors:
            self.tensors[name] = np.zeros((timesteps, *rows.shape), np.int64)
        self.tensors[name][timestep] = rows


def convolved(maps: Ints, weights: Ints) -> Ints:
    """Convolve maps (y, x, channel), padded by 1, with 3x3 weights (tap x channel, out)."""
    height, width, _ = maps.shape
    padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
    taps = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    sums = product(np.concatenate(taps, axis=2).reshape(height * width, -1), weights)
    return sums.reshape(height, width, -1)


def product(left: Ints, right: Ints) -> Ints:
    """Multiply matrices of integers below 2^53, exact in float64, for which BLAS is quick."""
    result: Ints = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    return result


def pooled(sums: Ints) -> Ints:
    """Pool sums (y, x, channel) by their maximum: 3x3, stride 2, padding 1."""
    height, width, _ = sums.shape
    lowest = np.iinfo(np.int64).min
    padded = np.pad(sums, ((1, 1), (1, 1), (0, 0)), constant_values=lowest)
    windows = [padded[y : y + height : 2, x : x + width : 2] for y in range(3) for x in range(3)]
    result: Ints = np.maximum.reduce(windows)
    return result
