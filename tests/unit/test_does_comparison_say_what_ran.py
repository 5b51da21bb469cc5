"""Do the tables and the plot of docs/comparison.md say what was run?"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from experiments.comparison import (
    MACHINES,
    TRACES,
    Case,
    Figures,
    halting_table,
    made_sections,
    main_table,
    picture,
    rankings,
    run_both,
    three_digits,
)
from experiments.generated import replaced
from simulator.energy.break_even import Design
from simulator.energy.spans import NOTHING, Span
from simulator.errors import ResultError
from tests.messages import refused

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "comparison.md"
SHARES = {"first layer": 0.1, "attention": 0.2, "other weighted sums": 0.6, "waiting": 0.1}
ENERGY = {
    "DRAM bits": 0.5,
    "DRAM always on": 0.2,
    "SRAM": 0.2,
    "logic": 0.08,
    "chip always on": 0.02,
}


def priced(figures: Figures) -> Design:
    """A design that draws half of its energy all the time, and moves more the shorter it runs."""
    energy = Span(0.5, 1.0, 2.0).times(1e6 * figures.energy_uj)
    half = energy.times(0.5)
    return Design({"add": energy}, half, NOTHING, half, 1e9 / figures.time_ms, figures.time_ms)


def cases() -> list[Case]:
    """In `compat` machines in order, in `full` in reverse; STAS halves `compat`, doubles `full`."""
    found = []
    for trace in TRACES:
        halved = 1.0 if trace.endswith("_baseline") else 0.5
        for place, machine in enumerate(MACHINES):
            compat = Figures((place + 1) * halved, (place + 1) * 3.0, {}, {})
            full = Figures((10.0 - place) / halved, 20.0 - place, SHARES, ENERGY)
            found.append(Case(trace, machine, compat, full, "tick_batched", priced(full)))
    return found


def test_ranks_count_from_the_best() -> None:
    lines = main_table(cases()).splitlines()[2:]
    assert len(lines) == len(TRACES) * len(MACHINES)
    first = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    last = len(MACHINES)
    assert first[:3] == [TRACES[0], MACHINES[0], "tick_batched"]
    assert first[3:6] == ["1 (1)", f"10 ({last})", "10.00"]


def test_orders_and_savings_are_told() -> None:
    orders = rankings(cases())
    assert " < ".join(MACHINES) in orders
    assert " < ".join(reversed(MACHINES)) in orders
    row = halting_table(cases()).splitlines()[2]
    cells = [cell.strip() for cell in row.split("|")[3:10]]
    # The same energy in twice the time: the prices turn nothing, more power speaks against STAS.
    assert cells[:5] == ["0.50", "2.00", "1.00", "1.00", "1.00 to 1.00"]
    assert cells[5].endswith("(0.5)")


def test_the_plot_has_two_marks_for_every_figure() -> None:
    root = ElementTree.fromstring(picture(cases()))
    marks = [each for each in root if each.tag.endswith("circle") and each.get("class")]
    assert len(marks) == 2 * 2 * len(TRACES) * len(MACHINES)
    width = float(str(root.get("viewBox")).split()[2])
    assert all(0 < float(str(mark.get("cx"))) < width for mark in marks)


def test_the_page_holds_every_section_once() -> None:
    text = PAGE.read_text("utf-8")
    for name, made in made_sections(cases()).items():
        assert made in replaced(text, name, made, PAGE)
    with refused(ResultError, PAGE):
        replaced("no markers", "rankings", "", PAGE)


@pytest.mark.slow
def test_a_row_of_the_page_is_what_the_commands_print() -> None:
    text = PAGE.read_text("utf-8")
    case = run_both("mint", "cifar10_baseline")
    for accounting in (case.compat, case.full):
        for value in (accounting.time_ms, accounting.energy_uj):
            row = next(line for line in text.splitlines() if "cifar10_baseline | mint" in line)
            assert f"{three_digits(value)} (" in row
