"""Programs for the tests of the engines: random ones, layered ones, and slow obvious twins."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.program import JOIN, Program, Timeline, validate


class ProgramBuilder:
    """Writes a program down op by op; slow for millions of ops."""

    def __init__(self) -> None:
        self.unit_names: list[str] = []
        self._servers: list[int] = []
        self._ops: list[tuple[int, int, int, bool]] = []
        self._pred_ptr = [0]
        self._pred: list[int] = []

    def add_unit(self, name: str, servers: int = 1) -> int:
        """Adds a unit that holds up to `servers` ops at once; returns its index."""
        self.unit_names.append(name)
        self._servers.append(servers)
        return len(self._servers) - 1

    def add_op(
        self,
        unit: int,
        busy: int,
        latency: int = 0,
        after: Iterable[int] = (),
        *,
        yields: bool = False,
    ) -> int:
        """Adds an op of so many busy and latency cycles; returns its id."""
        self._ops.append((unit, busy, latency, yields))
        self._pred.extend(after)
        self._pred_ptr.append(len(self._pred))
        return len(self._ops) - 1

    def add_join(self, after: Iterable[int]) -> int:
        """Adds an op that takes no time and ends with the last of `after`; returns its id."""
        return self.add_op(JOIN, 0, 0, after)

    def build(self) -> Program:
        """The program, validated; raises LoweringError for the first rule it breaks."""
        columns = zip(*self._ops, strict=True) if self._ops else ((), (), (), ())
        unit, busy, latency, yields = columns
        program = Program(
            unit=np.array(unit, np.int32),
            busy_cycles=np.array(busy, np.int64),
            latency_cycles=np.array(latency, np.int64),
            yields=np.array(yields, np.bool_),
            pred_ptr=np.array(self._pred_ptr, np.int64),
            pred=np.array(self._pred, np.int32),
            unit_servers=np.array(self._servers, np.int32),
        )
        validate(program)
        return program


def assert_same(left: Timeline, right: Timeline, program: Program) -> None:
    """Both timelines are equal, op for op."""
    for name in Timeline._fields:
        a, b = np.asarray(getattr(left, name)), np.asarray(getattr(right, name))
        if not np.array_equal(a, b):
            op = int(np.argmax(a != b))
            raise AssertionError(f"{name} of op {op} is {a[op]} or {b[op]} in {program}")


def agreed(program: Program) -> Timeline:
    """The timeline of a program, on which both engines agree, op for op."""
    found = replay(program)
    assert_same(simulate(program), found, program)
    return found


def by_cycle(program: Program) -> Timeline:
    """The rules read aloud, cycle by cycle: O(ops × cycles)."""
    ops = len(program.unit)
    unset = -1
    ready, start, finish = (np.full(ops, unset, np.int64) for _ in range(3))
    critical = np.full(ops, unset, np.int32)
    cycle = 0
    while (start == unset).any():
        for op in range(ops):
            before = program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]].tolist()
            if ready[op] == unset and all(unset < finish[p] <= cycle for p in before):
                ready[op] = cycle
                if before:
                    latest = max(finish[p] for p in before)
                    critical[op] = min(p for p in before if finish[p] == latest)
                if program.unit[op] == JOIN:
                    start[op] = finish[op] = cycle
        for unit, servers in enumerate(program.unit_servers):
            mine = program.unit == unit
            held = mine & (start != unset) & (cycle < start + program.busy_cycles)
            waiting = np.flatnonzero(mine & (ready != unset) & (start == unset)).tolist()
            waiting.sort(key=lambda op: (program.yields[op], ready[op], op))
            for op in waiting[: max(int(servers) - int(held.sum()), 0)]:
                start[op] = cycle
                finish[op] = cycle + program.busy_cycles[op] + program.latency_cycles[op]
        cycle += 1
    return Timeline(ready, start, finish, critical)


@st.composite
def programs(draw: st.DrawFn, max_ops: int = 24) -> Program:
    """Small programs full of ties; an edge may be given twice."""
    builder = ProgramBuilder()
    for servers in draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=4)):
        builder.add_unit("unit", servers)
    units = len(builder.unit_names)
    for op in range(draw(st.integers(0, max_ops))):
        after = draw(st.lists(st.integers(0, op - 1), max_size=4)) if op else []
        unit = draw(st.integers(JOIN, units - 1))
        if unit == JOIN:
            builder.add_join(after)
        else:
            latency = draw(st.sampled_from([0, 0, 1, 2, 9]))
            yields = draw(st.booleans())
            builder.add_op(unit, draw(st.integers(1, 4)), latency, after, yields=yields)
    return builder.build()


def random_program(rng: np.random.Generator) -> Program:
    """Of random size and habits: how often ops join, wait, share units, and how long they take."""
    builder = ProgramBuilder()
    for _ in range(rng.integers(1, 5)):
        builder.add_unit("unit", int(rng.choice([1, 1, 2, 3, 40])))
    longest, slowest = int(rng.choice([1, 3, 20])), int(rng.choice([0, 2, 50]))
    joins, reach = rng.choice([0.0, 0.1, 0.5]), int(rng.choice([2, 8, 100]))
    most, shy = int(rng.choice([1, 3, 12])), rng.choice([0.0, 0.3])
    for op in range(rng.integers(1, 40)):
        earliest = max(0, op - reach)
        after = rng.integers(earliest, op, rng.integers(0, most + 1)).tolist() if op else []
        if rng.random() < joins:
            builder.add_join(after)
        else:
            latency = int(rng.integers(0, slowest + 1)) * int(rng.integers(0, 2))
            unit = int(rng.integers(len(builder.unit_names)))
            busy, yields = int(rng.integers(1, longest + 1)), bool(rng.random() < shy)
            builder.add_op(unit, busy, latency, after, yields=yields)
    return builder.build()


def layered_program(layers: int, tiles: int, writes_back: bool = False, seed: int = 0) -> Program:
    """What a lowered network looks like: each tile loads weights and spikes, computes, updates.

    DRAM has a latency of 30 cycles; two buffers make each load wait for the compute of two tiles
    ago; a join ends each layer. Results written back share the DRAM with the next loads, and so
    overtake them.
    """
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder()
    dram, port, array, vector = (builder.add_unit(n) for n in ("dram", "port", "array", "vector"))
    cycles = rng.integers((8, 4, 10, 5), (40, 20, 60, 20), (layers * tiles, 4)).tolist()
    layer_end: list[int] = []
    for layer in range(layers):
        computes: list[int] = []
        updates: list[int] = []
        for tile in range(tiles):
            load, local, compute, update = cycles[layer * tiles + tile]
            freed = [*layer_end, *computes[tile - 2 : tile - 1]] if tile > 1 else layer_end
            weights = builder.add_op(dram, load, 30, freed)
            spikes = builder.add_op(port, local, 0, freed)
            drained = updates[tile - 2 : tile - 1] if tile > 1 else []
            computes.append(builder.add_op(array, compute, 0, [weights, spikes, *drained]))
            updates.append(builder.add_op(vector, update, 2, [computes[-1]]))
            if writes_back:
                builder.add_op(dram, load, 30, [updates[-1]])
        layer_end = [builder.add_join(updates)]
    return builder.build()
