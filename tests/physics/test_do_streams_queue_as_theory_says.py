"""Streams on real machines: queueing theory, roofs of units, and work that no stream changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.engine.replay import replay
from simulator.engine.stream import StreamImage, replay_stream
from simulator.errors import ResultError
from simulator.program import Structure
from simulator.results.repricing import reprice
from simulator.results.result import Result
from simulator.results.summary import summary
from simulator.simulate import Simulation
from simulator.streams.arrivals import Arrivals, read_arrivals
from simulator.streams.simulate import _Programs, simulate_arrivals
from simulator.streams.statistics import mean_estimate
from simulator.trace import Trace
from tests.messages import said
from tests.programs import ProgramBuilder

ROOT = Path(__file__).parents[2]
CLOCK_MHZ = 500.0


@pytest.fixture(scope="module")
def trace() -> Iterator[Trace]:
    with Trace.open(ROOT / "traces" / "mnist.npz") as opened:
        yield opened


def simulation(trace: Trace, machine: str = "sparse_pe", places: int = 1) -> Simulation:
    path = ROOT / "arch_configs" / f"{machine}.yaml"
    return Simulation(trace, load_architecture(path, [f"dataflow.images_in_flight={places}"]))


def with_stream(run: Simulation, images: range, arrivals: Arrivals) -> Result:
    alone, streamed = run.run(images), simulate_arrivals(run, images, arrivals)
    result = Result(
        alone.provenance | {"stream": streamed.provenance}, alone.all_columns() | streamed.tables
    )
    result.check()
    return result


def regenerative(waiting: np.ndarray) -> tuple[float, float]:
    """Mean and standard error from the cycles that begin with an image that does not wait."""
    begins = np.flatnonzero(waiting == 0)
    sums = np.add.reduceat(waiting, begins)
    sizes = np.diff(np.append(begins, len(waiting)))
    mean = sums.sum() / sizes.sum()
    spread = ((sums - mean * sizes) ** 2).sum() / (len(begins) - 1)
    return mean, math.sqrt(spread * len(begins)) / sizes.sum()


def pollaczek_khinchine(service: np.ndarray, per_cycle: float) -> float:
    load = per_cycle * service.mean()
    return per_cycle * (service**2).mean() / (2 * (1 - load))


def assert_meets_theory(waiting: np.ndarray, service: np.ndarray, per_cycle: float) -> None:
    expected = pollaczek_khinchine(service, per_cycle)
    mean, error = regenerative(waiting.astype(float))
    assert abs(mean - expected) <= 3 * error
    assert error < 0.15 * expected  # an interval so wide that anything meets it proves nothing
    own = mean_estimate(waiting, confidence=0.997)
    assert own.low is not None
    assert own.high is not None
    assert own.low <= expected <= own.high


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_images_of_a_trace_wait_as_pollaczek_and_khinchine_say(trace: Trace, load: float) -> None:
    programs = _Programs(simulation(trace))
    rng = np.random.default_rng(5)
    service = simulation(trace).run(range(16)).tables["images"]["latency_cycles"].to_numpy()
    rate = load / service.mean() * CLOCK_MHZ * 1e6
    arrivals = read_arrivals(f"poisson:{rate},seed=3").cycles(CLOCK_MHZ)
    images = (programs.next(int(rng.integers(16)), next(arrivals)) for _ in range(4000))
    found = list(replay_stream(images, places=1))
    waiting = np.array([passage.start_cycle - passage.arrival_cycle for passage in found])
    served = np.array([passage.finish_cycle - passage.start_cycle for passage in found])
    assert set(served.tolist()) == set(service.tolist())
    assert_meets_theory(waiting, served.astype(float), load / service.mean())


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_service_times_of_any_spread_meet_the_same_formula(load: float) -> None:
    builder = ProgramBuilder()
    builder.add_op(builder.add_unit("unit"), 1)
    structure = Structure.of(builder.build())
    rng = np.random.default_rng(6)
    service = np.where(rng.random(60_000) < 0.1, 9_000, 1_000)  # squared variation 1.75
    rate = load / 1_800 * CLOCK_MHZ * 1e6
    arrivals = read_arrivals(f"poisson:{rate},seed=4").cycles(CLOCK_MHZ)
    images = (StreamImage(structure, np.array([busy]), next(arrivals)) for busy in service)
    found = list(replay_stream(images, places=1))
    waiting = np.array([passage.start_cycle - passage.arrival_cycle for passage in found])
    assert_meets_theory(waiting, service.astype(float), load / 1_800)


def test_a_closed_loop_with_one_place_is_images_alone(trace: Trace) -> None:
    result = with_stream(simulation(trace), range(8), read_arrivals("closed,images=12"))
    alone = result.tables["images"]["latency_cycles"].to_numpy()
    stream = result.tables["stream"]
    order = np.arange(12) % 8
    assert stream["image"].tolist() == order.tolist()
    assert stream["service_cycles"].tolist() == alone[order].tolist()
    assert stream["finish_cycle"].tolist() == np.cumsum(alone[order]).tolist()
    assert not stream["queueing_cycles"].any()


def test_weights_that_stay_are_loaded_once(trace: Trace) -> None:
    run = simulation(trace, "sparse_pe_resident")
    result = with_stream(run, range(4), read_arrivals("closed,images=10"))
    order = np.arange(10) % 4
    lowering = run.lowering
    batch = lowering.batch_of([trace.read(index) for index in range(4)])
    loading, present = lowering.lower_batch(batch), lowering.lower_batch(batch, pinned_present=True)
    cycles = [
        [replay(each.program(image)).makespan_cycles for image in range(4)]
        for each in (loading, present)
    ]
    service = result.tables["stream"]["service_cycles"].tolist()
    assert service == [cycles[0][0], *np.array(cycles[1])[order[1:]].tolist()]
    pinned = int((loading.dram_bits - present.dram_bits)[0].sum())
    assert pinned == sum(
        each.layer.inputs * each.layer.outputs * each.layer.weight_bits
        for each in run.plan.layers
        if each.pinned
    )
    saved = result.tables["stream_savings"].set_index(["part", "action"])["count"]
    assert saved["memories.dram", "read_bit"] == 9 * pinned
    alone = result.tables["images"]["dynamic_energy_pj"].to_numpy()[order].sum()
    energy_pj = summary(result)["stream"]["dynamic_energy_uj"] * 10 * 1e6
    less_pj = result.tables["stream_savings"]["energy_pj"].sum()
    assert less_pj > 0
    assert energy_pj == pytest.approx(alone - less_pj)


def test_no_image_begins_while_the_first_loads(trace: Trace) -> None:
    tables = []
    for engine in ("numba", "simpy"):
        run = simulation(trace, "sparse_pe_resident", places=3)
        run.engine = engine
        tables.append(simulate_arrivals(run, range(4), read_arrivals("closed")).tables)
    stream = tables[0]["stream"]
    begins, ends = (np.asarray(stream[f"{name}_cycle"]) for name in ("start", "finish"))
    assert begins[1:4].tolist() == [ends[0]] * 3
    for column, values in stream.items():
        assert values.tolist() == tables[1]["stream"][column].tolist(), column


def test_a_stream_keeps_its_savings_at_other_prices(trace: Trace) -> None:
    run = simulation(trace, "sparse_pe_resident")
    result = with_stream(run, range(2), read_arrivals("closed,images=4"))
    path = ROOT / "arch_configs" / "sparse_pe_resident.yaml"
    repriced = reprice(result, load_architecture(path))
    assert repriced.tables["stream_savings"].equals(result.tables["stream_savings"])
    broken = result.all_columns()
    energies = np.array(broken["stream_savings"]["energy_pj"]) * 2
    broken["stream_savings"] = broken["stream_savings"] | {"energy_pj": energies}
    with pytest.raises(ResultError, match=said("savings that are another stream's")):
        Result(result.provenance, broken).check()


def test_arrivals_far_apart_give_the_latency_of_images_alone(trace: Trace) -> None:
    result = with_stream(simulation(trace, places=3), range(6), read_arrivals("rate:100"))
    stream = result.tables["stream"]
    alone = result.tables["images"]["latency_cycles"]
    assert stream["latency_cycles"].tolist() == alone.tolist()
    assert result.tables["stream_queue"]["in_flight"].max() == 1


@pytest.mark.parametrize("machine", ["sparse_pe", "dense_pe", "prosperity"])
def test_more_in_flight_does_the_same_work_under_the_same_roofs(trace: Trace, machine: str) -> None:
    finishes = []
    for places in (1, 2, 4):
        run = simulation(trace, machine, places)
        result = with_stream(run, range(6), read_arrivals("closed,images=18"))
        units, stream = result.tables["stream_units"], result.tables["stream"]
        alone = result.tables["units"].groupby("unit", sort=False)["busy_cycles"].sum()
        assert units["busy_cycles"].tolist() == (3 * alone).tolist()
        # The roof of a unit: no machine finishes the stream before its busiest unit has.
        busiest = (units["busy_cycles"] / units["servers"]).max()
        finish = int(stream["finish_cycle"].max())
        assert finish >= busiest
        assert result.tables["stream_queue"]["in_flight"].max() == places
        finishes.append(finish)
    assert finishes[1] < finishes[0]
    assert finishes[2] < finishes[0]


def test_both_engines_give_the_same_stream(trace: Trace) -> None:
    arrivals = read_arrivals("poisson:12000,seed=2")
    tables = []
    for engine in ("numba", "simpy"):
        run = simulation(trace, places=2)
        run.engine = engine
        tables.append(simulate_arrivals(run, range(3), arrivals).tables)
    for name, table in tables[0].items():
        for column, values in table.items():
            assert values.tolist() == tables[1][name][column].tolist(), f"{name}.{column}"
