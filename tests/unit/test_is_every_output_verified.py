"""Does --verify find each byte that changed, in whatever a command writes?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.prosperity.__main__ import main as account
from experiments.prosperity.report import KIND as COMPAT
from experiments.study.tables import write_tables
from models.networks.weights import read_weights, save_weights
from simulator.distributed.executor import open_executor
from simulator.distributed.parts import Part
from simulator.distributed.stream import stream
from simulator.hil.cost_table import main as cost_table
from simulator.results.streamed import StreamedResult
from simulator.results.verification import verify
from simulator.run import main
from simulator.sweep.__main__ import main as sweep
from tests.factories import tiny_content
from tests.messages import said

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")
SPACE = f"""\
schema: stasim-space/1
name: test
base: {ARCH}
parameters: {{cores.0.pe_array.rows: {{choices: [2, 4]}}}}
objectives: {{latency_ms: minimize}}
search: {{strategy: grid}}
"""


def trace(folder: Path) -> str:
    return str(tiny_content(images=3, tokens=4, channels=8, blocks=1).write(folder / "a.npz"))


def a_run(folder: Path) -> Path:
    assert main(["--arch", ARCH, "--trace", trace(folder), "--out", str(folder / "out")]) == 0
    return folder / "out"


def a_compat_report(folder: Path) -> Path:
    machine = str(ROOT / "arch_configs" / "prosperity.yaml")
    words = ["--arch", machine, "--trace", trace(folder), "--out", str(folder / "out")]
    assert account(words) == 0
    return folder / "out"


def a_stream(folder: Path, images: int = 3) -> Path:
    """Of parts of two images."""
    part = Part(ARCH, (), trace(folder), "numba", "", 0, images)
    with open_executor() as executor:
        stream(part, folder / "out", executor, lambda done: None)
    return folder / "out"


def a_search(folder: Path) -> Path:
    (folder / "space.yaml").write_text(SPACE)
    words = [str(folder / "space.yaml"), "--trace", trace(folder), "--out", str(folder / "out")]
    assert sweep(words) == 0
    return folder / "out"


def a_trace(folder: Path) -> Path:
    return Path(trace(folder))


def a_cost_table(folder: Path) -> Path:
    words = ["--arch", ARCH, "--trace", trace(folder), "--out", str(folder / "costs.json")]
    assert cost_table(words) == 0
    return folder / "costs.json"


def weights(folder: Path) -> Path:
    import torch

    save_weights(folder / "a.safetensors", torch.nn.Linear(3, 2), {"model": "tiny"})
    assert read_weights(folder / "a.safetensors")[1] == {"model": "tiny"}
    return folder / "a.safetensors"


def study_tables(folder: Path) -> Path:
    write_tables(folder / "out", {"arms": [{"task": "digits", "top1": 0.5}]})
    write_tables(folder / "out", {"published": [{"machine": "sparse_pe", "cycles": 3}]})
    return folder / "out"


Make = Callable[[Path], Path]
OUTPUTS: dict[Make, str] = {
    a_run: "a result, ",
    a_compat_report: f"a {COMPAT}, 2 files",
    a_stream: "a stream, ",
    a_search: "a search of 2 points, 2 in its journal",
    a_trace: "a trace of 3 images",
    a_cost_table: 'a file of "stasim-cost-table/1"',
    weights: "weights",
    study_tables: "a study, 2 files",
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.distributed.stream.PART_IMAGES", 2)


@pytest.mark.parametrize("make", OUTPUTS, ids=lambda make: make.__name__)
def test_a_changed_byte_of_any_file_is_found(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of each file, one at a time; and a whole output is called whole."""
    path = make(tmp_path)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["--verify", str(path)])
    assert ended.value.code in (0, None)
    assert f"{path}: {OUTPUTS[make]}" in capsys.readouterr().err + capsys.readouterr().out
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    assert files
    for file in files:
        if "replays" in file.parts:
            continue  # held for a search to come only
        before = file.read_bytes()
        place = len(before) // 2
        changed = bytearray(before)
        changed[place] ^= 1 << 1
        file.write_bytes(changed)
        assert main(["--verify", str(path)]) == 2, file
        told = capsys.readouterr().err
        assert told
        assert "Traceback" not in told
        file.write_bytes(before)
    assert not verify(path).problems


@pytest.mark.parametrize("make", [a_run, a_stream, study_tables], ids=lambda make: make.__name__)
def test_a_file_that_is_gone_is_found(make: Make, tmp_path: Path) -> None:
    path = make(tmp_path)
    for file in [each for each in path.rglob("*") if each.is_file()]:
        before = file.read_bytes()
        file.unlink()
        assert main(["--verify", str(path)]) == 2, file
        file.write_bytes(before)
    assert not verify(path).problems


def test_a_stream_that_has_not_ended_is_not_whole(tmp_path: Path) -> None:
    out = a_stream(tmp_path)
    for file in out.rglob("part-00001.*"):
        file.unlink()
    (problem,) = verify(out).problems
    assert "holds 1 of 2 parts: the command of it goes on" in problem
    shutil.copy(out / "images" / "part-00000.parquet", out / "images" / "part-00007.parquet")
    assert any("is of no part" in each for each in verify(out).problems)
    assert len(StreamedResult(out).images()) == 4


def test_a_journal_line_that_changed_is_named(tmp_path: Path) -> None:
    """Though it is still an outcome."""
    out = a_search(tmp_path)
    lines = (out / "journal.jsonl").read_text().splitlines()
    entry = json.loads(lines[2])
    entry["metrics"]["latency_ms"] /= 2
    (out / "journal.jsonl").write_text("\n".join([*lines[:2], json.dumps(entry)]) + "\n")
    assert verify(out).problems == [f"{out}/journal.jsonl:3: has changed"]
    assert sweep([str(tmp_path / "space.yaml"), "--trace", trace(tmp_path), "--out", str(out)]) == 2


def test_a_table_of_the_study_keeps_the_others(tmp_path: Path) -> None:
    out = study_tables(tmp_path)
    (out / "notes.txt").write_text("mine")
    write_tables(out, {"arms": [{"task": "digits", "top1": 0.75}]})
    assert (out / "arms.csv").read_text() == "task,top1\ndigits,0.75\n"
    assert (out / "published.csv").read_text() == "machine,cycles\nsparse_pe,3\n"
    assert (out / "notes.txt").read_text() == "mine"
    assert verify(out).holds == "a study, 2 files"


@pytest.mark.parametrize("place", [3, 40, 200, -1])
def test_a_changed_bit_of_weights_is_found(place: int, tmp_path: Path) -> None:
    """In the length of the header, the header, the data and at the end."""
    path = weights(tmp_path)
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.write_bytes(changed)
    assert main(["--verify", str(path)]) == 2


def test_weights_without_a_hash_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    from safetensors.torch import save

    path = tmp_path / "old.safetensors"
    path.write_bytes(save({"a": torch.zeros(2)}, {"stasim": "{}"}))
    assert main(["--verify", str(path)]) == 2
    assert said("a file of an earlier version") in capsys.readouterr().err


@pytest.mark.parametrize("name", ["absent", "folder", "text.json", "deep.json", "pipe"])
def test_what_is_none_of_ours_is_one_message(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    (tmp_path / "folder").mkdir()
    (tmp_path / "text.json").write_text("{}")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    os.mkfifo(tmp_path / "pipe")
    assert main(["--verify", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err
