"""Attention without products: sums, neurons and gates, on the vector unit alone."""

from __future__ import annotations

import numpy as np

from simulator.components.dataflows.base import ALL_TIMESTEPS, SHARED
from simulator.lowering.filling import Filling, unit_of
from simulator.lowering.places import CORE, GLOBAL, OUTSIDE
from simulator.lowering.plan import LayerPlan
from simulator.lowering.tables import VECTOR_UNIT, VECTOR_WORK
from simulator.operations import Layer, VectorOp, live_rows


def fill_elements(filling: Filling, layer_plan: LayerPlan) -> None:
    """Attention without products, on the vector unit: sums, neurons and gate of each scope."""
    layer, plan = layer_plan.layer, filling.plan
    skip, vector = plan.architecture.token_skip, plan.architecture.core.vector_unit
    tokens = [len(rows) for rows in live_rows(layer, filling.image, plan.network.tokens)]
    filling.rows[layer.index], filling.live[layer.index] = layer.rows * layer.timesteps, sum(tokens)
    for step in layer_plan.scopes:
        time = plan.steps[step].timestep
        live = sum(tokens) if time == ALL_TIMESTEPS else tokens[time]
        every = layer.rows * (layer.timesteps if time == ALL_TIMESTEPS else 1)
        timed = live if skip.drops_rows else every
        filling.table["block_at"][step] = filling.sizes["vector"]
        filling.table["blocks"][step] = int(timed > 0)
        work = sum(
            _elements(op, layer, timed) * vector.element_cycles(op.kind, op.window_inputs)
            for op in layer_plan.fused
        )
        latency = vector.pipeline_latency_cycles
        filling.single(step, VECTOR_UNIT, work, latency, VECTOR_WORK)
        _count_elements(filling, layer_plan, live if skip.spares_energy else every)
        _move_elements(filling, layer_plan, step, timed)


def _count_elements(filling: Filling, layer_plan: LayerPlan, rows: int) -> None:
    """Arithmetic and the core's buffers, for so many rows of tokens."""
    layer, vector = layer_plan.layer, filling.plan.architecture.core.vector_unit
    for op in layer_plan.fused:
        filling.vector(layer.index, op.kind, _elements(op, layer, rows))
        if op.kind == "lif" and layer_plan.membrane_place:
            bits = _elements(op, layer, rows) * vector.membrane_bits
            for write in (False, True):
                filling.counter.access(layer.index, "membranes", bits, write=write)
    whole = layer.rows * layer.timesteps
    operands = 1 + (layer.second is not None)
    read = operands * rows * layer.inputs
    read += sum(bits * rows // whole for bits, _ in layer_plan.reads)
    filling.counter.access(layer.index, "spikes", read, write=False)
    stored = layer_plan.stored_bits * rows // whole
    filling.counter.access(layer.index, "spikes", stored, write=True)


def _move_elements(filling: Filling, layer_plan: LayerPlan, step: int, rows: int) -> None:
    """What is read from and written to memories outside the core; cores take equal parts."""
    layer = layer_plan.layer
    cores = 1 if layer_plan.home != SHARED else filling.plan.machine.cores
    whole = layer.rows * layer.timesteps
    read = {GLOBAL: 0, OUTSIDE: 0, CORE: 0, "": 0}
    own = rows * layer.inputs
    for place, bits in (
        (layer_plan.operand_place, own),
        (layer_plan.second_place, own),
        *((place, bits * rows // whole) for bits, place in layer_plan.reads),
    ):
        read[place] += bits
    # One request, to where most of the way is.
    place = OUTSIDE if read[OUTSIDE] else GLOBAL
    filling.table["operand_unit"][step] = unit_of(place)
    filling.table["spill_unit"][step] = unit_of(layer_plan.spill_place)
    moved = []
    for bits, where, write in (
        (read[OUTSIDE] + read[GLOBAL], place, False),
        (layer_plan.spilled_bits * rows // whole, layer_plan.spill_place, True),
    ):
        bits = -(-bits // cores)
        moved.append(filling.move(layer.index, where, bits, cores, write=write) if bits else 0)
    filling.append("vector", np.zeros(1, np.int64))
    filling.append("operand_busy", np.array(moved[:1], np.int64))
    filling.append("spill_busy", np.array([[moved[1]] * 2], np.int64))
    filling.append("state_busy", np.zeros((1, 2), np.int64))
    filling.append("state_reads", np.zeros(1, np.int64))
    filling.append("state_writes", np.zeros(1, np.int64))


def _elements(op: VectorOp, layer: Layer, rows: int) -> int:
    """Results of an operation of a layer for so many rows of tokens, over their timesteps.

    What is one row for all tokens (a channel's gate) is there once a timestep with a row.
    """
    if op.rows == layer.rows:
        return rows * op.channels
    return -(-rows // layer.rows) * op.rows * op.channels
