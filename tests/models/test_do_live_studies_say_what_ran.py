"""Do the commands behind docs/live.md run what they say, and is the page that of its tables?"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.live import curve, hardware_aware, page
from tests.messages import cases

ROOT = Path(__file__).parents[2]
MACHINES = [
    *("--machine", f"streaming={ROOT / 'arch_configs/sparse_pe.yaml'}"),
    *("--machine", f"tiles={ROOT / 'arch_configs/sparse_pe.yaml'},cores.pe_array.rows=32"),
]


def test_the_page_is_that_of_its_tables() -> None:
    assert (ROOT / "docs" / "live.md").read_text() == page.page(ROOT / "docs" / "live")


@pytest.mark.slow
def test_the_curve_holds_a_row_for_each_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "THRESHOLDS", (0.99, 0.3))
    monkeypatch.setattr(curve, "SHARES", {"ms": (0.85,), "uj": (0.9,)})
    out = tmp_path / "curve.csv"
    arch = str(ROOT / "arch_configs" / "sparse_pe.yaml")
    sizes = ["--images", "6", "--margin-images", "6"]
    assert curve.main(["--arch", arch, "--out", str(out), *sizes]) == 0
    rows = list(csv.DictReader(out.open()))
    assert [row["kind"] for row in rows] == ["fixed"] * 2 + ["live", "margin"] * 2
    free, tight, loose, margined = rows[:4]
    assert float(tight["energy_uj_mean"]) < float(free["energy_uj_mean"])
    assert float(loose["latency_ms_max"]) < float(free["latency_ms_max"])
    assert float(margined["latency_ms_max"]) <= float(loose["latency_ms_max"])
    assert float(margined["margin"]) >= float(loose["margin"]) == 0.0
    over = float(loose["latency_ms_max"]) - float(loose["limit"])
    assert float(loose["over_by_most"]) == pytest.approx(max(0.0, over), abs=2e-5)


def ran(right: str, costs: list[float]) -> curve.Ran:
    """Images by hand: `right` has an r for each that is right."""
    values = np.array(costs)
    return curve.Ran(np.array([each == "r" for each in right]), values, values, np.ones(len(costs)))


@pytest.mark.parametrize(
    ("live", "threshold", "points"),
    [
        (ran("rr-r", [1.0, 2.0, 2.0, 2.0]), 0.5, 25.0),  # the more accurate 0.9 misses one
        (ran("rr-r", [1.0, 2.0, 2.0, 4.0]), 0.9, 0.0),  # so does this, so it may be compared
        (ran("----", [1.0, 2.0, 2.0, 2.0]), 0.5, -50.0),
    ],
)
def test_the_fixed_threshold_misses_no_more_often(
    live: curve.Ran, threshold: float, points: float
) -> None:
    fixed = {
        0.9: ran("rrr-", [2.0, 2.0, 2.0, 4.0]),
        0.5: ran("rr--", [2.0, 2.0, 2.0, 2.0]),
        0.1: ran("r---", [1.0, 1.0, 1.0, 1.0]),
    }
    found = curve.against_fixed(live, fixed, 3.0, "ms")
    assert (found["fixed_threshold"], found["points"]) == (threshold, points)
    assert found["points_low"] <= found["points"] <= found["points_high"]


@pytest.mark.slow
def test_each_training_is_run_on_each_machine(tmp_path: Path) -> None:
    sizes = {"seeds": 1, "train-images": 40, "batch": 20, "test-images": 20, "cost-images": 3}
    arguments = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    arguments += ["--ponder", "2", "8"]
    assert hardware_aware.main([*MACHINES, "--out", str(tmp_path), *arguments]) == 0
    rows, agreement = (
        list(csv.DictReader((tmp_path / name).open())) for name in hardware_aware.TABLES
    )
    trained = [("as shipped", "0.0")]
    trained += [(name, p) for p in ("2.0", "8.0") for name in ("steps", "streaming", "tiles")]
    assert [(row["trained_for"], row["ponder"], row["machine"]) for row in rows] == [
        (*training, machine) for training in trained for machine in ("streaming", "tiles")
    ]
    assert [(row["one"], row["other"]) for row in agreement] == [
        *(("steps", "streaming"), ("steps", "tiles"), ("streaming", "tiles"))
    ]
    assert all(-1.0 <= float(row["cosine_least"]) <= float(row["cosine"]) for row in agreement)
    assert len(page.verdicts(rows)) == 4


def test_costs_are_compared_where_accuracies_are_equal() -> None:
    def network(accuracy: float, cost: float) -> dict[str, str]:
        return {"accuracy": str(accuracy), "energy_uj": str(cost)}

    other = [network(0.8, 100.0), network(0.6, 50.0)]
    assert page.at_equal_accuracy(other, other, "energy_uj") == 0.0
    # Half the cost at each accuracy that both reach; a dearer and worse one changes nothing.
    own = [network(0.8, 50.0), network(0.6, 25.0), network(0.7, 60.0)]
    assert page.at_equal_accuracy(own, other, "energy_uj") == pytest.approx(-50.0)
    cheaper_but_worse = [network(0.8, 100.0), network(0.4, 50.0)]
    assert page.at_equal_accuracy(cheaper_but_worse, other, "energy_uj") > 0.0


@cases("bad_study_options")
def test_bad_input_is_one_message(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.md"
    assert hardware_aware.main([*arguments, "--out", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not list(tmp_path.iterdir())
    assert page.main(["--tables", str(tmp_path), "--write", str(out)]) == 2
    assert curve.main(["--arch", "none.yaml", "--out", str(tmp_path / "no" / "c.csv")]) == 2
