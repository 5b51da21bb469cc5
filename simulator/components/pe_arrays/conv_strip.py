"""A convolution in strips of output rows, its loads, sums and write-back strictly one by one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, Tiles
from simulator.components.pe_arrays.dense_costs import FiringArray, dense_cost
from simulator.config.arrays import Ints
from simulator.config.kernels import kernel


class ConvStrip(FiringArray, kind="conv_strip"):
    """One output channel at a time, in strips of `strip_rows` output rows of `channels` inputs.

    For each group of `channels` input channels the weights enter, then strip by strip the input
    rows of all of them, a row a cycle, with the halo again for every strip, then a column a cycle.
    `timesteps` timesteps are computed in parallel. At the end of an output channel its sums pass
    bias and neurons, a position a cycle. None of these phases overlaps another. Weights come over a
    port of the array's own: of the two bursts of a group one waits in the FIFO, the other is asked
    for when the load begins, and while it arrives the FIFO gives nothing out; a burst begins at a
    multiple of `grain_cycles`. With `rival_words` another reader of that port always has a burst
    ready: bursts follow one another without a gap, and those of the weights, which then hold the
    port `held_cycles` more than their words, wait for the end of the one under way. Zeros cost what
    ones cost; a smaller kernel is charged as fewer channels of this one. Source: the convolution
    array of FPGA_SpikingTransformer; the cycles are read off runs of its public RTL
    (arch_configs/fpga_spiking_transformer.yaml).
    """

    example: ClassVar[str] = "kind: conv_strip\nchannels: 8\nstrip_rows: 3\nkernel: 3\n"
    streams_weights: ClassVar[bool] = True
    entire_maps: ClassVar[bool] = True

    channels: int = Field(gt=0, le=1024, description="input channels at a time")
    strip_rows: int = Field(gt=0, le=64, description="output rows of a strip")
    kernel: int = Field(gt=0, le=15, description="side of the kernel, all taps at once")
    timesteps: int = Field(default=1, gt=0, le=64, description="timesteps computed in parallel")
    load_cycles: int = Field(default=3, ge=0, le=1024, description="of a strip's load, beyond rows")
    channel_cycles: int = Field(
        default=21, ge=0, le=65536, description="of an output channel, beyond its positions"
    )
    burst_words: int = Field(default=8, gt=0, le=4096, description="words of a burst of weights")
    gap_cycles: int = Field(default=10, ge=0, le=4096, description="handshake of an exposed burst")
    port_latency_cycles: int = Field(default=0, ge=0, le=65536, description="of DRAM, exposed")
    grain_cycles: int = Field(default=4, gt=0, le=1024, description="bursts begin at multiples")
    rival_words: int = Field(
        default=0, ge=0, le=4096, description="of a burst that another reader always has ready"
    )
    rival_cycles: int = Field(default=10, ge=0, le=4096, description="of it, beyond its words")
    held_cycles: int = Field(
        default=6, ge=0, le=4096, description="of a weight burst beside a rival, beyond its words"
    )

    @property
    def tile_columns(self) -> int:
        return 1

    @property
    def adders(self) -> int:
        return self.channels * self.strip_rows * self.kernel**2 * self.timesteps

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        """Return the bits of weights: a kernel takes whole words of 64 bits."""
        taps = self.kernel**2
        return -(-inputs // taps) * outputs * (-(-taps * weight_bits // 64) * 64)

    def cost(self, tiles: Tiles) -> ArrayCost:
        height, width = tiles.map_sizes.T[:, tiles.block]
        groups = -(-tiles.inputs // (self.channels * self.kernel**2))
        steps = tiles.tile_rows // np.maximum(height * width, 1)
        rows = self.channels * (self.strip_rows + self.kernel - 1)
        strips = -(-height // self.strip_rows) * (rows + self.load_cycles + width)
        burst = 2 * self.burst_words + self.gap_cycles + self.port_latency_cycles
        passes = -(-steps // self.timesteps)
        written = height * width + self.channel_cycles
        if self.rival_words:
            held = self.burst_words + self.held_cycles + self.port_latency_cycles
            rival = self.rival_words + self.rival_cycles + self.port_latency_cycles
            found = np.zeros(len(groups), np.int64)
            behind = burst - held - 1
            _shared(passes, groups, 1 + strips, written, held, rival, behind, found)
            return dense_cost(tiles, found)
        group = self._begun(1 + burst + strips)
        last = self._begun(1 + burst + strips + written)
        return dense_cost(tiles, ((groups - 1) * group + last) * passes)

    def _begun(self, cycles: np.ndarray) -> np.ndarray:
        entire: np.ndarray = -(-cycles // self.grain_cycles) * self.grain_cycles
        return entire


@kernel
def _shared(
    passes: Ints,
    groups: Ints,
    strips: Ints,
    written: Ints,
    held: int,
    rival: int,
    behind: int,
    cycles: Ints,
) -> None:
    """Fill the cycles of each tile beside a rival whose bursts take `rival` cycles each.

    A group's first burst is asked for at its begin, its weights are there `behind` cycles after it,
    and then the second is asked for, which nobody waits for. A tile begins anywhere in a rival's
    burst, so its cycles are the mean over as many equal tiles as a burst has cycles.
    """
    for tile in range(len(groups)):
        now, free = 0, 0
        for _ in range(rival * passes[tile]):
            for _ in range(groups[tile]):
                if free < now:
                    free += -(-(now - free) // rival) * rival
                now = free + held + behind
                free += held
                if free < now:
                    free += -(-(now - free) // rival) * rival
                free += held
                now += strips[tile]
            now += written[tile]
        cycles[tile] = (now + rival // 2) // rival
