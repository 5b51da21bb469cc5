"""Is a search looked at while it runs shown as far as it came, and does looking end with it?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.sweep import main, sweep_page
from reports.watch import Found, watched
from simulator.errors import SpaceError
from simulator.results.sweep_result import PROVENANCE, SweepResult
from simulator.sweep.evaluation import Outcome
from simulator.sweep.journal import NAME, Journal
from simulator.sweep.live import at_work, begin, so_far
from tests.messages import said
from tests.sample_sweep import sample_sweep

EVERY_S = 0.01
HEADER = {"space": "sha256:0"}


class Search:
    """A search that finds its points when a test says so."""

    def __init__(self, folder: Path, strict: bool = False) -> None:
        self.folder, self.result = folder, sample_sweep()
        self.journal = Journal(folder, HEADER)
        stated = {**self.result.provenance, **({"strict": True} if strict else {})}
        begin(folder, stated)
        self.rows = iter(self.result.points.to_dict("records"))

    def find(self, count: int) -> None:
        """Find some more points."""
        for _ in range(count):
            row = next(self.rows)
            point = {name: row[f"parameter.{name}"] for name in self.result.parameters}
            point["e.place"] = row["number"]  # no two points of the sample are one
            names = ("latency_ms", "accuracy")
            metrics = {} if row["status"] == "failed" else {n: row[f"metric.{n}"] for n in names}
            outcome = Outcome(
                row["number"],
                row["status"],
                row["message"],
                metrics,
                row["violation"],
                row["replay"],
                row["findings"],
            )
            self.journal.add([point], [outcome])

    def end(self) -> None:
        """Write the table, as the command does."""
        self.journal.close()
        self.result.save(self.folder)


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    running = Search(tmp_path / "search")
    yield running
    running.journal.close()


def test_what_is_found_so_far_is_shown_and_looking_ends_with_the_search(search: Search) -> None:
    looks = watched(str(search.folder), EVERY_S)
    numbers = []
    for count in (0, 3, 7):
        search.find(count)
        found = next(looks)
        assert found.runs
        assert "This search is running" in sweep_page(found.result, live_s=5.0)
        numbers.append(found.result.points["number"].tolist())
    assert numbers == [[], [0, 1, 2], [*range(10)]]
    search.end()
    last = next(looks)
    assert (last.runs, last.cut_short) == (False, False)
    # The last page is that of a search that nobody watched.
    page = sweep_page(last.result)
    assert page == sweep_page(SweepResult.load(search.folder))
    assert 'id="live"' not in page
    assert [*looks] == []


def test_nothing_is_shown_again_until_there_is_more(search: Search) -> None:
    search.find(2)
    looks, seen = watched(str(search.folder), EVERY_S), []
    seen.append(next(looks))
    begun = time.monotonic()
    while time.monotonic() < begun + 5 * EVERY_S:
        assert len(so_far(search.folder).points) == 2  # type: ignore[union-attr]
    search.find(1)
    seen.append(next(looks))
    assert [len(each.result.points) for each in seen] == [2, 3]


def test_a_search_that_was_cut_short_says_so(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.watch._SURE_S", 0.05)
    search.find(4)
    search.journal.close()
    (found,) = watched(str(search.folder), EVERY_S)
    assert found == Found(found.result, runs=False, cut_short=True)
    assert len(found.result.points) == 4
    assert "cut short" in sweep_page(found.result, cut_short=True)


def test_looking_never_refuses_a_search(search: Search) -> None:
    """A reader holds the journal for a moment; the search that begins then waits for it."""
    search.journal.close()
    assert not at_work(search.folder)
    with open(search.folder / NAME, "rb") as reader:
        import fcntl

        fcntl.flock(reader, fcntl.LOCK_SH)
        with pytest.raises(SpaceError, match=said("a search that another runs")):
            Journal(search.folder, HEADER)
    Journal(search.folder, HEADER).close()


def test_a_line_that_is_half_written_is_left_out(search: Search) -> None:
    search.find(2)
    with (search.folder / NAME).open("ab") as file:
        file.write(b'{"point": {"a"')
    found = so_far(search.folder)
    assert found is not None
    assert len(found.points) == 2


def test_a_strict_search_is_shown_as_strictly(tmp_path: Path) -> None:
    strict = Search(tmp_path / "strict", strict=True)
    strict.find(6)
    found = so_far(strict.folder)
    strict.journal.close()
    assert found is not None
    doubtful = found.points[found.points["findings"].str.contains("dead_network")]
    assert set(doubtful["status"]) == {"failed"}
    assert doubtful["message"].str.contains("--strict").any()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "stasim-sweep-result/1"}'])
def test_what_is_no_search_is_one_message(
    content: str, search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (search.folder / PROVENANCE).write_text(content)
    out = tmp_path / "page.html"
    assert main([str(search.folder), "--out", str(out), "--watch"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_a_folder_without_a_search_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "page.html"), "--watch"]) == 2
    assert said("a search without its points") in capsys.readouterr().err


def test_the_command_writes_the_last_page(search: Search, tmp_path: Path) -> None:
    search.find(64)
    search.end()
    out = tmp_path / "page.html"
    assert main([str(search.folder), "--out", str(out), "--watch"]) == 0
    assert out.read_text(encoding="utf-8") == sweep_page(SweepResult.load(search.folder))


def test_a_search_without_any_metric_can_be_read_again(tmp_path: Path) -> None:
    stated = sample_sweep().provenance
    failed = Outcome(0, "failed", "why", {}, 0.0, "none")._asdict()
    SweepResult.of(stated, ["a"], [(0, {"a": 1}, failed)]).save(tmp_path)
    back = SweepResult.load(tmp_path)
    assert json.dumps(back.provenance["space"]["objectives"]) in json.dumps(stated)
    assert "1 failed" in sweep_page(back)
