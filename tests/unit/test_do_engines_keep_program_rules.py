"""Each rule of the timeline, on a program small enough to work out by hand, in both engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.program import Program, Timeline
from tests.programs import ProgramBuilder

pytestmark = pytest.mark.nojit
Engine = Callable[[Program], Timeline]


@pytest.fixture(params=[replay, simulate], ids=["numba", "simpy"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture
def builder() -> ProgramBuilder:
    return ProgramBuilder()


def test_successors_wait_for_the_latency_but_the_unit_does_not(
    engine: Engine, builder: ProgramBuilder
) -> None:
    dram, array = builder.add_unit("dram"), builder.add_unit("array")
    first = builder.add_op(dram, 10, latency=30)
    second = builder.add_op(dram, 10, latency=30)
    compute = builder.add_op(array, 5, after=[first])
    timeline = engine(builder.build())
    assert timeline.start[second] == 10
    assert timeline.start[compute] == 40
    assert timeline.finish[second] == timeline.makespan_cycles == 50


def test_who_became_ready_first_is_served_first_whatever_its_id(
    engine: Engine, builder: ProgramBuilder
) -> None:
    unit, other = builder.add_unit("unit"), builder.add_unit("other", servers=2)
    builder.add_op(unit, 9)
    early, late = builder.add_op(other, 3), builder.add_op(other, 4)
    after_late = builder.add_op(unit, 1, after=[late])
    after_early = builder.add_op(unit, 1, after=[early])
    timeline = engine(builder.build())
    assert timeline.start[after_early] == 9
    assert timeline.start[after_late] == 10


def test_the_smallest_id_is_served_first_among_those_ready_in_one_cycle(
    engine: Engine, builder: ProgramBuilder
) -> None:
    # Ready at cycle 4: op 2 through an op that ends there, ops 3 and 4 through ops seen earlier.
    fast, unit = builder.add_unit("fast", servers=2), builder.add_unit("unit")
    first, second = builder.add_op(fast, 4), builder.add_op(fast, 3, latency=1)
    ops = [builder.add_op(unit, 1, after=[last]) for last in (second, first, second)]
    timeline = engine(builder.build())
    assert timeline.start[ops].tolist() == [4, 5, 6]


def test_an_op_that_a_join_frees_in_this_cycle_competes_in_this_cycle(
    engine: Engine, builder: ProgramBuilder
) -> None:
    unit, other = builder.add_unit("unit"), builder.add_unit("other", servers=2)
    ends = [builder.add_op(other, 2), builder.add_op(other, 1, latency=1)]
    join = builder.add_join([builder.add_join(ends)])
    through_join = builder.add_op(unit, 5, after=[join])
    directly = builder.add_op(unit, 5, after=[ends[0]])
    timeline = engine(builder.build())
    assert timeline.start[through_join] == 2
    assert timeline.start[directly] == 7


def test_a_server_released_in_a_cycle_serves_in_it_who_became_ready_in_it(
    engine: Engine, builder: ProgramBuilder
) -> None:
    unit, other = builder.add_unit("unit"), builder.add_unit("other")
    builder.add_op(unit, 6)
    cause = builder.add_op(other, 6)
    op = builder.add_op(unit, 1, after=[cause])
    assert engine(builder.build()).start[op] == 6


def test_a_unit_holds_as_many_ops_as_it_has_servers(
    engine: Engine, builder: ProgramBuilder
) -> None:
    unit = builder.add_unit("unit", servers=3)
    for busy in (5, 2, 4, 1, 1):
        builder.add_op(unit, busy)
    assert engine(builder.build()).start.tolist() == [0, 0, 0, 2, 3]


def test_the_critical_predecessor_finished_last_and_is_the_smallest_among_equals(
    engine: Engine, builder: ProgramBuilder
) -> None:
    unit = builder.add_unit("unit", servers=9)
    ops = [builder.add_op(unit, busy) for busy in (3, 5, 2, 5)]
    tie = builder.add_op(unit, 1, after=reversed(ops))
    at_zero = builder.add_join([])
    after_zero = builder.add_op(unit, 1, after=[at_zero])
    timeline = engine(builder.build())
    assert timeline.critical[tie] == 1
    assert timeline.critical[ops].tolist() == [-1, -1, -1, -1]
    assert timeline.critical[at_zero] == -1
    assert timeline.critical[after_zero] == at_zero


def test_a_buffer_of_two_tiles_holds_the_producer_back(
    engine: Engine, builder: ProgramBuilder
) -> None:
    load, compute = builder.add_unit("load"), builder.add_unit("compute")
    loads: list[int] = []
    computes: list[int] = []
    for tile in range(4):
        credit = [computes[tile - 2]] if tile >= 2 else []
        loads.append(builder.add_op(load, 1, after=credit))
        computes.append(builder.add_op(compute, 10, after=[loads[-1]]))
    timeline = engine(builder.build())
    assert timeline.start[loads].tolist() == [0, 1, 11, 21]
    assert timeline.start[computes].tolist() == [1, 11, 21, 31]
