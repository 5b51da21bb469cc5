"""The picture of a block holds its cycles at each timestep, and nothing but the block."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from experiments.timeline_picture import main, picture, read_block
from simulator.simulate import Simulation
from simulator.timeline import TimelineRecording, write_timeline
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import machine
from tests.messages import cases


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> TimelineRecording:
    path = tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", blocks=2, halting="none")
    with Trace.open(path) as trace:
        return Simulation(trace, machine()).record(0)


@pytest.fixture(scope="module")
def timeline(recording: TimelineRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timeline") / "run.json"
    write_timeline([recording, recording], path)
    return path


def test_the_headings_tell_cycles_and_tokens(recording: TimelineRecording, timeline: Path) -> None:
    text = picture(read_block(timeline, 1), "block 1")
    runs = [
        (track.name, run.entire)
        for track in recording.tracks
        for run in track.runs
        if run.entire.arguments.get("block") == 1
    ]
    for timestep in range(2):
        own = [(unit, w) for unit, w in runs if w.arguments["timestep"] == timestep]
        start = min(entire.start_cycle for unit, entire in own if unit == "pe_array")
        units = ("pe_array", "vector_unit")
        end = max(entire.end_cycle for unit, entire in own if unit in units)
        assert f"timestep {timestep}: {end - start:,} cycles, active tokens: 16" in text


def test_bars_lie_in_their_panel_and_none_of_an_array_overlap(timeline: Path) -> None:
    root = ElementTree.fromstring(picture(read_block(timeline, 0), "block 0"))
    width = float(root.attrib["viewBox"].split()[2])
    rows: dict[str, list[tuple[float, float]]] = {}
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        for x, y, bar in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v", path.attrib["d"]):
            rows.setdefault(y, []).append((float(x), float(x) + float(bar)))
    assert len(rows) >= 4
    for bars in rows.values():
        bars.sort()
        assert bars[0][0] >= 150
        assert bars[-1][1] <= width
        for (_, end), (start, _) in itertools.pairwise(bars):
            # Places and widths are rounded, and nothing is drawn narrower than the eye can see.
            assert end <= start + 0.55


def test_the_command_writes_it(timeline: Path, tmp_path: Path) -> None:
    assert main([str(timeline), "--block", "1", "--out", str(tmp_path / "b.svg")]) == 0
    assert (tmp_path / "b.svg").read_text().startswith("<svg")


@cases("bad_block_picture")
def test_bad_input_is_one_message(
    text: str | None,
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path), *words, "--out", str(tmp_path / "b.svg")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "b.svg").exists()
