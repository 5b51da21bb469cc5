"""Do closed, full and broken streams, and signals, end a command without a traceback?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """\
import argparse, sys, time, subprocess
from pathlib import Path
from simulator.command import command

@command(interrupted="the file is gone")
def main(arguments=None):
    parser = argparse.ArgumentParser(description="long " * 3000)
    parser.add_argument("--lines", type=int, default=1)
    parser.add_argument("--wait", default="")
    parser.add_argument("--file", default="")
    options = parser.parse_args(arguments)
    print("about to write \\u00b5J", file=sys.stderr)
    if options.wait:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            Path(options.wait).write_text(str(child.pid))
            time.sleep(60)
        finally:
            Path(options.wait).unlink()
    if options.file:
        Path(options.file).write_text("content")
    for _ in range(options.lines):
        print("energy in \\u00b5J")
    if options.file == "":
        open("absent/file")

sys.exit(main())
"""
UTF8 = {"PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Runs `python command.py` with what a shell adds; exit code, stdout, stderr."""
    (tmp_path / "command.py").write_text(COMMAND)

    def run(words: str, around: str = "{}", **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "-c", around.format(f"{sys.executable} command.py {words}")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)} | environment,
            capture_output=True,
            timeout=60,
        )
        out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        assert "Traceback" not in out + err
        assert "Exception ignored" not in err
        return done.returncode, out, err

    return run


def test_a_closed_stdout_is_never_a_file(shell: Callable[..., tuple], tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert shell(f"--file {file}", "{} >&-")[0] == 0
    assert file.read_text() == "content"
    file.unlink()
    assert shell(f"--file {file}", "{} >&- 2>&- <&-")[0] == 0
    assert file.read_text() == "content"


@pytest.mark.parametrize("around", ["{} 2>&-", "{} 2>/dev/full", "{} 2> >(true)"])
def test_a_lost_stderr_loses_messages_only(
    around: str, shell: Callable[..., tuple], tmp_path: Path
) -> None:
    code, out, _ = shell(f"--lines 2 --file {tmp_path / 'file'}", around, **UTF8)
    assert (code, out) == (0, "energy in µJ\n" * 2)


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("words", ["--file file", "--help"])
def test_a_full_device_is_one_message(words: str, lines: int, shell: Callable[..., tuple]) -> None:
    code, _, err = shell(f"{words} --lines {lines}", "{} >/dev/full")
    assert code == 2
    assert err.splitlines()[-1] == "stdout: No space left on device"
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("words", ["--file file", "--help"])
def test_a_reader_that_has_gone_ends_it_silently(
    words: str, lines: int, shell: Callable[..., tuple]
) -> None:
    code, _, err = shell(f"{words} --lines {lines}", "set -o pipefail; {} | true")
    assert code == 0
    assert len(err.splitlines()) <= 1


def test_an_ascii_locale_spells_out_what_it_lacks(shell: Callable[..., tuple]) -> None:
    code, out, err = shell("--file file", PYTHONIOENCODING="ascii")
    assert (code, out) == (0, "energy in \\xb5J\n")
    assert err == "about to write \\xb5J\n"


def test_a_fault_of_ours_is_one_line(shell: Callable[..., tuple], tmp_path: Path) -> None:
    code, _, err = shell("", **UTF8)
    assert code == 70
    assert re.search(r"unforeseen FileNotFoundError: .*absent/file", err.splitlines()[-1])
    (file,) = tmp_path.glob("stasim-crash-*.txt")
    assert "Traceback" in file.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_children_and_cleans_up(
    number: signal.Signals, shell: Callable[..., tuple], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "command.py", "--wait", "child"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # under nohup it is ignored
    )
    child = tmp_path / "child"
    deadline = time.monotonic() + 30
    while not (child.exists() and child.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pid = int(child.read_text())
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1].endswith("; the file is gone")
    assert "Traceback" not in err
    assert not child.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_every_command_is_supervised() -> None:
    """A module that can be run either is a command, or hands its words to one that is."""
    commands = 0
    for room in ("simulator", "reports", "models", "experiments"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text("utf-8")
            if '__name__ == "__main__"' not in text:
                continue
            commands += 1
            supervised = re.search(
                r"@command\(.*\)\ndef main|from experiments.generated import", text
            )
            assert supervised, path
            assert re.search(r"(sys\.exit|raise SystemExit)\(main\(\)\)", text), path
    assert commands > 20
