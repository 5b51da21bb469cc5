"""The numeric resources of machines: fields of which more, or less, should never be worse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from simulator.architecture import Architecture

MORE = frozenset(
    """size_kib banks width_bits bandwidth_gb_per_s channels rows columns lanes fifo_words arrays
    multipliers dense_rows sparse_rows attention_rows join_inputs merge_inputs lookup_lanes
    residual_lanes popcounts_per_cycle scan_tokens_per_cycle queue_tokens accumulator_blocks
    local_weight_chunks""".split()  # noqa: SIM905
)
LESS = ("_cycles", "latency_ns", "row_miss_ns", "wake_ns")
"""Ends of the names of times: of all of them less is better."""
NO_RESOURCE = frozenset(
    """weight_bits sum_bits membrane_width_bits images_in_flight images_together word_inputs
    chunk_inputs row_inputs tile_outputs tile_rows window_timesteps bundle_timesteps bundle_tokens
    patterns rounds prefetched_percent weight_density weight_seed burst_bytes page_bytes link_um
    interconnect.columns interconnect.rows memories.dram.width_bits
    taps inputs timesteps burst_words parts word_bytes
    strip_rows kernel width heads most_tokens positions pool_stride rival_words
    tree_chunks tree_inputs power_down_after_ns""".split()  # noqa: SIM905
)
"""Widths, shapes of tiles, trees and of the mesh, statistics: another value is another machine.
Words of a DRAM are moved whole, so wider ones move more. An earlier power-down trades time for
energy."""


class Resource(NamedTuple):
    """A field of a part of a machine, and a better value."""

    path: str
    value: float
    better: float

    @property
    def name(self) -> str:
        """The field, with its part."""
        return self.path.removeprefix("cores.")

    @property
    def override(self) -> str:
        """What --set takes."""
        return f"{self.path}={self.better}"


def resources(architecture: Architecture) -> Iterator[Resource]:
    """Yield each resource of a machine with twice, or half, its value; equal cores once.

    Raises ValueError for a numeric field that is in none of the lists above.
    """
    for path, part in architecture.parts():
        if path.startswith("cores.") and not path.startswith("cores.0."):
            continue
        place = path.replace("cores.0.", "cores.")
        for name in type(part).model_fields:
            value, full = getattr(part, name), f"{place}.{name}"
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if name in NO_RESOURCE or full in NO_RESOURCE:
                continue
            if part.kind == "sram_fills" and name == "size_kib":
                continue  # it is filled whole, whatever is needed of it
            if name in MORE:
                yield Resource(full, value, 2 * value)
            elif name.endswith(LESS):
                yield Resource(full, value, value // 2 if isinstance(value, int) else value / 2)
            else:
                raise ValueError(f"{full}: is more of it better, or less, or is it no resource?")
