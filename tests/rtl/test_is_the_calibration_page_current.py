"""Does docs/calibration.md say what its command prints? Some of its lines are made anew."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from experiments.calibration import __main__ as calibration
from experiments.calibration import measured
from tests.messages import cases, said
from tests.rtl.rtl_cases import ROOT, needs_verilator

PAGE = (ROOT / "docs" / "calibration.md").read_text()


def line(row: measured.Row) -> str:
    return (
        f"| {row.case} | {row.pieces:,} | {row.rtl_cycles:,} | {row.model_cycles:,} "
        f"| {row.deviation:+.3%} | {row.differing} | {row.wrong} | {row.activity:.3f} |"
    )


def test_the_page_shows_the_command_that_makes_it() -> None:
    shown = next(text for text in PAGE.splitlines() if text.startswith("python -m"))
    options = calibration._parser().parse_args(shlex.split(shown)[3:])
    assert calibration.command_of(options) == shown
    assert options.write == "docs/calibration.md"
    for path in (options.arch, options.trace):
        assert (ROOT / path).is_file()
    # All text that is not measured is there word for word, but for what was measured only then.
    template = (ROOT / "experiments" / "calibration" / "calibration.md.j2").read_text()
    lines = [text for text in template.splitlines() if "{" not in text]
    absent = [text for text in lines if text not in PAGE]
    assert len(lines) > 40
    assert [text.split("(")[0] for text in absent] == [
        "No whole network was run for this page ",
        "Not measured on the machine that made this page: yosys or osu018 ",
    ]


@needs_verilator
def test_lines_made_anew_stand_on_the_page() -> None:
    arch = str(ROOT / "arch_configs" / "sparse_pe.yaml")
    trace = str(ROOT / "traces" / "cifar10.npz")
    setting = measured.open_setting(arch, trace, 0)
    rows = [measured.tile_row(setting, 1000), measured.scan_row(setting)]
    rows += measured.layer_rows(setting, 1, "port 1024 bits")
    names = measured.layer_names(setting.plan, 3)
    live = int(setting.image.active["3"][3].sum())
    case = f"block 3, timestep 3, live tokens: {live}"
    rows.append(measured.engine_row(setting, case, names, [3]))
    for row in rows:
        assert row is not None
        assert line(row) in PAGE
        assert row.wrong == 0
    for count in measured.action_counts(setting, 1):
        assert count.rtl == count.model
        assert f"| {count.what} | {count.rtl:,} | {count.model:,} | 0 |" in PAGE


def test_the_page_tells_of_gates_with_their_node() -> None:
    for unit in ("PE row", "LIF unit", "token skip"):
        assert PAGE.count(f"| {unit} |") == 2
    assert "180 nm" in PAGE
    assert "Nothing is scaled" in PAGE


@cases("bad_calibration")
def test_bad_input_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert calibration.main([*arguments, "--trace", "traces/mnist.npz"]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@needs_verilator
def test_a_page_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(ROOT)
    target = tmp_path / "absent" / "page.md"
    arguments = ["--arch", "arch_configs/sparse_pe.yaml", "--trace", "traces/mnist.npz"]
    code = calibration.main([*arguments, "--tiles", "4", "--no-gates", "--write", str(target)])
    assert code == 2
    assert said("a page that cannot be written") in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
