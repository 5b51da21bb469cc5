"""Does the page name the faster and the cheaper design, how surely, and where the order turns?"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.compare import compare_page
from reports.figures.base import Run, axis_words, log_axis
from reports.machine_table import differing_fields, machine_cards
from reports.runs import load_runs
from reports.verdicts import verdicts
from simulator.energy.break_even import Design, ratio_span
from simulator.energy.spans import NOTHING, Span, total
from simulator.results.units import UNITS, number
from tests.real_runs import ROOT, real_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return load_runs(real_runs(tmp_path_factory.mktemp("real")))


def _design(spans: list[Span]) -> Design:
    """A design without DRAM whose causes cost these."""
    causes = {str(place): span for place, span in enumerate(spans)}
    return Design(causes, total(spans), NOTHING, NOTHING, 0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_extremes_of_a_ratio_are_those_of_its_corners(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    span = st.tuples(st.floats(0.1, 10), st.floats(0, 10), st.floats(0, 10)).map(
        lambda each: Span(each[0], each[0] + each[1], each[0] + each[1] + each[2])
    )
    one, other = ([data.draw(span) for _ in range(count)] for _ in range(2))
    corners = [
        math.fsum(each[place] for each, place in zip(one, places, strict=True))
        / math.fsum(each[place] for each, place in zip(other, places, strict=True))
        for places in itertools.product(range(3), repeat=count)
    ]
    low, _, high = ratio_span(_design(one), _design(other))
    assert low == pytest.approx(min(corners))
    assert high == pytest.approx(max(corners))


def test_the_winner_is_who_takes_least(runs: list[Run]) -> None:
    (verdict,) = verdicts(runs, "dense_pe")
    assert verdict.cheaper is not None
    by_time = min(runs, key=lambda run: run.facts["latency_ms"]["mean"])
    by_energy = min(runs, key=lambda run: run.facts["energy_uj"])
    assert (verdict.faster.design, verdict.cheaper.design) == (by_time.design, by_energy.design)
    base = next(run for run in runs if run.design == "dense_pe")
    ratio = base.facts["latency_ms"]["mean"] / by_time.facts["latency_ms"]["mean"]
    assert verdict.faster.times.value == pytest.approx(ratio)
    assert verdict.faster.n == 3
    assert by_energy.priced is not None
    assert base.priced is not None
    own = by_energy.priced.energy.nominal
    assert verdict.cheaper.times.value == pytest.approx(base.priced.energy.nominal / own)
    assert verdict.turns
    assert {turn.unit for turn in verdict.turns} <= {"mW", "pJ/bit"}


def test_who_wins_itself_is_measured_by_the_second(runs: list[Run]) -> None:
    best = min(runs, key=lambda run: run.facts["energy_uj"]).design
    (verdict,) = verdicts(runs, best)
    assert verdict.cheaper is not None
    assert verdict.cheaper.design == best
    assert verdict.cheaper.other != best


def test_the_page_says_it_in_one_sentence(runs: list[Run]) -> None:
    text = compare_page(runs, "dense_pe")
    (sentence,) = re.findall(
        r'<p class="verdict" data-against="dense_pe">(.*?)</p>', text, re.DOTALL
    )
    plain = " ".join(re.sub("<[^>]+>", "", sentence).split())
    (verdict,) = verdicts(runs, "dense_pe")
    assert f"{verdict.faster.design} is {number(verdict.faster.times.value)}× faster" in plain
    assert "n = 3" in plain
    assert "turns" in plain
    assert text.count('class="verdict"') == len(runs)


def test_the_table_of_machines_holds_what_their_files_say(runs: list[Run]) -> None:
    card = next(card for card in machine_cards(runs) if card.name == "machines")
    plot = card.plots[()]
    table = plot.table.set_index("field").T
    # arch_configs/sparse_pe.yaml: 8 rows of 32 columns; 256 + 128 + 512 + 32 + 1 KiB; 4 x 16 GB/s.
    row = table.loc["sparse_pe"]
    assert (row["adders"], row["peak (accumulations/cycle)"]) == (256, 256)
    assert row["buffers (KiB)"] == 929
    assert row["DRAM (GB/s)"] == 64
    assert "8 rows" in row["tile of the array"]
    assert (row["clock (MHz)"], table.loc["loas", "clock (MHz)"]) == (500, 800)
    # What is the same in all is one sentence, not a column.
    assert "weights 8" in plot.note
    assert "node (nm) 28" in plot.note
    assert "node (nm)" not in table.columns


def test_fields_that_differ_are_all_listed_and_no_others(runs: list[Run]) -> None:
    fields = differing_fields({run.design: run.result for run in runs}).set_index("field")
    assert fields.loc["cores.pe_array.kind", "sparse_pe"] == "spike_skip"
    assert fields.loc["cores.pe_array.lanes", "dense_pe"] == "–"
    for _, row in fields.iterrows():
        assert len(set(map(str, row))) > 1


def test_no_axis_is_stretched_over_next_to_nothing() -> None:
    axis: dict[str, Any] = log_axis([100.0, 100.003])
    low, high = (10 ** float(end) for end in axis["range"])
    assert high / low > 1.1
    assert "range" not in log_axis([100.0, 150.0])
    assert "0.003 %" in axis_words({"energy": [100.0, 100.003]})[0]
    assert axis_words({"energy": [100.0, 150.0]}) == []


def test_every_unit_of_the_documentation_is_the_modules() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name, unit in UNITS.items():
        assert f"\n| {name} | {unit.symbol} | {unit.stored} |\n" in text
    assert len(UNITS) > 10
