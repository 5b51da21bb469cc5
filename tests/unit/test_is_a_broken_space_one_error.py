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
from tests.messages import cases, said

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


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=2)


@cases("broken_space")
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


@cases("broken_traces_of_a_space")
def test_each_fault_of_listed_traces_is_told(listed: str, message: str, tmp_path: Path) -> None:
    tiny_trace(tmp_path / "a.npz", images=1)
    (tmp_path / "space.yaml").write_text(f"{GOOD}traces:\n{listed}\n" if listed else GOOD)
    with pytest.raises(SpaceError) as error:
        load_space(tmp_path / "space.yaml")
    assert message in str(error.value)


def test_listed_traces_and_one_given_are_too_many(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(f"{GOOD}traces:\n- {{file: {trace}, t: 1}}\n")
    assert load_space(tmp_path / "space.yaml").trace_of({"t": 1}) == trace
    with pytest.raises(SpaceError, match=said("a trace beside a space's own")):
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
