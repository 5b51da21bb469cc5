"""What no image changes of a busy row: fetches of weights, and their loads through the port."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import FROM_DRAM, FROM_GLOBAL

LOAD = -1
"""Kind of a place that is no fetch; others are FROM_DRAM and FROM_GLOBAL."""
PARTS = {FROM_DRAM: "memories.dram", FROM_GLOBAL: "memories.global_buffer"}


class FixedPlaces(NamedTuple):
    """Describe the end of each busy row; int64 (places,) where not said otherwise.

    A fetch of a chunk has a place for full and one for ragged column tiles.
    """

    cycles: Ints
    layer: Ints
    kind: Ints
    bits: Ints  # that pass links, 0 of loads
    # (3, layers), first place of fetches from DRAM and from the global buffer, and of loads
    at: Ints
    counts: dict[tuple[str, str], Ints]  # of a fetch, by part and action


def fixed_places(plan: Plan) -> FixedPlaces:
    """List the places of all layers, one after another."""
    rows: list[tuple[int, int, int, int]] = []
    at = np.zeros((3, len(plan.layers)), np.int64)
    counted: dict[tuple[str, str], dict[int, int]] = {}
    for layer_plan in plan.layers:
        layer = layer_plan.layer.index
        by_source = {FROM_DRAM: layer_plan.fetch, FROM_GLOBAL: layer_plan.shared_fetch}
        for number, (kind, fetches) in enumerate(by_source.items()):
            at[number, layer] = len(rows)
            for transfers, bits in zip(fetches, layer_plan.fetch_bits, strict=bool(fetches)):
                for transfer, moved in zip(transfers, bits, strict=True):
                    for action, count in transfer.counts.items():
                        counted.setdefault((PARTS[kind], action), {})[len(rows)] = count
                    rows.append((transfer.busy_cycles, layer, kind, moved))
        at[2, layer] = len(rows)
        rows += [(cycles, layer, LOAD, 0) for cycles in _load_cycles(plan, layer_plan)]
    # A join, whose place is -1, takes the 0 at the end.
    rows.append((0, len(plan.layers) - 1, LOAD, 0))
    counts = {key: np.zeros(len(rows), np.int64) for key in counted}
    for key, own in counted.items():
        counts[key][list(own)] = list(own.values())
    cycles, layer_of, kind_of, bits_of = np.array(rows, np.int64).T.copy()
    return FixedPlaces(cycles, layer_of, kind_of, bits_of, at, counts)


def _load_cycles(plan: Plan, layer_plan: LayerPlan) -> list[int]:
    """Return the cycles of each chunk through the weight port; vectors of full width pass it."""
    layer, array = layer_plan.layer, layer_plan.array
    if not array.preloads_weights or layer.transposed:
        return []
    if layer.kind == "head" or layer.is_elementwise:
        return []
    bits = layer.weight_bits or layer.second_bits
    size = array.tile_inputs or layer.inputs
    if layer_plan.chunks is not None and not layer.is_attention:
        inputs = layer_plan.chunks.inputs.tolist()
    else:
        inputs = [min(size, layer.inputs - first) for first in range(0, layer.inputs, size)]
    return [-(-count * array.tile_columns * bits // plan.port_bits) for count in inputs]
