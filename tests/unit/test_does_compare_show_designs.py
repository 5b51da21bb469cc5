"""The comparison names designs, measures them against a baseline, and finds the Pareto front."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.compare import compare_cards, compare_page, main
from reports.figures.base import PALETTE, WINE, Run
from reports.figures.cycles import marker
from reports.figures.designs import METRICS, DesignMetric, front, headline, overview, ratios
from reports.html import definitions
from reports.runs import load_runs
from reports.tables import paper_tables
from simulator.results.result import Result
from simulator.results.summary import summary
from tests.messages import cases
from tests.sample_result import sample_result
from tests.sample_runs import DESIGNS, WORKLOADS, sample_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    sample_runs(folder)
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Run]:
    return load_runs([str(folder)])


def test_a_folder_stands_for_all_results_below_it(folder: Path, runs: list[Run]) -> None:
    assert {(run.design, run.workload) for run in runs} == {
        (design, workload) for design in DESIGNS for workload in WORKLOADS
    }
    one = load_runs([str(folder / "sparse-cifar")])
    assert [(run.design, run.workload) for run in one] == [("sparse", "cifar")]
    assert len(load_runs([str(folder / "sparse-cifar" / "result.json")])) == 1


def test_one_run_in_two_folders_is_one(folder: Path, tmp_path: Path) -> None:
    again = Result.load(folder / "sparse-cifar")
    again.provenance["command"] = "python -m simulator.run --arch ../elsewhere/sparse.yaml"
    again.save(tmp_path / "again")
    both = load_runs([str(folder / "sparse-cifar"), str(tmp_path / "again")])
    assert [(run.design, run.workload) for run in both] == [("sparse", "cifar")]


def test_a_label_is_the_name_of_a_design(folder: Path) -> None:
    one = str(folder / "sparse-cifar")
    assert [run.design for run in load_runs([f"a={one}", f"b={one}", one])] == ["a", "b", "sparse"]


def test_a_path_with_an_equals_sign_is_a_path(folder: Path, tmp_path: Path) -> None:
    Result.load(folder / "sparse-cifar").save(tmp_path / "x=1")
    assert [run.design for run in load_runs([str(tmp_path / "x=1")])] == ["sparse"]


def _named(tmp_path: Path, *commands: tuple[str, str]) -> list[str]:
    """Names of results of one architecture with these (command, content hash)."""
    for place, (command, digest) in enumerate(commands):
        result = sample_result(range(1), 1, 1)
        result.provenance["command"] = f"python -m simulator.run {command}"
        result.provenance["architecture"]["content_hash"] = f"sha256:{digest}"
        result.save(tmp_path / str(place))
    return [run.design for run in load_runs([str(tmp_path)])]


def test_designs_of_one_name_are_told_apart_by_what_was_replaced(tmp_path: Path) -> None:
    names = _named(tmp_path, ("--arch a", "11"), ("--arch a --set cores.0.pe_array.rows=4", "22"))
    assert names == ["sample_machine", "sample_machine, rows=4"]


def test_replaced_fields_of_one_name_keep_as_much_of_their_paths_as_they_need(
    tmp_path: Path,
) -> None:
    sizes = ("weights", "spikes")
    words = [f"--set cores.0.buffers.{name}.size_kib=8 --set clock_mhz=9" for name in sizes]
    names = _named(tmp_path, (words[0], "11"), (words[1], "22"))
    assert names == [f"sample_machine, {name}.size_kib=8, clock_mhz=9" for name in sizes]


def test_designs_that_no_command_tells_apart_show_their_hash(tmp_path: Path) -> None:
    names = _named(tmp_path, ("--arch a", "1" * 64), ('--arch b "', "2" * 64))
    assert names == ["sample_machine 11111111", "sample_machine 22222222"]


@pytest.mark.parametrize("metric", METRICS)
def test_ratios_are_those_of_the_means(runs: list[Run], metric: DesignMetric) -> None:
    cells = ratios(runs, metric, "dense").to_dict("index")
    assert set(cells["dense"].values()) == {1.0}
    values = {(run.design, run.workload): headline(run)[metric.name] for run in runs}
    for design in DESIGNS:
        told = [values["dense", name] / values[design, name] for name in WORKLOADS]
        assert [cells[design][name] for name in WORKLOADS] == pytest.approx(told)
        assert cells[design]["geometric mean"] == pytest.approx(math.sqrt(math.prod(told)))


def test_one_run_can_be_the_baseline_of_all_workloads_of_its_data_set(runs: list[Run]) -> None:
    frame = ratios(runs, METRICS[0], "dense@cifar_baseline")
    assert frame.to_dict("index")["dense"]["cifar_baseline"] == 1
    assert [*frame.columns] == ["cifar", "cifar_baseline"]
    other = sample_result()
    other.provenance["trace"]["dataset"]["name"] = "mnist"
    more = [*runs, Run("dense", "digits", other, summary(other))]
    assert "digits" not in ratios(more, METRICS[0], "dense@cifar_baseline")
    assert "digits" in ratios(more, METRICS[0], "dense")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_holds_exactly_who_is_not_beaten(points: list[tuple[int, int]]) -> None:
    kept = front([a for a, _ in points], [b for _, b in points])
    assert any(kept)
    for place, (a, b) in enumerate(points):
        beaten = [p for p in points if p[0] <= a and p[1] <= b and p != (a, b)]
        assert kept[place] == (not beaten)


def test_every_card_has_a_definition_a_table_and_a_plot_for_every_run(runs: list[Run]) -> None:
    cards = compare_cards(runs)
    assert len({card.name for card in cards}) == len(cards)
    for card in cards:
        assert card.definition in definitions()
        for plot in card.plots.values():
            assert len(plot.table) > 0
            assert plot.note
        if card.choices == ("workload",):
            assert [*card.plots][: len(WORKLOADS)] == [(name,) for name in WORKLOADS]
        if card.choices == ("workload", "design"):
            assert len(card.plots) == len(runs)


def test_the_picture_blanks_exactly_the_halted_patches(runs: list[Run]) -> None:
    plot = next(card for card in compare_cards(runs) if card.name == "halting").plots
    drawing = str(plot["cifar", "image 0: test/00000"].drawing)
    table = plot["cifar", "image 0: test/00000"].table
    masks = runs[0].result.tables["token_masks"]
    total = np.zeros(64, int)
    steps = re.findall(r"<title>timestep (\d), block (\d): (\d+) of 64.*?d=\"(.*?)\"", drawing)
    assert len(steps) == 4
    for timestep, block, active, path in steps:
        row = masks.query(f"image == 0 and timestep == {timestep} and block == {block}")
        packed = np.frombuffer(bytes.fromhex(row["active_hex"].iloc[0]), np.uint8)
        bits = np.unpackbits(packed, bitorder="little")
        blanks = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1", path)}
        assert blanks == {(at % 8, at // 8) for at in np.flatnonzero(bits == 0).tolist()}
        assert int(active) == bits.sum()
        total += bits
    assert table["computed (steps)"].tolist() == total.tolist()


def test_the_page_says_where_everything_comes_from(runs: list[Run]) -> None:
    text = compare_page(runs, "sparse")
    for run in runs:
        assert run.result.provenance["architecture"]["content_hash"] in text
        assert run.result.provenance["trace"]["content_hash"] in text
        assert run.result.provenance["command"] in text
    for words in ("calibrated: random weights", "no accuracy applies", "made up [28 nm]"):
        assert words in text
    assert "<strong>Images that not all designs ran" not in text
    data = re.search(r'id="card-against-latency".*?json">(.*?)</script>', text, re.DOTALL)
    assert data
    assert json.loads(data[1])["plots"][0]["at"] == ["sparse"]
    assert compare_page(runs, "sparse") == text


def test_names_cannot_break_out_of_the_page(runs: list[Run]) -> None:
    evil = "</script><script>alert(1)</script><b onclick=x>&"
    result = sample_result()
    result.provenance["architecture"]["name"] = evil
    result.tables["images"]["image_id"] = evil
    text = compare_page([Run(evil, evil, result, summary(result))])
    assert "<script>alert" not in text
    assert "<b onclick" not in text


def test_markdown_and_latex_tables_hold_the_same_cells(runs: list[Run]) -> None:
    lines = paper_tables(runs, "dense", ".md").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    tex = paper_tables(runs, "dense", ".tex")
    plain = tex.replace(r"\_", "_").replace(r"\textmu{}", "µ").replace(r"\\", "").splitlines()
    assert [line.strip().split(" & ") for line in plain if " & " in line] == rows
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 1 + len(METRICS)
    assert rows[0] == [*overview(runs).columns]
    for line in tex.splitlines():
        assert not re.search(r"(?<!\\)[_#%]", line), line


@cases("bad_comparison")
def test_bad_input_is_one_message(
    words: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    other = Result.load(folder / "sparse-cifar")
    other.provenance["stasim"] = "0.0"
    other.save(tmp_path / "other")
    places = {"runs": folder, "empty": tmp_path / "empty", "other": tmp_path / "other"}
    given = [word.format_map(places) for word in words]
    message = message.format_map(places)
    assert main([*given, "--out", str(tmp_path / "page.html")]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_page_and_tables(folder: Path, tmp_path: Path) -> None:
    tables = [f"--tables={tmp_path / name}" for name in ("t.md", "t.tex")]
    assert main([str(folder), "--out", str(tmp_path / "page.html"), *tables]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "t.md", "t.tex"]


# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _lab(colour: str, matrix: list[list[float]]) -> np.ndarray:
    """CIELAB (D65) of a colour as someone with this colour vision sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    x, y, z = np.cbrt(np.array(to_xyz) @ seen / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_no_two_colours_look_alike_to_colour_blind_readers(blindness: str) -> None:
    seen = [_lab(colour, BLINDNESS[blindness]) for colour in (*PALETTE, WINE)]
    distances = [float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)]
    assert min(distances) > 10


def test_where_colours_repeat_symbols_differ() -> None:
    marks = [(m["color"], m["symbol"]) for m in (marker(place, 8) for place in range(56))]
    assert len(set(marks)) == 56


def test_a_saved_result_and_a_fresh_one_give_one_page(tmp_path: Path) -> None:
    result = sample_result()
    result.save(tmp_path / "r")
    fresh = compare_page([Run("a", "b", result, summary(result))])
    back = Result.load(tmp_path / "r")
    assert compare_page([Run("a", "b", back, summary(back))]) == fresh
