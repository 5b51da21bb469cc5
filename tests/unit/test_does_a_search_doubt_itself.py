"""Does a search say which of its points have numbers that mean nothing?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.sweep import sweep_page
from simulator.architecture import load_architecture
from simulator.distributed.executor import open_executor
from simulator.errors import SpaceError
from simulator.results.sweep_result import FINDINGS, POINTS, SweepResult
from simulator.simulate import Simulation
from simulator.sweep.__main__ import main, report
from simulator.sweep.journal import NAME
from simulator.sweep.search import search
from simulator.sweep.space import load_space
from simulator.trace import Trace
from tests.factories import tiny_content
from tests.messages import refused, said
from tests.sample_sweep import sample_sweep

ARCH = Path(__file__).parents[2] / "arch_configs" / "sparse_pe.yaml"
SPACE = f"""\
schema: stasim-space/1
name: doubtful
base: {ARCH}
parameters:
  cores.0.pe_array.rows: {{choices: [2, 4]}}
traces:
  - {{file: dead.npz, density: dead}}
  - {{file: live.npz, density: live}}
objectives: {{latency_ms: minimize, energy_uj: minimize}}
search: {{strategy: STRATEGY}}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """Two machines, each on a dead network and on a live one."""
    for name, options in (("dead", {"density": 0.0}), ("live", {})):
        content = tiny_content(images=2, **options)
        content.manifest["weights"] |= {"origin": "trained", "accuracy": {"test_top1": 0.9}}
        content.write(tmp_path / f"{name}.npz")
    return write_space(tmp_path, "grid")


def write_space(folder: Path, strategy: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(SPACE.replace("STRATEGY", strategy))
    return path


def searched(path: Path, out: Path, *, strict: bool = False, jobs: int = 1) -> SweepResult:
    space = load_space(path, None)
    with open_executor(jobs) as executor:
        return search(space, out, executor, lambda outcomes, total: None, strict=strict)


def test_each_point_names_what_a_run_of_it_finds(space: Path, tmp_path: Path) -> None:
    points = searched(space, tmp_path / "out").points
    assert len(points) == 4
    for row in points.to_dict("records"):
        rows = f"cores.0.pe_array.rows={row['parameter.cores.0.pe_array.rows']}"
        with Trace.open(tmp_path / f"{row['parameter.density']}.npz") as trace:
            result = Simulation(trace, load_architecture(ARCH, [rows])).run(range(2))
        assert row[FINDINGS] == ", ".join(dict.fromkeys(each.check for each in result.findings))
        assert ("dead_network" in row[FINDINGS]) == (row["parameter.density"] == "dead")


def test_report_and_page_say_first_what_is_dead(
    space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(space), "--out", str(out), "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    result = SweepResult.load(out)
    assert told == report(result) + "\n"
    front = int(result.front()[FINDINGS].str.contains("dead_network").sum())
    assert front > 0
    assert f"error    dead_network: 2 points, {front} of the front, such as #" in told
    assert told.count("[doubtful: dead_network") == front
    page = sweep_page(result)
    head = page.index("<code>dead_network</code> in 2 points")
    assert head < page.index("4 points keep all limits")
    assert "What makes points doubtful" in page


@pytest.mark.parametrize("strategy", ["grid", "nsga2, points: 6, batch: 2"])
def test_strict_lets_doubtful_points_fail(strategy: str, space: Path, tmp_path: Path) -> None:
    """With the same journal, so that a search can be asked both ways."""
    write_space(tmp_path, strategy)
    out = tmp_path / "out"
    loose, strict = searched(space, out), searched(space, out, strict=True)
    assert searched(space, tmp_path / "new", strict=True).points.equals(strict.points)
    dead = strict.points["parameter.density"] == "dead"
    assert set(strict.points["status"][dead]) == {"failed"}
    assert strict.points["metric.latency_ms"][dead].isna().all()
    assert all("refused by --strict: dead_network" in each for each in strict.points.message[dead])
    assert set(strict.points["status"][~dead]) <= {"ok"}
    assert "dead_network" not in set(strict.front()[FINDINGS])
    assert strict.provenance["strict"] is True
    assert "strict" not in loose.provenance


def test_a_journal_without_findings_is_refused(space: Path, tmp_path: Path) -> None:
    """Its points would pass for sound ones."""
    out = tmp_path / "out"
    searched(space, out)
    text = (out / NAME).read_text()
    assert "stasim-sweep/2" in text
    (out / NAME).write_text(text.replace("stasim-sweep/2", "stasim-sweep/1"))
    with pytest.raises(SpaceError, match=said("another sweep")):
        searched(space, out)


def test_a_search_from_before_findings_says_so(tmp_path: Path) -> None:
    result = sample_sweep()
    assert [each.check for each in result.doubts() or ()] == ["dead_network", "few_images"]
    result.save(tmp_path)
    older = SweepResult(result.provenance, result.points.drop(columns=FINDINGS))
    older.save(tmp_path)
    found = SweepResult.load(tmp_path)
    assert found.doubts() is None
    assert "findings were not recorded" in report(found)
    assert "recorded no findings" in sweep_page(found)


def test_a_table_whose_cells_changed_is_refused(tmp_path: Path) -> None:
    """Though it still keeps every rule."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sample_sweep().save(tmp_path)
    table = pq.read_table(tmp_path / POINTS)
    points = table.to_pandas()
    points.loc[3, "metric.latency_ms"] += 1e-9
    changed = pa.Table.from_pandas(points, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), tmp_path / POINTS)
    with refused(SpaceError, tmp_path / POINTS, "has changed"):
        SweepResult.load(tmp_path)
    pd.testing.assert_frame_equal(points, pq.read_table(tmp_path / POINTS).to_pandas())
