"""Each idle cycle of a unit is charged once, to what its next op waited for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.attribution import stalls
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.program import JOIN, Program, Timeline
from tests.messages import cases
from tests.programs import ProgramBuilder, layered_program, programs

pytestmark = pytest.mark.nojit


def cycle_by_cycle(
    program: Program, timeline: Timeline, category: np.ndarray, unit: int, categories: int
) -> np.ndarray:
    """For every idle cycle on its own, the op on the way to the next start that covers it."""
    ready, start, finish, critical = timeline
    mine = np.flatnonzero(program.unit == unit)
    idle = np.zeros(categories + 1, np.int64)
    for cycle in range(timeline.makespan_cycles):
        if ((start[mine] <= cycle) & (cycle < start[mine] + program.busy_cycles[mine])).any():
            continue
        later = mine[start[mine] > cycle]
        op = critical[later[start[later].argmin()]] if len(later) else int(finish.argmax())
        while op >= 0 and not ready[op] <= cycle < finish[op]:
            op = critical[op]
        idle[category[op] if op >= 0 else categories] += 1
    return idle


@given(programs(), st.data())
def test_the_walk_equals_a_search_for_each_cycle(program: Program, data: st.DataObject) -> None:
    program.unit_servers[0] = 1
    categories = 3
    category = np.array(data.draw(st.lists(st.integers(0, 2), min_size=24, max_size=24)), np.int32)[
        : len(program.unit)
    ]
    category[program.unit == JOIN] = -99  # never read
    timeline = replay(program)
    idle = stalls(program, timeline, category, 0, categories)
    busy = program.busy_cycles[program.unit == 0].sum()
    assert idle.sum() == timeline.makespan_cycles - busy
    assert (idle >= 0).all()
    assert idle[categories] == 0
    assert idle.tolist() == cycle_by_cycle(program, timeline, category, 0, categories).tolist()


@given(programs())
def test_an_idle_unit_is_charged_for_its_own_latency_only(program: Program) -> None:
    program.unit_servers[0] = 1
    program.latency_cycles[program.unit == 0] = 0
    idle = stalls(program, replay(program), program.unit, 0, 4)
    assert idle[0] == 0


@pytest.fixture
def pipeline() -> tuple[Program, list[int]]:
    """DRAM (busy 10, latency 30) feeds a port (busy 5) twice, which feeds the array (busy 7)."""
    builder = ProgramBuilder()
    dram, port, array = (builder.add_unit(name) for name in ("dram", "port", "array"))
    computes = []
    for _ in range(2):
        load = builder.add_op(dram, 10, latency=30)
        computes.append(builder.add_op(array, 7, after=[builder.add_op(port, 5, after=[load])]))
    return builder.build(), computes


def test_the_gaps_of_a_pipeline_go_to_their_causes(pipeline: tuple[Program, list[int]]) -> None:
    program, computes = pipeline
    timeline = replay(program)
    assert timeline.start[computes].tolist() == [45, 55]
    # 45 cycles to the first compute: 40 of the DRAM, 5 of the port; then 52 to 55: the port.
    assert stalls(program, timeline, program.unit, 2, 3).tolist() == [40, 8, 0, 0]
    # The DRAM is done at 20: its own latency until 50, then the port, then the array until 62.
    assert stalls(program, timeline, program.unit, 0, 3).tolist() == [30, 5, 7, 0]


def test_waiting_in_a_queue_is_charged_to_who_waits() -> None:
    builder = ProgramBuilder()
    port, array = builder.add_unit("port"), builder.add_unit("array")
    builder.add_op(port, 20)
    load = builder.add_op(port, 5)
    builder.add_op(array, 1, after=[load])
    program = builder.build()
    category = np.array([0, 1, 2], np.int32)
    assert stalls(program, replay(program), category, array, 3).tolist() == [0, 25, 0, 0]


def test_a_unit_without_ops_waits_for_the_critical_path(
    pipeline: tuple[Program, list[int]],
) -> None:
    program, _ = pipeline
    program = program._replace(unit_servers=np.ones(4, np.int32))
    timeline = replay(program)
    idle = stalls(program, timeline, program.unit, 3, 3)
    assert idle.sum() == timeline.makespan_cycles


def test_an_empty_program_has_no_idle_cycle() -> None:
    builder = ProgramBuilder()
    builder.add_unit("array")
    program = builder.build()
    assert stalls(program, replay(program), program.unit, 0, 2).tolist() == [0, 0, 0]


def test_what_no_chain_explains_is_told_apart(pipeline: tuple[Program, list[int]]) -> None:
    program, _ = pipeline
    timeline = replay(program)
    cut = timeline._replace(critical=np.full_like(timeline.critical, -1))
    idle = stalls(program, cut, program.unit, 2, 3)
    assert idle[:3].tolist() == [0, 0, 0]
    assert idle[3] == timeline.makespan_cycles - 14


def test_a_layered_network_leaves_nothing_unexplained() -> None:
    program = layered_program(layers=3, tiles=20)
    timeline = replay(program)
    for unit in range(4):
        idle = stalls(program, timeline, program.unit, unit, 4)
        busy = program.busy_cycles[program.unit == unit].sum()
        assert idle.sum() == timeline.makespan_cycles - busy
        assert idle[4] == 0


@cases("bad_question_of_stalls")
def test_a_bad_question_is_refused(
    pipeline: tuple[Program, list[int]], question: str, message: str
) -> None:
    program, _ = pipeline
    timeline, category = replay(program), program.unit
    shared = program._replace(unit_servers=np.array([1, 1, 2], np.int32))
    shorter = timeline._replace(finish=timeline.finish[:-1])
    questions = {
        "unit": (program, timeline, category, 3, 3),
        "servers": (shared, timeline, category, 2, 3),
        "timeline": (program, shorter, category, 0, 3),
        "categories": (program, timeline, category[1:], 0, 3),
        "category": (program, timeline, category, 0, 2),
    }
    with pytest.raises(LoweringError, match="^" + re.escape(message)):
        stalls(*questions[question])
