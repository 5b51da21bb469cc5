"""Every command: 0 when done, 2 after one message, 128 + signal, 70 after a fault of ours."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from simulator.command import check_counts, check_target, command, integer_option, supervised
from simulator.errors import ResultError, SimulatorError
from tests.messages import refused, said


def failing(error: BaseException) -> int:
    raise error


def test_a_command_answers_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert supervised(lambda: None) == 0
    assert supervised(lambda: 1) == 1
    assert capsys.readouterr().err == ""


def test_bad_input_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert supervised(lambda: failing(ResultError("x.json: is empty"))) == 2
    assert supervised(lambda: failing(SimulatorError("no")), "models.train") == 2
    assert capsys.readouterr().err == "x.json: is empty\nmodels.train: no\n"


def test_an_interruption_says_what_it_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert supervised(lambda: failing(KeyboardInterrupt())) == 130
    assert supervised(lambda: failing(KeyboardInterrupt()), "models.train", "go on") == 130
    told = capsys.readouterr().err
    assert told == "interrupted; nothing was written\nmodels.train: interrupted; go on\n"


@pytest.fixture(params=["SIGINT", "SIGTERM", "SIGHUP"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A signal that ends a process, also where the tests run under nohup, which ignores it."""
    number = getattr(signal, request.param)
    ends = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    earlier = signal.signal(number, ends)
    yield request.param
    signal.signal(number, earlier)


def test_every_signal_that_asks_for_the_end_cleans_up(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(signal, name)
    earlier = signal.getsignal(number)
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait(10)
        finally:
            cleaned.append(name)

    assert supervised(work, interrupted="the rest is there") == 128 + number
    assert cleaned == [name]
    word = "interrupted" if name == "SIGINT" else f"ended by {name}"
    assert capsys.readouterr().err == f"{word}; the rest is there\n"
    assert signal.getsignal(number) == earlier


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert supervised(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_fault_of_ours_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert supervised(lambda: failing(ZeroDivisionError("by\nnothing")), "models.train") == 70
    (file,) = tmp_path.iterdir()
    told = capsys.readouterr().err
    assert told.startswith("models.train: unforeseen ZeroDivisionError: by nothing (the traceback")
    assert told.count("\n") == 1
    assert str(file) in told
    assert "Traceback (most recent call last)" in file.read_text()
    assert "STASim" in file.read_text()


def test_a_fault_of_ours_without_a_place_for_its_file_is_one_line_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert supervised(lambda: failing(LookupError("x"))) == 70
    told = capsys.readouterr().err
    assert told == (
        "unforeseen LookupError: x (no file for its traceback: No such file or directory)\n"
    )


def test_a_command_keeps_its_name_and_takes_its_words() -> None:
    @command("models.x")
    def main(arguments: Sequence[str] | None = None) -> int:
        """Say how many."""
        return len(arguments or ())

    assert main(["a", "b"]) == 2
    assert main.__doc__ == "Say how many."


def test_options_in_common_are_checked_by_name(tmp_path: Path) -> None:
    options = argparse.Namespace(images=1, test_images=0)
    check_counts(options, "images")
    with pytest.raises(ResultError, match=said("a count of none")):
        check_counts(options, "images", "test_images", error=ResultError)
    check_target(tmp_path / "new", "--out")
    with refused(SimulatorError, f"--out {tmp_path}/absent/new"):
        check_target(tmp_path / "absent" / "new", "--out")


def test_a_number_is_written_in_ascii_digits() -> None:
    read = integer_option(0, 1024)
    assert read("0") == 0
    assert read("1024") == 1024
    for text in ("²", "\u0661", "-1", "1025", "1" * 5000, "", " 1", "1_0"):
        with pytest.raises(argparse.ArgumentTypeError, match=said("digits that are not ASCII")):
            read(text)
