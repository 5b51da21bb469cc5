"""Does python -m simulator.run answer bad input with one message and exit code 2?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.run import main
from tests.factories import tiny_trace
from tests.messages import cases

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=3))


@cases("bad_run")
def test_bad_input_is_one_message(
    words: list[str], message: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["--arch", ARCH, "--trace", trace, *words])
    except SystemExit as stop:  # argparse's own way out
        code = int(str(stop.code))
    output = capsys.readouterr()
    assert code == 2
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


def test_nothing_is_written_over_what_is_not_ours(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    assert main(["--arch", ARCH, "--trace", trace, "--out", str(tmp_path)]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt"]
    assert str(tmp_path) in capsys.readouterr().err


def test_both_engines_and_any_number_of_jobs_give_the_same_json(
    trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for words in ([], ["--engine", "simpy"], ["--jobs", "2"]):
        assert main(["--arch", ARCH, "--trace", trace, "--json", *words]) == 0
        result = json.loads(capsys.readouterr().out)
        result["provenance"]["engine"] = ""
        texts.append(result)
    assert texts[0] == texts[1] == texts[2]


def test_the_out_folder_holds_result_tables_and_page(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert main(["--arch", ARCH, "--trace", trace, "--out", str(folder)]) == 0
    names = {path.name for path in folder.iterdir()}
    assert {"result.json", "images.csv", "layers.csv", "units.csv", "actions.csv"} <= names
    assert "page.html" in names
    assert "Latency" in capsys.readouterr().out


def test_the_simulator_loads_neither_torch_nor_plotly(trace: str) -> None:
    code = (
        "import sys; from simulator.run import main; "
        f"main(['--arch', {ARCH!r}, '--trace', {trace!r}]); "
        "print([name for name in ('torch', 'plotly', 'models') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
