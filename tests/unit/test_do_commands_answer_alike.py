"""Every command: 0 when done, 2 after one message for bad input, 130 when interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from simulator.command import answered, check_counts, check_target
from simulator.errors import ResultError, SimulatorError


def failing(error: BaseException) -> int:
    raise error


def test_a_command_answers_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(lambda: None) == 0
    assert answered(lambda: 1) == 1
    assert capsys.readouterr().err == ""


def test_bad_input_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(lambda: failing(ResultError("x.json: is empty"))) == 2
    assert answered(lambda: failing(SimulatorError("no")), "models.train") == 2
    assert capsys.readouterr().err == "x.json: is empty\nmodels.train: no\n"


def test_an_interruption_says_what_it_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(lambda: failing(KeyboardInterrupt())) == 130
    assert answered(lambda: failing(KeyboardInterrupt()), "models.train", "go on") == 130
    told = capsys.readouterr().err
    assert told == "interrupted; nothing was written\nmodels.train: interrupted; go on\n"


def test_our_own_mistakes_are_not_taken_for_bad_input() -> None:
    with pytest.raises(ZeroDivisionError):
        answered(lambda: failing(ZeroDivisionError()))


def test_options_in_common_are_checked_by_name(tmp_path: Path) -> None:
    options = argparse.Namespace(images=1, test_images=0)
    check_counts(options, "images")
    with pytest.raises(ResultError, match="--test-images is 0; it must be at least 1"):
        check_counts(options, "images", "test_images", error=ResultError)
    check_target(tmp_path / "new", "--out")
    with pytest.raises(SimulatorError, match=r"--out .*absent/new: its folder does not exist"):
        check_target(tmp_path / "absent" / "new", "--out")
