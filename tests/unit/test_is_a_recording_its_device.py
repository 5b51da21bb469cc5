"""Does a recording give its device's answers again, and refuse what was not recorded?"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work
from simulator.hil.recorded import RecordedDevice, Recorder
from simulator.hil.simulated import SimulatedDevice
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.messages import refused, rows, said
from tests.works import works_of


def answers(device: Device, works: list[Work]) -> list[Cost]:
    device.begin_image()
    return [device.estimate(work) for work in works]


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[list[Work]], list[list[Cost]]]:
    """A recording of two images on sparse_pe, their work and their costs."""
    folder = tmp_path_factory.mktemp("recorded")
    with Trace.open(tiny_trace(folder / "tiny.npz", timesteps=3, seed=5)) as trace:
        machine = load_architecture("sparse_pe")
        recorder = Recorder(SimulatedDevice(trace, machine))
        works = [list(works_of(trace, trace.read(index))) for index in range(2)]
        costs = [answers(recorder, each) for each in works]
    recorder.save(folder / "run.json", {"stasim": "test"})
    return folder / "run.json", works, costs


def test_the_answers_are_the_same_in_any_order_of_images(
    recorded: tuple[Path, list[list[Work]], list[list[Cost]]],
) -> None:
    path, works, costs = recorded
    device = RecordedDevice(path)
    assert [answers(device, each) for each in reversed(works)] == list(reversed(costs))
    assert "sparse_pe" in device.name


@pytest.mark.parametrize("what", ["spike", "mask", "timestep", "skipped"])
def test_a_run_that_departs_by_one_bit_is_told(
    recorded: tuple[Path, list[list[Work]], list[list[Cost]]], what: str
) -> None:
    path, works, _ = recorded
    first, second, third = works[0][:3]
    if what == "spike":
        name = "blocks.0.attn.q"
        bits = second.tensors[name].copy()
        bits[0, 0, 0, 0] ^= 1
        second = second._replace(tensors={**second.tensors, name: bits})
    elif what == "mask":
        mask = second.active["0"].copy()
        mask[0, 3] = not mask[0, 3]
        second = second._replace(active={"0": mask})
    elif what == "timestep":
        second = second._replace(timestep=2)
    else:
        second = third
    device = RecordedDevice(path)
    device.begin_image()
    device.estimate(first)
    with pytest.raises(DeviceError, match=said("a run that departs")):
        device.estimate(second)


def _changed(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(text)
    change(content)
    return json.dumps(content)


def _cheaper(content: dict[str, Any]) -> None:
    next(iter(content["answers"].values()))["cycles"] = 1


def _backwards(content: dict[str, Any]) -> None:
    next(iter(content["answers"].values()))["cycles"] = -1


MESSAGES = rows("broken_recording")
BROKEN: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "list": lambda _: "[]",
    "future": lambda text: text.replace("recording/1", "recording/9"),
    "changed": lambda text: _changed(text, _cheaper),
    "negative": lambda text: _changed(text, _backwards),
    "missing": lambda text: _changed(text, lambda c: c.pop("device")),
    "unknown": lambda text: _changed(text, lambda c: c.update(extra=1)),
    "nan": lambda text: text.replace('"energy_pj": ', '"energy_pj": NaN, "x": ', 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_error(
    recorded: tuple[Path, list[list[Work]], list[list[Cost]]], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(BROKEN[name](recorded[0].read_text()))
    with pytest.raises(DeviceError, match=MESSAGES[name][0]) as error:
        RecordedDevice(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with refused(DeviceError, tmp_path / "none.json"):
        RecordedDevice(tmp_path / "none.json")
    recorder = Recorder(RecordedNothing())
    with refused(DeviceError, tmp_path / "no" / "folder.json", os.strerror(errno.ENOENT)):
        recorder.save(tmp_path / "no" / "folder.json", {})
    recorder.begin_image()
    recorder.estimate(Work(("a",), 0, {}, {"0": np.ones((1, 2), np.bool_)}))
    recorder.save(tmp_path / "nothing.json", {})
    assert len(RecordedDevice(tmp_path / "nothing.json").recording.answers) == 1


class RecordedNothing:
    """A device whose work is free."""

    name = "nothing"

    def begin_image(self) -> None:
        """Ready."""

    def estimate(self, work: Work) -> Cost:
        return Cost(0, 1.0, None, {})

    def close(self) -> None:
        """Nothing is held."""
