"""Do the views of a stream follow from its tables, alone and beside other streams?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reports.compare import compare_page
from reports.figures.base import Run
from reports.figures.batches import batch_cards, batches
from reports.figures.stream import stream_cards
from reports.figures.stream_load import machines_of, stream_comparison_cards
from reports.figures.stream_views import MOST_STEPS, crowd, images_met, spans_ms, tail
from reports.runs import load_runs
from simulator.architecture import load_architecture
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.streams.arrivals import read_arrivals
from simulator.streams.simulate import simulate_arrivals
from simulator.trace import Trace
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
LOADS = (
    "closed,images=12",
    "poisson:20000,seed=1,images=12",
    "poisson:50000,seed=1,images=12",
)


def simulated(trace: Path, arrivals: str = "", *overrides: str) -> Result:
    """A run on sparse_pe, with its stream where there are arrivals."""
    machine = load_architecture(ROOT / "arch_configs" / "sparse_pe.yaml", list(overrides))
    with Trace.open(trace) as opened:
        run = Simulation(opened, machine, command="python -m simulator.run")
        alone = run.run(range(3))
        if not arrivals:
            return alone
        streamed = simulate_arrivals(run, range(3), read_arrivals(arrivals))
    stated = alone.provenance | {"stream": streamed.provenance}
    return Result(stated, alone.all_columns() | streamed.tables)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=3)


@pytest.fixture(scope="module")
def runs(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """One machine under three loads."""
    folder = tmp_path_factory.mktemp("streams")
    for number, arrivals in enumerate(LOADS):
        simulated(trace, arrivals).save(folder / str(number))
    return load_runs([str(folder)])


def test_a_tail_falls_from_all_images_to_the_slowest() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.exponential(size=20 * MOST_STEPS), 3)
    times, shares = tail(values)
    assert len(times) <= MOST_STEPS
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(1 / len(values))
    assert times[-1] == values.max()
    for time, share in zip(times.tolist()[::97], shares.tolist()[::97], strict=True):
        # Of equal times the first one has the share of all that take as long.
        assert (values > time).mean() <= share <= (values >= time).mean()


def test_an_image_meets_those_that_have_not_finished() -> None:
    arrival, finish = np.array([0, 2, 3, 10, 10]), np.array([3, 6, 9, 12, 15])
    assert images_met(arrival, finish).tolist() == [0, 1, 1, 0, 1]


def test_the_time_of_a_stream_is_shared_out(runs: list[Run]) -> None:
    for run in runs:
        shares = crowd(run.result)
        assert shares.to_numpy().sum() == pytest.approx(1)
        in_flight = (shares.sum(axis=1) * shares.index).sum()
        assert in_flight == pytest.approx(run.facts["stream"]["in_flight_mean"])


def test_a_page_of_a_stream_has_all_views(runs: list[Run]) -> None:
    cards = {card.name: card for card in stream_cards(runs[1].result, runs[1].facts)}
    assert [*cards] == ["stream", "stream-tail", "stream-met", "stream-crowd"]
    met = cards["stream-met"].plots[()].table
    assert met["n"].sum() == 12
    means = [each.value for each in met["latency (ms)"]]
    latency = spans_ms(runs[1].result)["latency"]
    assert np.average(means, weights=met["n"]) == pytest.approx(latency.mean())


def test_loads_of_one_machine_are_one_line(runs: list[Run]) -> None:
    assert [run.design for run in runs] == [f"sparse_pe, {arrivals}" for arrivals in LOADS]
    assert {name: len(own) for name, own in machines_of(runs).items()} == {"sparse_pe": 3}
    load, tails = stream_comparison_cards(runs)
    plot = load.plots["tiny",]
    loads = plot.table["load (images/s)"].tolist()
    assert loads == sorted(loads)
    closed = plot.table["open"].eq("no")
    assert plot.table["arrivals"][closed].tolist() == ["closed,images=12"]
    served = plot.table["served (images/s)"]
    assert plot.table["load (images/s)"][closed].tolist() == served[closed].tolist()
    assert plot.figure is not None
    assert len(plot.figure.data) == 2
    assert plot.figure.data[0].marker.symbol.count("star") == 1
    assert set(tails.plots["tiny",].table["design"]) == {run.design for run in runs}


def test_more_load_never_takes_less_time(runs: list[Run]) -> None:
    """Of Poisson streams of one seed: the arrivals are the same but for their scale."""
    table = stream_comparison_cards(runs)[0].plots["tiny",].table
    opened = table[table["open"] == "yes"]
    means = [each.value for each in opened["mean (ms)"]]
    assert means == sorted(means)


def test_a_batch_holds_the_images_that_run_together(trace: Path) -> None:
    alone = simulated(trace)
    assert batch_cards(alone) == []
    result = simulated(trace, "", "dataflow.images_together=2")
    assert batches(result) == [range(2), range(2, 3)]
    (card,) = batch_cards(result)
    table, images = card.plots[()].table, result.tables["images"]
    assert table["images"].tolist() == ["0 to 1", "2 to 2"]
    assert table["additions"].sum() == images["additions"].sum()
    assert card.plots[()].figure is not None
    drawn = [value for bars in card.plots[()].figure.data for value in bars.y]
    assert sorted(drawn) == sorted(images["additions"])


def test_a_page_without_streams_has_none_of_it(runs: list[Run]) -> None:
    facts = {**runs[0].facts, "stream": None}
    assert stream_comparison_cards([runs[0]._replace(facts=facts)]) == []
    assert "Latency against load" in compare_page(runs)
