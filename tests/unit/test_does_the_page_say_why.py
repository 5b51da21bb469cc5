"""Layer by layer, and from one design to another: do the pieces sum to what the results hold?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from reports.figures.base import Run, words
from reports.figures.joules import efficiency, energy_roofs
from reports.figures.over_time import over_time_cards
from reports.figures.roofline import CYCLES, JOULES, roofline_card, roofline_cards
from reports.figures.search import best_so_far, dominated, hypervolume, parallel_card
from reports.figures.sweep import as_yaml
from reports.runs import load_runs
from reports.why import VIEWS, layer_table, pieces, waterfall_cards
from simulator.errors import ResultError, TraceError
from simulator.replayed import replayed
from simulator.results.columns import numbers
from simulator.results.result import Result
from simulator.results.units import headed
from tests.factories import tiny_trace
from tests.messages import refused, said
from tests.real_runs import real_runs
from tests.sample_sweep import sample_sweep


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return load_runs(real_runs(tmp_path_factory.mktemp("why")))


def test_the_pieces_of_a_waterfall_are_the_whole(runs: list[Run]) -> None:
    for run in runs:
        time, energy = (sum(pieces(run, view).values()) for view in VIEWS)
        assert time == pytest.approx(run.facts["latency_ms"]["mean"])
        assert energy == pytest.approx(run.facts["energy_uj"])
    cards = waterfall_cards(runs)
    assert [card.name for card in cards] == [*VIEWS]
    assert all(len(card.plots["tiny",].table) == len(runs) for card in cards)


def test_one_design_has_no_waterfall(runs: list[Run]) -> None:
    assert waterfall_cards(runs[:1]) == []


def test_the_table_of_layers_sums_to_the_run(runs: list[Run]) -> None:
    for run in runs:
        table, facts = layer_table(run), run.facts
        names = ("energy (µJ)", "DRAM (MB)", "busy (cycles)", "waited for (cycles)")
        sums = {name: sum(each.value for each in table[name]) for name in names}
        assert sums["energy (µJ)"] == pytest.approx(facts["dynamic_energy_uj"])
        assert sums["DRAM (MB)"] * 1e6 == pytest.approx(facts["dram_bytes_mean"])
        cycles = sums["busy (cycles)"] + sums["waited for (cycles)"]
        assert cycles == pytest.approx(facts["latency_cycles"]["mean"])
        assert (table["live rows"] <= table["rows"]).all()


def test_nothing_takes_less_energy_than_its_roof(runs: list[Run]) -> None:
    for run in runs:
        found = efficiency(run.result, run.design)
        assert found is not None
        assert (found.layers["achieved"] < found.layers["roof"]).all()
        # Additions are a real part of it: a roof far above everything would say nothing.
        assert (found.layers["achieved"] > 0.05 * found.layers["roof"]).any()
        entire = found.roofs.total(np.array([found.intensity]))[0]
        assert 0 < found.achieved < entire < found.roofs.dynamic(np.array([found.intensity]))[0]


def test_the_roofs_are_the_prices_of_the_machine(runs: list[Run]) -> None:
    (run,) = [run for run in runs if run.design == "sparse_pe"]
    roofs = energy_roofs(run.result)
    assert roofs is not None
    prices = run.result.tables["prices"].set_index(["part", "action"])["energy_pj"]
    assert roofs.addition_pj == prices["cores.0.pe_array", "accumulate"]
    cheaper = prices["memories.dram"][["read_bit", "write_bit"]].min()
    assert roofs.byte_pj == pytest.approx(8 * cheaper)
    # At the balance half of the energy goes to either; without an end to reuse only additions cost.
    half, far = roofs.dynamic(np.array([roofs.balance, 1e12]))
    assert half == pytest.approx(1e3 / (2 * roofs.addition_pj))
    assert far == pytest.approx(1e3 / roofs.addition_pj)
    # uW for a cycle: what is always on for the latency is the leakage of the images.
    images = run.result.tables["images"]
    always_pj = roofs.cycle_pj * images["latency_cycles"]
    assert always_pj.tolist() == pytest.approx(images["leakage_energy_pj"].tolist())


def test_the_roofline_is_shown_in_cycles_and_in_joules(runs: list[Run]) -> None:
    (card,) = roofline_cards(runs)
    assert set(card.plots) == {("tiny", CYCLES), ("tiny", JOULES)}
    assert set(card.plots["tiny", JOULES].table["design"]) == {run.design for run in runs}
    alone = roofline_card(runs[0].result, runs[0].facts)
    assert [*alone.plots] == [(CYCLES,), (JOULES,)]
    stated = runs[0].result.provenance
    provenance = {**stated, "architecture": {**stated["architecture"], "document": {}}}
    assert energy_roofs(Result(provenance, runs[0].result.all_columns())) is None


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([(0.0, 0.0)], 1.0),
        ([(1.0, 1.0)], 0.0),
        ([(0.5, 0.5)], 0.25),
        ([(0.25, 0.75), (0.75, 0.25)], 0.75 * 0.25 + 0.25 * 0.5),
        ([(0.5, 0.5), (0.6, 0.6)], 0.25),
    ],
)
def test_the_dominated_area_is_that_of_the_steps(
    points: list[tuple[float, float]], area: float
) -> None:
    assert dominated(points) == pytest.approx(area)
    assert dominated(points[::-1]) == pytest.approx(area)


def test_a_search_only_ever_comes_further() -> None:
    result = sample_sweep()
    volume = hypervolume(result, "latency_ms", "accuracy")
    assert volume.is_monotonic_increasing
    assert 0 <= volume.iloc[0] < volume.iloc[-1] <= 1
    assert best_so_far(result, "latency_ms").is_monotonic_decreasing
    assert best_so_far(result, "accuracy").is_monotonic_increasing


def test_every_point_that_keeps_the_limits_is_a_line_and_a_row() -> None:
    result = sample_sweep()
    plot = parallel_card(result).plots[()]
    ok = result.points[result.points["status"] == "ok"]
    assert plot.table["number"].tolist() == ok["number"].tolist()
    assert plot.figure is not None
    named = [name for trace in plot.figure.data for name in trace.text]
    assert {int(name.split()[1]) for name in named} == set(ok["number"].tolist())


def test_a_point_copies_to_yaml() -> None:
    result = sample_sweep()
    row = result.points.to_dict("records")[0]
    expected = {name: row[f"parameter.{name}"] for name in "abc"} | {"d": {"kind": "none"}}
    assert yaml.safe_load(as_yaml(result, row)) == expected


def test_names_of_the_code_become_headings_with_units() -> None:
    assert headed("energy_uj") == "energy (µJ)"
    assert headed("sram_area_mm2") == "sram area (mm²)"
    assert headed("accuracy") == "accuracy"
    assert headed("latency_ms") == "latency (ms)"


def test_a_network_without_blocks_has_no_tokens(runs: list[Run]) -> None:
    from reports.figures.tokens import token_cards, tokens_cards

    facts = {**runs[0].facts, "active_tokens": {"by_timestep_and_block": []}}
    assert token_cards(facts) == []
    assert tokens_cards([runs[0]._replace(facts=facts)]) == []


def test_stalls_over_time_add_up_to_the_stalls_of_the_result(runs: list[Run]) -> None:
    card = over_time_cards(runs)[0]
    for run in runs:
        table = card.plots[run.workload, run.design].table
        images, stalls = run.result.tables["images"], run.result.tables["stalls"]
        own = stalls[(stalls["image"] == 0) & (stalls["stall_cycles"] > 0)]
        cycles = table.filter(like="(cycles)").sum()
        expected = {
            f"{words(cause)} (cycles)": n for cause, n in own[["cause", "stall_cycles"]].values
        }
        assert cycles.drop("busy (cycles)").to_dict() == expected
        assert cycles.sum() == images["latency_cycles"][0]
        # The last part ends with the image; its layer is one of the network's.
        assert 100 <= len(table) <= 120
        assert table["from (ms)"].is_monotonic_increasing
        layers = set(run.result.tables["layers"]["layer"])
        assert {place.split(",")[0] for place in table["mostly"]} <= layers


def test_images_that_run_together_are_replayed_together(tmp_path: Path) -> None:
    words = {"sparse_pe": ("dataflow.images_together=3",)}
    trace = [run.result for run in load_runs(real_runs(tmp_path, ["sparse_pe"], overrides=words))]
    assert (
        int(replayed(trace[0], 50).widths.sum()) == trace[0].tables["images"]["latency_cycles"][0]
    )


def test_without_its_trace_a_page_says_that_nothing_is_drawn(tmp_path: Path) -> None:
    runs = load_runs(real_runs(tmp_path, ["loas"]))
    (tmp_path / "tiny.npz").unlink()
    plot = over_time_cards(runs)[0].plots["tiny", "loas"]
    assert plot.figure is None
    assert "tiny.npz: the trace is not here" in plot.note
    # Another trace of that name is not the result's.
    tiny_trace(tmp_path / "tiny.npz", images=2)
    with refused(TraceError, "tiny.npz"):
        replayed(runs[0].result, 50)


def test_a_replay_that_differs_is_not_drawn(runs: list[Run]) -> None:
    tables = runs[0].result.all_columns()
    stalls = dict(tables["stalls"])
    stalls["stall_cycles"] = numbers(stalls, "stall_cycles") + 1
    other = Result(runs[0].result.provenance, tables | {"stalls": stalls})
    with pytest.raises(ResultError, match=said("a replay that differs")):
        replayed(other, 50)
