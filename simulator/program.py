"""What an engine executes and what it returns: integer columns, one row per operation.

A `Program` is a `Structure`, which images may share, and the busy cycles of one image.

An op holds one server of its unit for `busy_cycles`; its successors wait `latency_cycles` longer.
An op is ready at the latest finish of its predecessors (0 if it has none). A join has no unit: it
starts and finishes at its ready cycle. In each cycle t, first everything that ends at t is applied
(releases at start + busy, finishes at start + busy + latency, joins that thereby become ready);
then each unit with free servers serves its waiting ops in order of the smallest (yields, ready
cycle, op): an op that yields, such as a prefetch, goes behind all that do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Int32s, Ints
from simulator.errors import LoweringError

JOIN = -1
"""The `unit` of an op that only waits for others."""

END = -1
"""Marks in `Structure.successor` the end of the image."""

TOTAL_LIMIT_CYCLES = 1 << 62
"""All busy and latency cycles together stay below this, so that no cycle overflows int64."""


class Program(NamedTuple):
    """List operations, each behind its predecessors; n ops, e edges, u units.

    Attributes:
        unit: int32 (n,), index of the unit that executes the op, -1 for a join.
        busy_cycles: int64 (n,), how long the op holds a server: >= 1, 0 for a join.
        latency_cycles: int64 (n,), how much longer its successors wait: >= 0, 0 for a join.
        yields: bool (n,), whether its unit serves all others that wait before it.
        pred_ptr: int64 (n + 1,), op i waits for pred[pred_ptr[i]:pred_ptr[i + 1]].
        pred: int32 (e,), predecessors, each smaller than the op that waits for it.
        unit_servers: int32 (u,), how many ops a unit can hold at once: >= 1.
    """

    unit: Int32s
    busy_cycles: Ints
    latency_cycles: Ints
    yields: Bools
    pred_ptr: Ints
    pred: Int32s
    unit_servers: Int32s


class ServiceOrder:
    """Hold the order in which ops began when a structure was last replayed: the next may follow."""

    def __init__(self) -> None:
        """Begin without one: no image was replayed."""
        self.ops: Int32s | None = None


class Structure(NamedTuple):
    """Hold what no image changes: a program without its busy cycles, and its edges reversed.

    `Structure.of` checks a structure once; `check_busy` checks what an image adds to it.

    Attributes:
        unit, latency_cycles, yields, pred_ptr, pred, unit_servers: as in a program.
        first: int32 (n + 2,), op i is followed by successor[first[i]:first[i + 1]]; what is
            under n follows nothing: the ops that begin the image.
        successor: int32, ops in ascending order; END alone for an op that nothing follows.
        missing: int32 (n,), how many entries of `successor` name the op: >= 1.
        ends: how many entries of `successor` are END.
        order: of an image before, for the engine.
    """

    unit: Int32s
    latency_cycles: Ints
    yields: Bools
    pred_ptr: Ints
    pred: Int32s
    unit_servers: Int32s
    first: Int32s
    successor: Int32s
    missing: Int32s
    ends: int
    order: ServiceOrder

    @classmethod
    def of(cls, program: Program) -> Structure:
        """Return the structure of a program; raise LoweringError for the first rule it breaks."""
        validate(program)
        return cls(
            program.unit,
            program.latency_cycles,
            program.yields,
            program.pred_ptr,
            program.pred,
            program.unit_servers,
            *_reversed(program.pred_ptr, program.pred),
            ServiceOrder(),
        )

    @property
    def ops(self) -> int:
        """Number of operations."""
        return len(self.unit)

    def program(self, busy_cycles: Ints) -> Program:
        """Return the program of an image with these busy cycles; columns are shared."""
        columns = (self.latency_cycles, self.yields, self.pred_ptr, self.pred, self.unit_servers)
        return Program(self.unit, busy_cycles, *columns)

    def check_busy(self, busy_cycles: Ints) -> None:
        """Raise LoweringError for the first busy cycles that break a rule of a program."""
        program = self.program(busy_cycles)
        _check_columns(program)
        if not _is_busy_sound(program):
            _refuse(program)


class Timeline(NamedTuple):
    """Say when each op of a program became ready, started and finished, and who made it wait.

    Attributes:
        ready: int64 (n,), cycle of the latest finish among the predecessors, 0 without any.
        start: int64 (n,), cycle in which a unit took the op.
        finish: int64 (n,), start + busy + latency.
        critical: int32 (n,), the predecessor that finished last, the smallest among equals; or -1.
    """

    ready: Ints
    start: Ints
    finish: Ints
    critical: Int32s

    @property
    def makespan_cycles(self) -> int:
        """Return the cycle in which the last op finishes; 0 for an empty program."""
        return int(self.finish.max(initial=0))


def validate(program: Program) -> None:
    """Check all that the engines rely on, so that a checked program cannot lead them astray.

    Raises LoweringError with op, field, value and rule for the first op that breaks a rule.
    """
    _check_columns(program)
    for index, servers in enumerate(program.unit_servers.tolist()):
        if servers < 1:
            raise LoweringError(f"unit {index}", f"unit_servers is {servers}; rule: at least 1")
    if not (_is_busy_sound(program) and _is_structure_sound(program)):
        _refuse(program)


def _is_busy_sound(program: Program) -> bool:
    """Whether busy cycles and sums keep their rules, of a sound structure."""
    busy, latency = program.busy_cycles, program.latency_cycles
    if not len(busy):
        return True
    most = len(busy) * (int(busy.max()) + int(latency.max()))
    positive = np.array_equal(busy > 0, program.unit != JOIN)
    return positive and int(busy.min()) >= 0 and most < TOTAL_LIMIT_CYCLES


def _is_structure_sound(program: Program) -> bool:
    """Whether units, latencies and predecessors keep their rules."""
    unit, latency, pointer = program.unit, program.latency_cycles, program.pred_ptr
    known = (unit >= JOIN).all() and (unit < len(program.unit_servers)).all()
    if not known or (pointer[1:] < pointer[:-1]).any():
        return False
    op = np.repeat(np.arange(len(unit)), np.diff(pointer))
    ordered = (program.pred >= 0).all() and (program.pred < op).all()
    return bool(ordered and (latency >= 0).all() and not latency[unit == JOIN].any())


def _refuse(program: Program) -> None:
    """Raise LoweringError for the first rule that breaks, if one does."""
    rule, op = _first_broken_rule(program)
    if rule != _SOUND:
        raise _broken(program, rule, op)


def _broken(program: Program, rule: int, op: int) -> LoweringError:
    """The error for the rule that an op breaks."""
    field, text = _RULES[rule]
    if field == "pred":
        predecessors = program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]]
        value = int(predecessors[(predecessors < 0) | (predecessors >= op)][0])
    else:
        value = int(getattr(program, field)[op + (field == "pred_ptr")])
    return LoweringError(
        f"op {op}: {field} is {value}; rule: "
        + text.format(units=len(program.unit_servers), edges=len(program.pred))
    )


def _check_columns(program: Program) -> None:
    """Dtype, dimensions and lengths of the columns."""
    ops, edges = len(program.unit), len(program.pred)
    lengths = {"pred_ptr": ops + 1, "pred": edges, "unit_servers": len(program.unit_servers)}
    for field, column in program._asdict().items():
        dtype = "int64" if field in ("busy_cycles", "latency_cycles", "pred_ptr") else "int32"
        dtype = "bool" if field == "yields" else dtype
        if column.dtype != np.dtype(dtype) or column.ndim != 1 or not column.flags.c_contiguous:
            raise LoweringError(
                f"{field} is {column.dtype} {column.shape}; rule: a contiguous row of {dtype}"
            )
        length = lengths.get(field, ops)
        if len(column) != length:
            raise LoweringError(f"{field} has {len(column)} entries; rule: {length} for {ops} ops")
    if max(ops, edges) > np.iinfo(np.int32).max:
        raise LoweringError(f"{ops} ops and {edges} edges; rule: below 2^31 of each")
    if program.pred_ptr[0] != 0 or program.pred_ptr[-1] != edges:
        raise LoweringError(
            f"pred_ptr runs from {program.pred_ptr[0]} to {program.pred_ptr[-1]}; "
            f"rule: from 0 to the {edges} entries of pred"
        )


_SOUND, _UNIT, _JOIN_BUSY, _JOIN_LATENCY, _BUSY, _LATENCY, _TOTAL, _POINTER, _PRED = range(9)
_RULES = {
    _UNIT: ("unit", "-1 for a join, else an index of one of the {units} units"),
    _JOIN_BUSY: ("busy_cycles", "0 for a join"),
    _JOIN_LATENCY: ("latency_cycles", "0 for a join"),
    _BUSY: ("busy_cycles", "at least 1 on a unit"),
    _LATENCY: ("latency_cycles", "at least 0"),
    _TOTAL: ("busy_cycles", "busy and latency cycles up to this op sum to less than 2^62"),
    _POINTER: ("pred_ptr", "never smaller than the one before, nor above the {edges} entries"),
    _PRED: ("pred", "at least 0 and smaller than the op that waits for it"),
}


def _first_broken_rule(program: Program) -> tuple[int, int]:
    """The first rule that breaks, and its op; columns must have their lengths."""
    pred, pred_ptr = program.pred.tolist(), program.pred_ptr.tolist()
    columns = program.unit.tolist(), program.busy_cycles.tolist(), program.latency_cycles.tolist()
    left = TOTAL_LIMIT_CYCLES - 1
    for op, (unit, busy, latency) in enumerate(zip(*columns, strict=True)):
        if not JOIN <= unit < len(program.unit_servers):
            return _UNIT, op
        if unit == JOIN and busy != 0:
            return _JOIN_BUSY, op
        if unit == JOIN and latency != 0:
            return _JOIN_LATENCY, op
        if unit != JOIN and busy < 1:
            return _BUSY, op
        if latency < 0:
            return _LATENCY, op
        left -= busy + latency
        if left < 0:
            return _TOTAL, op
        if pred_ptr[op + 1] < pred_ptr[op] or pred_ptr[op + 1] > len(pred):
            return _POINTER, op
        if not all(0 <= each < op for each in pred[pred_ptr[op] : pred_ptr[op + 1]]):
            return _PRED, op
    return _SOUND, 0


def _reversed(pred_ptr: Ints, pred: Int32s) -> tuple[Int32s, Int32s, Int32s, int]:
    """The edges of a sound program reversed: first, successor, missing, ends."""
    ops = len(pred_ptr) - 1
    waits = np.diff(pred_ptr)
    begins = np.flatnonzero(waits == 0)
    followed = np.concatenate([pred, np.full(len(begins), ops)])
    last = np.flatnonzero(np.bincount(followed, minlength=ops + 1) == 0)
    followed = np.concatenate([followed, last])
    follower = np.concatenate([np.repeat(np.arange(ops), waits), begins, np.full(len(last), END)])
    first = np.concatenate([[0], np.cumsum(np.bincount(followed, minlength=ops + 1))])
    successor = follower[np.argsort(followed, kind="stable")]
    missing = np.maximum(waits, 1).astype(np.int32)
    return first.astype(np.int32), successor.astype(np.int32), missing, len(last)
