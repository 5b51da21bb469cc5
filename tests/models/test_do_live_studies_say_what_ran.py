"""Do the commands behind docs/live.md run what they say, and is the page that of its tables?"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.live import curve, hardware_aware, page
from tests.messages import cases

ROOT = Path(__file__).parents[2]
MACHINES = [
    *("--machine", f"streaming={ROOT / 'arch_configs/sparse_pe.yaml'}"),
    *("--machine", f"resident={ROOT / 'arch_configs/sparse_pe_resident.yaml'}"),
]


def test_the_page_is_that_of_its_tables() -> None:
    assert (ROOT / "docs" / "live.md").read_text() == page.page(ROOT / "docs" / "live")


@pytest.mark.slow
def test_the_curve_holds_a_row_for_each_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "THRESHOLDS", (0.99, 0.3))
    monkeypatch.setattr(curve, "SHARES", {"ms": (1.0, 0.7), "uj": (0.6,)})
    out = tmp_path / "curve.csv"
    arch = str(ROOT / "arch_configs" / "sparse_pe.yaml")
    assert curve.main(["--arch", arch, "--out", str(out), "--images", "6"]) == 0
    rows = list(csv.DictReader(out.open()))
    assert [row["kind"] for row in rows] == ["fixed"] * 2 + ["live"] * 3
    free, tight, loose = rows[0], rows[1], rows[2]
    assert float(tight["energy_uj_mean"]) < float(free["energy_uj_mean"])
    # A budget that every image keeps of its own accord changes little or nothing.
    assert float(loose["latency_ms_max"]) <= float(loose["budget"])
    assert all(row["over_by_more_than_last_block"] == "0" for row in rows[2:])


@pytest.mark.slow
def test_each_training_is_run_on_each_machine(tmp_path: Path) -> None:
    out = tmp_path / "aware.csv"
    sizes = {"seeds": 1, "train-images": 40, "batch": 20, "test-images": 20, "cost-images": 3}
    arguments = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    assert hardware_aware.main([*MACHINES, "--out", str(out), *arguments]) == 0
    rows = list(csv.DictReader(out.open()))
    assert [(row["trained_for"], row["machine"]) for row in rows] == [
        (trained, machine)
        for trained in ("as shipped", "steps", "streaming", "resident")
        for machine in ("streaming", "resident")
    ]
    assert float(rows[0]["energy_uj"]) > float(rows[1]["energy_uj"])
    assert len(page.verdicts(rows)) == 4
    assert page.verdict(rows)


@cases("bad_study_options")
def test_bad_input_is_one_message(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "aware.csv"
    assert hardware_aware.main([*arguments, "--out", str(out)]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not out.exists()
    assert page.main(["--tables", str(tmp_path), "--write", str(out)]) == 2
    assert curve.main(["--arch", "none.yaml", "--out", str(tmp_path / "no" / "c.csv")]) == 2
