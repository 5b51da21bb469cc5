"""What formulas over a batch read of a plan: a column a layer, an entry a layer and scope."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.vector_units.base import ElementWork
from simulator.config.arrays import Bools, Ints
from simulator.lowering.places import CORE, GLOBAL, OUTSIDE
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.scopes import ScopePlan, plan_scopes
from simulator.lowering.walks import Walks, make_walks

PLACES = {"": 0, CORE: 0, GLOBAL: 1, OUTSIDE: 2}
"""Places as numbers: in the core or nowhere, in the global buffer, in DRAM."""
IN_GLOBAL, IN_DRAM = 1, 2


class LayerColumns(NamedTuple):
    """Hold constants of the layers; int64 (layers,) where not said otherwise."""

    is_product: Bools  # runs on an array
    columns: Ints  # outputs of a column tile
    preloads: Bools  # weights pass the weight port first
    groups: Ints
    outputs: Ints
    share: Ints  # as in LayerPlan
    work: Ints  # element-cycles of all results
    full: Ints  # results of the product over all rows
    operand_numerator: Ints  # bits of an operand row, as a fraction; 0: it is in the core
    operand_denominator: Ints
    operand_times_tokens: Bools  # the bits are of each token that is an input
    second_bits: Ints  # of the second operand for each output, 0: it is in the core
    added: Ints  # bits of streams that are added, of all rows, and those rows
    added_rows: Ints
    operand_place: Ints  # see PLACES
    spill_place: Ints
    state_place: Ints
    spilled_bits: Ints  # results outside the core
    state_bits: Ints  # membranes of all rows
    rows_outer: Bools


class LayerScopes(NamedTuple):
    """List each scope of each product, layer after layer; int64 (entries,)."""

    layer: Ints
    step: Ints  # of the plan
    place: Ints  # its number among the layer's scopes
    scope: Ints  # of its walk, a column of Scopes
    last: Ints  # number of the layer's last scope
    first_of_layer: Ints  # (layers + 1,)


class Constants(NamedTuple):
    """Hold all that is computed once for a plan."""

    plan: Plan
    walks: Walks
    timed: ScopePlan
    counted: ScopePlan | None
    layers: LayerColumns
    entries: LayerScopes


def make_constants(plan: Plan) -> Constants:
    """Compute the constants of a plan; gated rows are timed, but not counted."""
    walks, skip = make_walks(plan), plan.architecture.token_skip
    timed = plan_scopes(walks.walks, listed=skip.drops_rows)
    gated = skip.spares_energy and not skip.drops_rows
    counted = plan_scopes(walks.walks, listed=True) if gated else None
    columns = [_layer_column(plan, layer_plan) for layer_plan in plan.layers]
    layers = LayerColumns(*(np.array(column) for column in zip(*columns, strict=True)))
    return Constants(plan, walks, timed, counted, layers, _entries(plan, walks, timed))


def _entries(plan: Plan, walks: Walks, scopes: ScopePlan) -> LayerScopes:
    rows: list[tuple[int, ...]] = []
    ends = [0]
    for layer_plan in plan.layers:
        walk = int(walks.of_layer[layer_plan.layer.index])
        if walk >= 0:
            first = int(scopes.first_of_walk[walk])
            last = len(layer_plan.scopes) - 1
            rows += [
                (layer_plan.layer.index, step, place, first + place, last)
                for place, step in enumerate(layer_plan.scopes)
            ]
        ends.append(len(rows))
    table = np.array(rows, np.int64).reshape(-1, 5)
    columns = [np.ascontiguousarray(each) for each in table.T]
    return LayerScopes(
        layer=columns[0],
        step=columns[1],
        place=columns[2],
        scope=columns[3],
        last=columns[4],
        first_of_layer=np.array(ends, np.int64),
    )


def _layer_column(plan: Plan, layer_plan: LayerPlan) -> tuple[object, ...]:
    layer, vector = layer_plan.layer, plan.architecture.core.vector_unit
    product = not (layer.kind == "head" or layer.is_elementwise)
    full = layer.rows * layer.outputs * layer.groups * layer_plan.computed_timesteps
    # Scores meet no neuron, but the vector unit carries them to where weights are read from.
    work = full if layer.kind == "attention_scores" and not layer_plan.array.fires else 0
    for op in layer_plan.fused:
        times = 1 if op.kind == "pool" and layer_plan.repeats > 1 else op.timesteps
        sizes = (op.kind, op.rows, op.channels, times, op.window_inputs)
        work += vector.element_work(ElementWork(*sizes, layer.product_class))
    numerator, denominator = _operand_row(layer_plan)
    places = [layer_plan.operand_place, layer_plan.second_place]
    places += [place for _, place in layer_plan.reads]
    lif = sum(op.rows * op.channels * op.timesteps for op in layer_plan.fused if op.kind == "lif")
    second_outside = PLACES[layer_plan.second_place] > 0
    return (
        product,
        layer_plan.columns,
        layer_plan.array.preloads_weights,
        layer.groups,
        layer.outputs,
        layer_plan.share,
        work,
        full,
        numerator if PLACES[layer_plan.operand_place] else 0,
        denominator,
        layer.transposed,
        layer.inputs if second_outside else 0,
        sum(bits for bits, place in layer_plan.reads if place != CORE),
        layer.rows * layer.timesteps,
        max(PLACES[place] for place in places),
        PLACES[layer_plan.spill_place],
        PLACES[layer_plan.membrane_place],
        layer_plan.spilled_bits,
        lif * vector.membrane_bits,
        bool(layer_plan.rows_outer),
    )


def _operand_row(layer_plan: LayerPlan) -> tuple[int, int]:
    """Return the bits of an operand row, as a fraction; of a transposed one for each token."""
    layer = layer_plan.layer
    if layer.transposed:
        return layer.planes, 1
    if layer.is_attention:
        return layer.inputs * layer.planes, 1
    return layer.group_channels * layer.planes * layer.window.pixels, layer.rows
