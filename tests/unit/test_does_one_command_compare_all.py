"""Does `stasim matrix` run machines x traces, and compare them on one page?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.results.result import Result
from simulator.run import main as run
from stasim.matrix import main
from tests.factories import tiny_trace
from tests.messages import cases

MACHINES = ("dense_pe", "sparse_pe", "exspike")


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("traces")
    return [str(tiny_trace(folder / f"{name}.npz", images=3)) for name in ("one", "two")]


def test_a_result_a_pair_and_one_page(
    traces: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "all"
    words = ["--images", "0:2", "--set", "clock_mhz=400", "--baseline", "dense_pe"]
    assert main(["--arch", *MACHINES, "--trace", *traces, "--out", str(out), *words]) == 0
    told = capsys.readouterr()
    assert "Energy: the order of" in told.out
    # The board runs its own networks only.
    reasons = [line for line in told.err.splitlines() if line.startswith("left out: ")]
    assert [line.split(":")[1] for line in reasons] == [" exspike on one", " exspike on two"]
    text = (out / "compare.html").read_text("utf-8")
    assert text.count("cannot be run, with the reasons: 2<") == 1
    assert "<h1>2 designs on 2 workloads</h1>" in text
    # Each result is that of the command it names.
    result = Result.load(out / "one" / "sparse_pe")
    alone = tmp_path / "alone"
    words = re.findall(r"\S+", result.provenance["command"].removeprefix("python -m simulator.run"))
    assert run([*words, "--out", str(alone)]) == 0
    assert Result.load(alone).to_json() == result.to_json()


@cases("bad_input_ends_before_a_page")
def test_bad_input_ends_before_a_page(
    words: list[str],
    message: str,
    traces: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, "--trace", traces[0], "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "compare.html").exists()
