"""What halting adds to a layer: scans of the mask before it, decisions after its block."""

from __future__ import annotations

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.lowering.filling import Filling
from simulator.lowering.tables import HALTING, MASK_SCAN, TOKEN_SKIP, VECTOR_UNIT


def fill_scans_and_halting(filling: Filling, layer_index: int) -> None:
    """A layer's mask scans before and halting decisions after its block."""
    plan, skip = filling.plan, filling.plan.architecture.token_skip
    layer, mask = plan.layers[layer_index].layer, plan.layers[layer_index].layer.mask
    if mask is None:
        return
    vector, active = plan.architecture.core.vector_unit, filling.image.active[mask]
    live_at, every = active.sum(axis=1).tolist(), active.shape[1]
    width = max((op.channels for op in layer.vector_ops if op.kind == "halting"), default=0)
    checked: set[int] = set()
    for index in filling.steps_of[layer_index]:
        step = plan.steps[index]
        if step.kind == "vector":
            continue
        whole = step.timestep == ALL_TIMESTEPS
        live = sum(live_at) if whole else live_at[step.timestep]
        tokens = every * len(live_at) if whole else every
        if step.kind == "halting":
            elements = live if skip.overlaps_decision else live * (width + 1)
            filling.single(index, VECTOR_UNIT, elements, vector.halting_latency_cycles, HALTING)
            filling.vector(layer_index, "halting", live * width)
            filling.vector(layer_index, "score", live)
            filling.counter.access(layer_index, "masks", tokens, write=True)
        elif step.kind == "mean_field":
            latency = vector.pipeline_latency_cycles
            filling.single(index, VECTOR_UNIT, live * width, latency, HALTING)
        elif step.kind == "scan":
            scan = skip.scan(tokens, live, _passes(filling, mask))
            filling.single(index, TOKEN_SKIP, 0, scan.latency_cycles, MASK_SCAN)
            filling.table["busy"][index] = scan.busy_cycles
            _count_scan(filling, layer_index, scan.mask_reads, scan.counts)
        elif not filling.has_scan and step.timestep not in checked:
            checked.add(step.timestep)
            tiles = -(-layer.outputs // plan.machine.columns)
            scan = skip.scan(tokens, live, tiles)
            _count_scan(filling, layer_index, scan.mask_reads, scan.counts)


def _passes(filling: Filling, mask: str) -> int:
    """Column passes of all layers under a mask at one timestep."""
    columns = filling.plan.machine.columns
    return sum(
        -(-each.layer.outputs // columns) * each.layer.groups
        for each in filling.plan.layers
        if each.layer.mask == mask
    )


def _count_scan(filling: Filling, layer: int, mask_reads: int, counts: dict[str, int]) -> None:
    filling.counter.access(layer, "masks", mask_reads, write=False)
    filling.counter.add(layer, "token_skip", counts)
