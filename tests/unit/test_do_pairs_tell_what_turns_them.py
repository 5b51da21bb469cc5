"""Do compare and diff say of each pair whether its order is sure, and what turns it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import compare, diff
from reports.break_evens import pairs, pairs_text
from reports.prices import price_cards
from reports.runs import load_runs
from simulator.architecture import load_architecture
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two machines on the same images."""
    work = tmp_path_factory.mktemp("pairs")
    with Trace.open(tiny_trace(work / "tiny.npz", images=2)) as trace:
        for machine in ("sparse_pe", "dense_pe"):
            own = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml")
            result = Simulation(trace, own, command=f"run {machine}").run(range(2))
            result.save(work / "tiny" / machine)
    return work


def test_a_pair_of_the_same_images_is_told_once(folder: Path) -> None:
    runs = load_runs([str(folder / "tiny")])
    (pair,) = pairs(runs)
    assert set(pair.names) == {"sparse_pe", "dense_pe"}
    lines = pairs_text([pair]).splitlines()
    assert lines[0].startswith("Energy: the order of")
    assert pair.lines[0] in lines[1]
    cards = {card.name: card for card in price_cards(runs)}
    assert [*cards] == ["ranking", "break-evens", "ratio-map"]
    (turns,) = cards["break-evens"].plots.values()
    power = next(turn for turn in pair.found.turns if turn.unit == "mW")
    assert turns.table["turns at always-on power (mW)"].tolist() == [power.value]


def test_a_network_and_its_twin_are_a_pair_where_they_ran_the_same_images(folder: Path) -> None:
    runs = load_runs([str(folder / "tiny")])
    twins = [*runs, *(run._replace(workload="twin") for run in runs)]
    cards = {card.name: card for card in price_cards(twins)}
    assert [*cards["break-evens"].plots] == [("tiny",), ("twin",), ("one design, all networks",)]
    table = cards["break-evens"].plots["one design, all networks",].table
    assert {*zip(table["design"], table["other"], strict=True)} == {
        (f"{name} on tiny", f"{name} on twin") for name in ("sparse_pe", "dense_pe")
    }


def test_the_energies_of_a_pair_are_those_of_its_results(folder: Path) -> None:
    (pair,) = pairs(load_runs([str(folder / "tiny")]))
    energies = [
        Result.load(folder / "tiny" / name).tables["images"]["energy_pj"].mean()
        for name in pair.names
    ]
    assert pair.one.energy.nominal == pytest.approx(energies[0])
    assert pair.other.energy.nominal == pytest.approx(energies[1])


def test_diff_and_compare_print_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(folder / "tiny" / name) for name in ("sparse_pe", "dense_pe"))
    assert not diff.main([one, other])
    assert "of the energy of" in capsys.readouterr().out
    assert not compare.main([one, other, "--out", str(tmp_path / "page.html")])
    (pair,) = pairs(load_runs([one, other]))
    assert pairs_text([pair]) in capsys.readouterr().out
    assert "Where the order by energy turns" in (tmp_path / "page.html").read_text("utf-8")
