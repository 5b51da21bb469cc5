"""How many ops a second each engine replays; compare the groups, nothing is asserted of time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from simulator.engine.attribution import stalls
from simulator.engine.reference import simulate
from simulator.engine.replay import replay, replay_images
from simulator.engine.stream import StreamImage, replay_stream
from simulator.program import Program, Structure, Timeline
from tests.programs import layered_program

TILES = 100


@pytest.fixture(scope="module")
def programs() -> dict[tuple[int, bool], Program]:
    return {
        (layers, writes_back): layered_program(layers, TILES, writes_back)
        for layers in (20, 500)
        for writes_back in (False, True)
    }


def measure(
    benchmark: BenchmarkFixture, engine: Callable[[Program], Timeline], program: Program
) -> None:
    engine(layered_program(1, 2))  # compiled before the clock starts
    timeline = benchmark(engine, program)
    assert timeline.makespan_cycles > 0
    benchmark.extra_info["ops"] = len(program.unit)
    if benchmark.stats is not None:  # None where benchmarks run as plain tests
        benchmark.extra_info["ops_per_s"] = len(program.unit) / benchmark.stats.stats.median


@pytest.mark.parametrize("writes_back", [False, True], ids=["in_order", "overtaking"])
@pytest.mark.parametrize("engine", [replay, simulate], ids=["numba", "simpy"])
@pytest.mark.benchmark(group="replay: numba or simpy, some 10 thousand ops")
def test_same_program_on_both_engines(
    benchmark: BenchmarkFixture,
    programs: dict[tuple[int, bool], Program],
    engine: Callable[[Program], Timeline],
    writes_back: bool,
) -> None:
    measure(benchmark, engine, programs[20, writes_back])


@pytest.mark.parametrize("writes_back", [False, True], ids=["in_order", "overtaking"])
@pytest.mark.benchmark(group="replay: numba, some 200 thousand ops")
def test_large_program(
    benchmark: BenchmarkFixture, programs: dict[tuple[int, bool], Program], writes_back: bool
) -> None:
    measure(benchmark, replay, programs[500, writes_back])


@pytest.mark.parametrize("shared", [False, True], ids=["a_structure_each", "one_structure"])
@pytest.mark.benchmark(group="replay: numba, ten images of some 10 thousand ops")
def test_images_of_one_structure(
    benchmark: BenchmarkFixture, programs: dict[tuple[int, bool], Program], shared: bool
) -> None:
    program = programs[20, True]
    rows = [program.busy_cycles] * 10

    def run() -> int:
        if shared:
            timelines = list(replay_images(Structure.of(program), rows))
        else:
            timelines = [replay(program) for _ in rows]
        return timelines[-1].makespan_cycles

    run()
    assert benchmark(run) > 0


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.benchmark(group="replay: numba, ten images of some 10 thousand ops")
def test_stream_of_one_structure(
    benchmark: BenchmarkFixture, programs: dict[tuple[int, bool], Program], places: int
) -> None:
    program = programs[20, True]
    images = [StreamImage(Structure.of(program), program.busy_cycles)] * 10

    def run() -> int:
        return [passage.finish_cycle for passage in replay_stream(images, places)][-1]

    run()
    assert benchmark(run) > 0


@pytest.mark.benchmark(group="attribution: some 200 thousand ops")
def test_stalls(benchmark: BenchmarkFixture, programs: dict[tuple[int, bool], Program]) -> None:
    program = programs[500, True]
    timeline = replay(program)
    stalls(program, timeline, program.unit, 2, 4)
    idle = benchmark(stalls, program, timeline, program.unit, 2, 4)
    assert idle[-1] == 0
