"""The probe that fits batch-norms while a network runs, layer by layer, to target firing rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.calibration.census import Census
from models.calibration.solving import Sums, live_mean, solve_shift
from models.calibration.targets import Target
from models.networks.config import ModelConfig
from models.networks.layers import SpikingConv, SpikingLinear, max_pool
from models.networks.norms import set_moments
from models.networks.rows import Rows
from models.networks.spikformer import attention
from models.neurons.base import ATTENTION_THRESHOLD

WIDTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
WIDTH_BISECTIONS = 5


class FittingProbe(Census):
    """Set each batch-norm it meets: running statistics to the measured moments, shift to meet the
    layer's target.

    `spread` gives each layer's channels their own scale and offset; the shift found is added to the
    offset. Where the attention's own neurons have a target, V's offsets are widened or narrowed to
    meet it: at one mean rate, few busy channels of V make other currents than many quiet ones.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        spread: Callable[[str, int], tuple[Tensor, Tensor]],
        config: ModelConfig,
    ) -> None:
        super().__init__()
        self.targets = targets
        self.spread = spread
        self.config = config
        self._stream: Tensor | None = None
        self._potential: Tensor | None = None
        self._latest: dict[str, Tensor] = {}

    def record(self, name: str, values: Tensor, rows: Rows) -> None:
        """Count, and remember the residual stream and the latest spikes."""
        super().record(name, values, rows)
        if name.endswith(".x"):
            self._stream = rows.restore(values)
        self._latest = {**self._latest, name: values} if name.endswith((".q", ".k")) else {}

    def record_maps(self, name: str, maps: Tensor) -> None:
        """Count, and remember the residual stream."""
        super().record_maps(name, maps)
        if name in ("sps.3.out", "blocks.0.x"):
            self._stream = maps.flatten(3).transpose(2, 3)

    def potential(self, values: Tensor, rows: Rows | None) -> None:
        """Remember the potentials as (step, row, channel)."""
        if rows is None:
            self._potential = by_rows(values)
        else:
            self._potential = values.view(rows.steps, -1, values.shape[-1])

    @torch.no_grad()
    def before_norm(
        self,
        layer: SpikingConv | SpikingLinear,
        current: Tensor,
        timesteps: int,
        rows: Rows | None,
    ) -> None:
        """Fit the layer's batch-norm."""
        norm = layer.norm
        set_moments(layer, current, None if rows is None else rows.live())
        scale, offset = self.spread(layer.name, norm.num_features)
        norm.weight.copy_(scale)
        norm.bias.copy_(offset)
        target = self.targets.get(layer.name)
        if target is None:
            return
        sums = self._sums(layer, current, timesteps, rows, target)
        if rows is not None and layer.name.endswith(".v"):
            attended = self.targets.get(layer.name.removesuffix(".v") + ".out")
            if attended is not None:
                offset = offset * self._width(layer, sums, offset, rows, (target, attended))
                norm.bias.copy_(offset)
        norm.bias.add_(solve_shift(self._added(layer, sums, target), target))
        self._potential = None

    def _width(
        self,
        layer: SpikingConv | SpikingLinear,
        sums: Sums,
        offset: Tensor,
        rows: Rows,
        targets: tuple[Target, Target],
    ) -> float:
        """The factor on V's offsets that brings the attention's rate closest to its target.

        `targets`: of V and of the attention. The rate rises, then falls with the factor: the first
        crossing is taken.
        """
        name = layer.name.removesuffix("v")
        q, k = self._latest[f"{name}q"], self._latest[f"{name}k"]

        def rate(width: float) -> float:
            layer.norm.bias.copy_(offset * width)
            shifted = self._normalised(layer, sums)
            v, _ = shifted.neuron.fire(shifted.values + solve_shift(shifted, targets[0]))
            mixed = attention(q, k, v.flatten(0, 1), self.config.size.heads, rows)
            out = rows.fire(mixed, {}, name, ATTENTION_THRESHOLD)
            return live_mean(out.view(sums.values.shape), sums.live)

        wanted = targets[1].value
        rates = [rate(width) for width in WIDTHS]
        for at in range(len(WIDTHS) - 1):
            if (rates[at] - wanted) * (rates[at + 1] - wanted) <= 0.0:
                low, high, rising = WIDTHS[at], WIDTHS[at + 1], rates[at] < wanted
                for _ in range(WIDTH_BISECTIONS):
                    middle = (low + high) / 2.0
                    low, high = (
                        (middle, high) if (rate(middle) < wanted) == rising else (low, middle)
                    )
                return (low + high) / 2.0
        return min(zip(WIDTHS, rates, strict=True), key=lambda pair: abs(pair[1] - wanted))[0]

    def _normalised(self, layer: SpikingConv | SpikingLinear, sums: Sums) -> Sums:
        """The sums after the layer's batch-norm as it is."""
        gain, shift = layer.norm.affine_map()
        return sums._replace(values=sums.values * gain + shift)

    def _added(self, layer: SpikingConv | SpikingLinear, sums: Sums, target: Target) -> Sums:
        """The normalised sums; for a target of the potential, as its neurons see them: added to the
        stream, the patch splitting's for every timestep.
        """
        sums = self._normalised(layer, sums)
        if target.of != "potential":
            return sums
        values = sums.values if self._potential is None else sums.values + self._potential
        if layer.name.startswith("sps."):
            timesteps = self.config.timesteps
            if self.config.isps == "late_sum":
                values = values.mean(0, keepdim=True)
            values = values.expand(timesteps, *values.shape[1:])
        return sums._replace(values=values)

    def _sums(
        self,
        layer: SpikingConv | SpikingLinear,
        current: Tensor,
        timesteps: int,
        rows: Rows | None,
        target: Target,
    ) -> Sums:
        """What the layer's neurons will see, before batch-norm."""
        stream = self._stream if target.of == "stream" else None
        if stream is not None:
            stream = stream.expand(timesteps, *stream.shape[1:]).flatten(1, 2)
        if rows is not None:
            live = rows.live()
            live = None if live is None else live.view(timesteps, -1)
            by_step = current.view(timesteps, -1, current.shape[-1])
            return Sums(by_step, live, stream, neuron=self.config.neurons)
        pool, grid = getattr(layer, "pool", None), None
        if pool == "before_lif":
            current = max_pool(current.flatten(0, 1)).unflatten(0, current.shape[:2])
        elif pool == "after_lif":
            grid = (current.shape[3], current.shape[4])
        values = by_rows(current)
        by_step = values.expand(timesteps, *values.shape[1:])
        return Sums(by_step, None, stream, grid, self.config.neurons)


def by_rows(maps: Tensor) -> Tensor:
    """Return maps (step, image, channel, height, width) as (step, row, channel)."""
    return maps.flatten(3).transpose(2, 3).flatten(1, 2)
