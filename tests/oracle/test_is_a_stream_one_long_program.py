"""A stream gives, op for op, the times of the one long program that it stands for."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np
import pytest

from simulator.engine.reference import simulate, simulate_stream
from simulator.engine.replay import replay
from simulator.engine.stream import StreamImage, StreamPassage, replay_stream
from simulator.errors import LoweringError
from simulator.program import JOIN, Program, Structure
from tests.messages import refused, said
from tests.programs import ProgramBuilder, random_program


def some_images(rng: np.random.Generator, count: int) -> list[Program]:
    """Programs of a few structures on the units of the first."""
    first = random_program(rng)
    units = len(first.unit_servers)
    shapes = [first, random_program(rng), random_program(rng)]
    images = []
    for _ in range(count):
        shape = shapes[rng.integers(len(shapes))]
        unit = np.where(shape.unit == JOIN, JOIN, shape.unit % units).astype(np.int32)
        busy = np.where(unit == JOIN, 0, rng.integers(1, 12, len(unit)))
        images.append(shape._replace(unit=unit, busy_cycles=busy, unit_servers=first.unit_servers))
    return images


def some_arrivals(rng: np.random.Generator, count: int) -> list[int | None]:
    if rng.random() < 0.3:
        return [None] * count
    return [int(cycle) for cycle in np.cumsum(rng.integers(0, rng.choice([1, 5, 200]) + 1, count))]


def streamed(
    programs: list[Program],
    arrivals: list[int | None],
    places: int,
    alone: Collection[int] = (),
) -> list[StreamPassage]:
    """The passages in order of the images; equal structures are shared."""
    shared: dict[bytes, Structure] = {}
    images = []
    for position, (program, arrival) in enumerate(zip(programs, arrivals, strict=True)):
        key = program.unit.tobytes() + program.pred.tobytes() + program.pred_ptr.tobytes()
        structure = shared.setdefault(key, Structure.of(program))
        images.append(StreamImage(structure, program.busy_cycles, arrival, position in alone))
    found = list(replay_stream(images, places, with_ops=True))
    ends = [(passage.finish_cycle, passage.position) for passage in found]
    assert ends == sorted(ends)
    return sorted(found)


def one_program(
    programs: list[Program],
    arrivals: list[int | None],
    passages: list[StreamPassage],
    alone: Collection[int] = (),
) -> tuple[Program, list[int]]:
    """All images one after another, with arrivals and places as edges; where each one's ops begin.

    Arrivals are ops of a unit of its own with a server each; a join ends each image.
    """
    builder = ProgramBuilder()
    for index, servers in enumerate(programs[0].unit_servers.tolist()):
        builder.add_unit(str(index), servers)
    clock = builder.add_unit("clock", len(programs) + 1)
    begins: list[int] = []
    ends: list[int] = []
    last_in_place: dict[int, list[int]] = {}
    for program, arrival, passage in zip(programs, arrivals, passages, strict=True):
        before = [builder.add_op(clock, arrival)] if arrival else []
        before += last_in_place.get(passage.place, [])
        base = len(builder._ops)
        begins.append(base)
        before += [end for position, end in enumerate(ends) if position in alone]
        for op, unit in enumerate(program.unit.tolist()):
            own = program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]].tolist()
            after = [base + other for other in own] or before
            cycles = int(program.busy_cycles[op]), int(program.latency_cycles[op])
            builder.add_op(unit, *cycles, after, yields=bool(program.yields[op]))
        ops = range(base, base + len(program.unit))
        ends.append(builder.add_join([*ops, *before]))
        last_in_place[passage.place] = [ends[-1]]
    return builder.build(), begins


def assert_begins_lawfully(
    arrivals: list[int | None],
    passages: list[StreamPassage],
    places: int,
    alone: Collection[int] = (),
) -> None:
    """An image begins in the first cycle in which it may, and never before an earlier one."""
    for position, passage in enumerate(passages):
        others = sorted(other.finish_cycle for other in passages[:position])
        place_free = others[-places] if len(others) >= places else 0
        earlier = passages[position - 1].start_cycle if position else 0
        ended = [passages[other].finish_cycle for other in alone if other < position]
        begin = max(arrivals[position] or 0, place_free, earlier, *ended)
        assert passage.start_cycle == begin
        assert passage.arrival_cycle == (
            passage.start_cycle if arrivals[position] is None else arrivals[position]
        )


def test_a_stream_is_what_simpy_says_and_one_long_program() -> None:
    rng = np.random.default_rng(7)
    overlaps = 0
    for _ in range(400):
        count, places = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        programs, arrivals = some_images(rng, count), some_arrivals(rng, count)
        alone = set(np.flatnonzero(rng.random(count) < 0.2).tolist())
        passages = streamed(programs, arrivals, places, alone)
        expected = simulate_stream(list(zip(programs, arrivals, strict=True)), places, alone)
        for found, wanted in zip(passages, expected, strict=True):
            assert found.start_cycle == wanted.start_cycle
            for name in ("ready", "start", "finish"):
                np.testing.assert_array_equal(
                    getattr(found, name), getattr(wanted.timeline, name), name
                )
            assert found.finish is not None
            assert found.finish_cycle == max(found.finish, default=found.start_cycle)
        assert_begins_lawfully(arrivals, passages, places, alone)
        program, begins = one_program(programs, arrivals, passages, alone)
        for timeline in (simulate(program), replay(program)):
            for passage, begin, image in zip(passages, begins, programs, strict=True):
                span = slice(begin, begin + len(image.unit))
                for name in ("start", "finish"):
                    np.testing.assert_array_equal(
                        getattr(passage, name), getattr(timeline, name)[span], name
                    )
        pairs = itertools.pairwise(passages)
        overlaps += any(later.start_cycle < earlier.finish_cycle for earlier, later in pairs)
    assert overlaps > 100  # many streams had images in flight together


@pytest.mark.nojit
def test_one_place_in_a_closed_loop_is_the_images_one_after_another() -> None:
    rng = np.random.default_rng(8)
    programs = some_images(rng, 30)
    passages = streamed(programs, [None] * 30, places=1)
    cycle = 0
    for program, passage in zip(programs, passages, strict=True):
        assert passage.start_cycle == cycle
        alone = replay(program)
        np.testing.assert_array_equal(passage.start, alone.start + cycle)
        cycle += alone.makespan_cycles
        assert passage.finish_cycle == cycle


@pytest.mark.nojit
def test_arrivals_far_apart_give_the_latency_of_images_alone() -> None:
    rng = np.random.default_rng(9)
    programs = some_images(rng, 10)
    arrivals: list[int | None] = [100_000 * (image + 1) for image in range(10)]
    for passage, program in zip(streamed(programs, arrivals, places=3), programs, strict=True):
        assert passage.start_cycle == passage.arrival_cycle
        assert passage.finish_cycle - passage.start_cycle == replay(program).makespan_cycles


@pytest.mark.nojit
def test_an_image_without_ops_takes_no_time() -> None:
    builder = ProgramBuilder()
    builder.add_unit("unit")
    empty = builder.build()
    passages = streamed([empty] * 5, [3, 3, 4, 9, 9], places=1)
    assert [passage.start_cycle for passage in passages] == [3, 3, 4, 9, 9]
    assert [passage.finish_cycle for passage in passages] == [3, 3, 4, 9, 9]


@pytest.mark.nojit
def test_images_come_one_at_a_time_however_long_the_stream() -> None:
    rng = np.random.default_rng(10)
    program = some_images(rng, 1)[0]
    structure, taken, left = Structure.of(program), 0, 0

    def images() -> Iterator[StreamImage]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield StreamImage(structure, program.busy_cycles)

    for _ in replay_stream(images(), places=3):
        left += 1
        assert taken - left <= 3 + 1
    assert left == 200


@pytest.mark.nojit
def test_what_breaks_a_rule_is_named() -> None:
    rng = np.random.default_rng(11)
    program = some_images(rng, 1)[0]
    structure = Structure.of(program)
    image = StreamImage(structure, program.busy_cycles, 5)
    with pytest.raises(LoweringError, match=said("an arrival before the last")):
        list(replay_stream([image, image._replace(arrival_cycle=4)], 1))
    with pytest.raises(LoweringError, match=said("an arrival beyond 62 bits")):
        list(replay_stream([image, image._replace(arrival_cycle=(1 << 62) - 1)], 1))
    other = structure._replace(unit_servers=structure.unit_servers + 1)
    with refused(LoweringError, "image 1", "unit_servers"):
        list(replay_stream([image, image._replace(structure=other)], 1))
