"""A page shows a result, says where it comes from, and needs nothing but itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reports.page import main, write_page
from simulator.errors import ResultError
from tests.messages import refused
from tests.sample_result import sample_result

PLOTLY = "plotly.js v"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(sample_result(), path)
    return path.read_text(encoding="utf-8")


def _own(page: str) -> str:
    """The page without plotly's own code."""
    scripts = re.findall(r"<script[^>]*>.*?</script>", page, flags=re.DOTALL)
    for script in scripts:
        if len(script) > 1_000_000:
            page = page.replace(script, "")
    return page


def test_it_holds_plotly_once_and_asks_the_network_for_nothing(page: str) -> None:
    assert page.count(PLOTLY) == 1
    own = _own(page)
    assert not re.search(r"<(script|img|iframe)[^>]+src=|<link|@import|url\(", own)
    assert "https://" not in re.sub(r'"plotlyServerURL": ?"https://[^"]*"', "", own)


def test_it_says_where_the_numbers_come_from(page: str) -> None:
    own = _own(page)
    for text in (
        "calibrated: random weights",
        "no accuracy applies",
        "sha256:" + "ab" * 32,
        "sha256:" + "cd" * 32,
        "python -m simulator.run --arch sample.yaml",
        "made up [28 nm]",
        "horowitz_28nm",
        "4.6 pJ a MAC",
    ):
        assert text in own or text in " ".join(own.split())


def test_every_plot_has_its_table_and_its_definition(page: str) -> None:
    own = _own(page)
    data = re.findall(r'<script type="application/json">(.*?)</script>', own)
    plots = [plot for text in data for plot in json.loads(text)["plots"]]
    assert len(data) >= 6
    # Made-up counts have no trace to be replayed from.
    plots = [plot for plot in plots if plot["table"]["heading"] != ["not drawn"]]
    for plot in plots:
        assert plot["figure"]["data"]
        assert plot["table"]["rows"]
        assert all(len(row) == len(plot["table"]["heading"]) for row in plot["table"]["rows"])
    wanted = re.findall(r'data-definition="([^"]+)"', own)
    assert len(wanted) == len(data)
    assert set(wanted) == set(re.findall(r'<template data-heading="([^"]+)">', own))


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    result = sample_result()
    evil = "</script><script>alert(1)</script><b onclick=x>&"
    result.provenance["architecture"]["name"] = evil
    result.provenance["command"] = evil
    for table, column in (("images", "image_id"), ("prices", "source"), ("prices", "meaning")):
        result.tables[table][column] = evil
    for table in ("layers", "actions", "layer_stalls"):
        frame = result.tables[table]
        frame["layer"] = frame["layer"] + evil
    write_page(result, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<b onclick" not in text


def test_a_page_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_page(sample_result(range(1), 1, 1), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    sample_result().save(tmp_path / "result")
    assert main([str(tmp_path / "result"), "--out", str(tmp_path / "page.html")]) == 0
    assert PLOTLY in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_bad_input_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing"), "--out", str(tmp_path / "page.html")]) == 2
    message = capsys.readouterr().err
    assert "missing" in message
    assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with refused(ResultError, tmp_path / "folder"):
        write_page(sample_result(range(1), 1, 1), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
