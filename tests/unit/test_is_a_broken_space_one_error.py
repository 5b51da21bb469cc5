"""Does a broken space of designs give one message a problem, with file, line, value and rule?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import SpaceError
from simulator.sweep.__main__ import main
from simulator.sweep.space import load_space
from simulator.sweep.space_file import Parameter
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
GOOD = f"""\
schema: stasim-space/1
name: test
base: {ARCH}
parameters:
  cores.0.pe_array.rows: {{choices: [4, 8]}}
objectives: {{latency_ms: minimize}}
search: {{strategy: grid}}
"""
ROWS = "  cores.0.pe_array.rows: {choices: [4, 8]}"
GRID = "search: {strategy: grid}"

BROKEN: dict[str, tuple[str, str, str]] = {
    "no file": ("", "", "cannot be read"),
    "other schema": ("stasim-space/1", "stasim-space/7", ':1: schema: "stasim-space/7"'),
    "unknown field": (GRID, f"{GRID}\nobjektives: 1", ":8: objektives: 1: unknown field"),
    "field of a parameter": (ROWS, "  clock_mhz: {chioces: [1]}", "did you mean 'choices'"),
    "no base": (str(ARCH), "absent.yaml", ':3: base: "absent.yaml"'),
    "no such path": (
        ROWS,
        "  cores.0.pe_aray.rows: {choices: [4]}",
        "parameters.cores.0.pe_aray",
    ),
    "no such field": (ROWS, "  cores.0.pe_array.row: {choices: [4]}", "did you mean 'rows'"),
    "no value that fits": (ROWS, "  clock_mhz: {choices: [-1, 0]}", "must be greater than 0"),
    "both forms": (ROWS, "  clock_mhz: {choices: [1], low: 2}", "not both"),
    "neither form": (
        ROWS,
        "  clock_mhz: {step: 2}",
        "or a range with low and high",
    ),
    "empty range": (ROWS, "  clock_mhz: {low: 2, high: 1}", "whose low is under its high"),
    "log of zero": (ROWS, "  clock_mhz: {low: 0, high: 1, log: true}", "low above 0"),
    "same choice twice": (ROWS, "  clock_mhz: {choices: [1, 1]}", "choices that differ"),
    "nothing to vary": (ROWS, "  {}", "must name something to vary"),
    "grid without end": (
        ROWS,
        "  clock_mhz: {low: 1.0, high: 2.0}",
        "a step for a grid",
    ),
    "grid of millions": (
        ROWS,
        "  clock_mhz: {low: 1, high: 2000}\n  cores.0.pe_array.columns: {low: 1, high: 2000}",
        "a grid of 4000000 points",
    ),
    "unknown metric": ("latency_ms", "latancy_ms", "did you mean 'latency_ms'"),
    "unknown direction": ("minimize", "minimise", "did you mean 'minimize'"),
    "unknown strategy": ("grid", "gridd", "did you mean 'grid'"),
    "random without points": ("strategy: grid", "strategy: random", "points: how many"),
    "grid with points": ("grid}", "grid, points: 4}", "no points for a grid"),
    "limit without a limit": (
        GRID,
        f"constraints: {{power_mw: {{}}}}\n{GRID}",
        "at_most or at_least",
    ),
    "images beyond": (GRID, f"images: 0:9\n{GRID}", "images: 0:9: must lie within"),
    "accuracy not stated": ("latency_ms: minimize", "accuracy: maximize", "states no accuracy"),
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=2)


@pytest.mark.parametrize(("old", "new", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_each_fault_is_told_where_it_stands(
    old: str,
    new: str,
    message: str,
    trace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "space.yaml"
    if old:
        assert old in GOOD
        path.write_text(GOOD.replace(old, new))
    out = tmp_path / "out"
    assert main([str(path), "--trace", str(trace), "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not out.exists()


def test_the_good_space_is_good(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(GOOD)
    space = load_space(tmp_path / "space.yaml", trace)
    assert list(space.grid()) == [{"cores.0.pe_array.rows": rows} for rows in (4, 8)]


TRACES: dict[str, tuple[str, str]] = {
    "no trace at all": ("", "needs --trace"),
    "no file": ("- {t: 1}", "traces.0.file: must be given"),
    "absent file": ("- {file: absent.npz, t: 1}", ":9: traces.0: "),
    "value missing": ("- {file: a.npz, t: 1}\n- {file: a.npz}", "must be in all traces or in none"),
    "value of lists": ("- {file: a.npz, t: [1]}", "traces.0.t: [1]: must be one value"),
    "path as a name": ("- {file: a.npz, t.x: 1}", "must have no dot"),
    "same values": ("- {file: a.npz, t: 1}\n- {file: a.npz, t: 1}", "must differ from all others"),
    "hole in the product": (
        "- {file: a.npz, t: 1, u: 1}\n- {file: a.npz, t: 2, u: 2}",
        "t: 1, u: 2: must be there",
    ),
}


@pytest.mark.parametrize(("listed", "message"), TRACES.values(), ids=TRACES.keys())
def test_each_fault_of_listed_traces_is_told(listed: str, message: str, tmp_path: Path) -> None:
    tiny_trace(tmp_path / "a.npz", images=1)
    (tmp_path / "space.yaml").write_text(f"{GOOD}traces:\n{listed}\n" if listed else GOOD)
    with pytest.raises(SpaceError) as error:
        load_space(tmp_path / "space.yaml")
    assert message in str(error.value)


def test_listed_traces_and_one_given_are_too_many(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(f"{GOOD}traces:\n- {{file: {trace}, t: 1}}\n")
    assert load_space(tmp_path / "space.yaml").trace_of({"t": 1}) == trace
    with pytest.raises(SpaceError, match="leave out --trace"):
        load_space(tmp_path / "space.yaml", trace)


@given(
    low=st.integers(1, 100), count=st.integers(1, 50), step=st.sampled_from([1, 3, 0.1, 0.25, 7.5])
)
def test_a_range_with_a_step_holds_both_ends_and_no_more(low: int, count: int, step: float) -> None:
    values = Parameter(low=low, high=low + count * step, step=step).values()
    assert values is not None
    assert len(values) == count + 1
    assert values[0] == low
    assert values[-1] == pytest.approx(low + count * step)
