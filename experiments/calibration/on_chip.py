"""What the model says of some steps alone with everything on chip: the layer engine's twin."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from simulator.engine.replay import replay
from simulator.lowering import Lowered
from simulator.program import JOIN, Program

OFF_CHIP = ("dram", "global_buffer")


class ModelRun(NamedTuple):
    """Cycles from the first operation to the end of the last, and busy cycles by unit."""

    cycles: int
    busy_cycles: dict[str, int]


def run_on_chip(lowered: Lowered, steps: Collection[int], local_chunks: int) -> ModelRun:
    """Replay some steps of an image as if nothing else ran and all data were on chip.

    All other operations, and those of memories outside the core, become joins: they take no time,
    and who waits for them waits for what they wait for. Loads of weights run ahead of the layers:
    they wait for the places of `local_chunks` chunks as the chosen steps alone use them.
    """
    program, names = lowered.program, lowered.unit_names
    chosen = np.isin(lowered.op_step, np.array(sorted(steps)))
    outside = np.isin(program.unit, [names.index(name) for name in OFF_CHIP if name in names])
    runs = chosen & ~outside & (program.unit != JOIN)
    loads = np.flatnonzero(runs & (program.unit == names.index("weight_port")))
    tiles = np.flatnonzero(runs & (program.unit == names.index("pe_array")))
    waiter = np.repeat(np.arange(len(program.unit)), np.diff(program.pred_ptr))
    forgets = chosen & outside
    forgets[loads] = True
    kept = ~forgets[waiter] | chosen[program.pred]
    waiter, pred = waiter[kept], program.pred[kept]
    if len(loads) == len(tiles):
        # Each load serves one tile: the one whose place the next but so many takes.
        waiter = np.concatenate([waiter, loads[local_chunks:]])
        pred = np.concatenate([pred, tiles[: len(tiles) - local_chunks].astype(np.int32)])
        order = np.argsort(waiter, kind="stable")
        waiter, pred = waiter[order], pred[order]
    alone = Program(
        unit=np.where(runs, program.unit, JOIN).astype(np.int32),
        busy_cycles=np.where(runs, program.busy_cycles, 0),
        latency_cycles=np.where(runs, program.latency_cycles, 0),
        yields=program.yields,
        pred_ptr=np.searchsorted(waiter, np.arange(len(program.unit) + 1)).astype(np.int64),
        pred=np.ascontiguousarray(pred),
        unit_servers=program.unit_servers,
    )
    busy = np.bincount(alone.unit[runs], alone.busy_cycles[runs], minlength=len(names))
    counts = busy.astype(np.int64).tolist()
    return ModelRun(replay(alone).makespan_cycles, dict(zip(names, counts, strict=True)))
