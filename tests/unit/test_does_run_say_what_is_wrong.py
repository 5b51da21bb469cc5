"""Does python -m simulator.run answer bad input with one message and exit code 2?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.run import main
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=3))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "absent.yaml"], "absent.yaml"),
        (["--arch", "."], "."),
        (["--trace", "absent.npz"], "absent.npz"),
        (["--trace", ARCH], "sparse_pe.yaml"),
        (["--images", "3:9"], "--images 3:9: must lie within the trace's images, 0:3"),
        (["--images", "2:1"], "--images 2:1"),
        (["--images", "two"], "--images two: must be A:B or A"),
        (["--images", "-1"], "--images"),
        (["--set", "dataflow.kind=tick_batched"], "two_dimensional"),
        (["--set", "dataflow.kind=tick_bached"], "did you mean 'tick_batched'"),
        (["--set", "cores.0.pe_array.rows=0"], "must be greater than 0"),
        (["--set", "cores.0.pe_array.row=4"], "did you mean 'rows'"),
        (["--set", "technology.energy_table=horowitz_45nm"], "must be for technology.node_nm, 28"),
        (["--set", "technology.voltage_v=0.8"], "must be 0.9, that of the energy table"),
        (["--set", "technology.energy_table=horowitz"], "unknown"),
        (["--set", "cores.0.buffers.weights.size_kib=1.0"], "cores.0.buffers.weights"),
        (["--set", "cores.0.buffers.partial_sums.size_kib=0.1"], "cores.0.buffers.partial_sums"),
        (["--set", "memories.dram.technology=ddr9"], "ddr9"),
        (["--engine", "verilog"], "invalid choice"),
        (["--arrivals", "often"], "--arrivals often: must be closed, rate:R, poisson:R,seed=S"),
        (["--arrivals", "poisson:9"], "--arrivals poisson:9: needs a seed"),
        (["--arrivals", "absent.txt"], "absent.txt: does not exist: must be a regular file"),
        (["--arrivals", "closed", "--stream"], "--arrivals: must not be given with --stream"),
        (["--in-flight", "0"], "argument --in-flight: 0"),
        (["--set", "dataflow.images_in_flight=65"], "dataflow.images_in_flight"),
        (["--jobs", "0"], "must be a number from 1 to 1024"),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, list) else "",
)
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
