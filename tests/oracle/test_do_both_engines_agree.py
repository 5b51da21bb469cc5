"""SimPy defines, Numba is the product: the same timeline, op for op, whatever the program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from simulator.engine.follow import follow, is_plain
from simulator.engine.reference import simulate
from simulator.engine.replay import replay, replay_images
from simulator.errors import LoweringError
from simulator.program import JOIN, Program, Structure, Timeline
from tests.messages import cases, said
from tests.programs import (
    ProgramBuilder,
    assert_same,
    by_cycle,
    layered_program,
    programs,
    random_program,
)


def assert_lawful(program: Program, timeline: Timeline) -> None:
    """No op before its predecessors, no unit over its servers, no server free while an op waits.

    Nothing that yields is served while an op that does not is waiting.
    """
    ready, start, finish, _ = timeline
    latest = [
        max(finish[program.pred[low:high]], default=0)
        for low, high in zip(program.pred_ptr, program.pred_ptr[1:], strict=False)
    ]
    assert (ready == latest).all()
    assert (start >= ready).all()
    assert (finish == start + program.busy_cycles + program.latency_cycles).all()
    assert (start[program.unit == JOIN] == ready[program.unit == JOIN]).all()
    for unit, servers in enumerate(program.unit_servers):
        mine = np.flatnonzero(program.unit == unit)
        release = start + program.busy_cycles
        for cycle in np.unique(np.concatenate((ready[mine], start[mine], release[mine]))):
            held = ((start[mine] <= cycle) & (cycle < release[mine])).sum()
            waits = ((ready[mine] <= cycle) & (cycle < start[mine])).any()
            assert held == servers if waits else held <= servers
        for yields in (False, True):
            own = mine[program.yields[mine] == yields]
            queue = own[np.lexsort((own, ready[own]))]
            assert (np.diff(start[queue]) >= 0).all()
        first, last = mine[~program.yields[mine]], mine[program.yields[mine]]
        began = start[last][:, None]
        assert not ((ready[first] <= began) & (began < start[first])).any()


@pytest.mark.nojit
@given(programs())
def test_both_engines_agree_and_keep_the_law(program: Program) -> None:
    timeline = replay(program)
    assert_same(timeline, simulate(program), program)
    assert_same(timeline, by_cycle(program), program)
    assert_lawful(program, timeline)


def test_both_engines_agree_on_thousands_of_programs() -> None:
    rng = np.random.default_rng(20)
    for _ in range(3000):
        program = random_program(rng)
        assert_same(replay(program), simulate(program), program)


@pytest.mark.nojit
def test_images_of_one_structure_are_replayed_as_their_programs() -> None:
    rng = np.random.default_rng(21)
    for _ in range(100):
        program = random_program(rng)
        structure = Structure.of(program)
        works = program.unit != JOIN
        rows = [np.where(works, rng.integers(1, 30, len(works)), 0) for _ in range(4)]
        for busy, timeline in zip(rows, replay_images(structure, rows), strict=True):
            image = program._replace(busy_cycles=busy)
            assert_same(timeline, simulate(image), image)


@pytest.mark.nojit
def test_the_order_of_another_image_gives_the_same_times_or_none() -> None:
    rng = np.random.default_rng(22)
    outcomes = []
    for _ in range(100):
        program = layered_program(2, 4, writes_back=True, seed=int(rng.integers(1 << 30)))
        structure, works = Structure.of(program), program.unit != JOIN
        next(replay_images(structure, [program.busy_cycles]))
        assert structure.order.ops is not None
        changed = program.busy_cycles + rng.integers(0, 16, len(works)) * works
        timeline = follow(structure, changed, structure.order.ops)
        outcomes.append(timeline is not None)
        if timeline is not None:
            image = program._replace(busy_cycles=changed)
            assert_same(timeline, simulate(image), image)
    assert 10 < sum(outcomes) < 90


def test_no_order_is_followed_where_it_does_not_decide() -> None:
    for servers, yields in ((1, False), (2, False), (1, True)):
        builder = ProgramBuilder()
        builder.add_op(builder.add_unit("unit", servers), 2, yields=yields)
        assert is_plain(Structure.of(builder.build())) == (servers == 1 and not yields)


@pytest.mark.nojit
@cases("busy_cycles_that_break_a_rule")
def test_busy_cycles_that_break_a_rule_are_named(op: int, value: int, message: str) -> None:
    program = layered_program(layers=1, tiles=4)
    busy = program.busy_cycles.copy()
    busy[op] = value
    with pytest.raises(LoweringError, match=message):
        list(replay_images(Structure.of(program), [busy]))


@pytest.mark.nojit
def test_busy_cycles_are_as_many_as_operations() -> None:
    program = layered_program(layers=1, tiles=4)
    with pytest.raises(LoweringError, match=said("busy cycles of too few operations")):
        list(replay_images(Structure.of(program), [program.busy_cycles[:3]]))


@pytest.mark.parametrize("writes_back", [False, True])
def test_both_engines_agree_on_a_layered_network(writes_back: bool) -> None:
    program = layered_program(layers=4, tiles=60, writes_back=writes_back)
    timeline = replay(program)
    assert_same(timeline, simulate(program), program)
    assert_lawful(program, timeline)


def test_thousands_of_ops_that_become_ready_at_once_are_served_by_id() -> None:
    rng = np.random.default_rng(3)
    builder = ProgramBuilder()
    source, unit = builder.add_unit("source", 500), builder.add_unit("unit", 2)
    doors = [builder.add_op(source, 5) for _ in range(100)]
    for door in rng.integers(0, 100, 3000):
        builder.add_op(unit, int(rng.integers(1, 3)), 0, [doors[door]])
    program = builder.build()
    timeline = replay(program)
    assert (np.diff(timeline.start[100:]) >= 0).all()
    assert_same(timeline, simulate(program), program)


@pytest.mark.parametrize("servers", [31, 32, 33, 70, (1 << 31) - 1])
def test_a_unit_may_have_many_servers(servers: int) -> None:
    builder = ProgramBuilder()
    unit = builder.add_unit("unit", servers)
    for busy in np.random.default_rng(servers).integers(1, 9, 200).tolist():
        builder.add_op(unit, busy)
    program = builder.build()
    assert_same(replay(program), simulate(program), program)


@pytest.mark.nojit
def test_a_long_chain_of_joins_takes_no_time() -> None:
    builder = ProgramBuilder()
    unit = builder.add_unit("unit")
    op = builder.add_op(unit, 3)
    for _ in range(2000):
        op = builder.add_join([op])
    last = builder.add_op(unit, 1, 0, [op])
    program = builder.build()
    for timeline in (replay(program), simulate(program)):
        assert timeline.start[last] == 3
        assert (timeline.finish[1:last] == 3).all()


@pytest.mark.nojit
def test_an_empty_program_takes_no_time() -> None:
    for units in (0, 2):
        builder = ProgramBuilder()
        for _ in range(units):
            builder.add_unit("unit")
        program = builder.build()
        for timeline in (replay(program), simulate(program)):
            assert timeline.makespan_cycles == 0
            assert [len(column) for column in timeline] == [0, 0, 0, 0]


def test_the_largest_cycles_do_not_overflow() -> None:
    builder = ProgramBuilder()
    unit = builder.add_unit("unit")
    quarter = 1 << 60
    for _ in range(3):
        builder.add_op(unit, quarter)
    builder.add_op(unit, 1, quarter - 2, [0])
    program = builder.build()
    for timeline in (replay(program), simulate(program)):
        assert timeline.makespan_cycles == (1 << 62) - 1
