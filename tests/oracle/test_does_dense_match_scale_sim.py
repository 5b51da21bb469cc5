"""Are the dense array's cycles those of SCALE-Sim 3.0.0?"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.peers import dense_cycles

TABLE = Path(__file__).parents[2].parent / "shared" / "oracles" / "scalesim" / "gemm_cycles.csv"


def test_every_measured_product_is_met_exactly() -> None:
    if not TABLE.is_file():
        pytest.skip("the independent simulator's figures are not beside the project")
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    found = list(csv.DictReader(lines))
    assert found
    for row in found:
        rows, columns, m, k, n = (int(row[name]) for name in ("rows", "cols", "m", "k", "n"))
        cycles = dense_cycles(row["dataflow"], rows, columns, (m, k, n))
        assert cycles == int(row["total_cycles"]), row


SIZES = st.integers(1, 40)


@pytest.mark.nojit
@given(SIZES, SIZES, SIZES, SIZES, SIZES)
def test_every_product_follows_the_closed_formula(
    rows: int, columns: int, m: int, k: int, n: int
) -> None:
    shape = (m, k, n)
    folds = -(-m // rows) * -(-n // columns)
    assert dense_cycles("os", rows, columns, shape) == folds * (k + rows + columns - 2) - 1
    folds = -(-k // rows) * -(-n // columns)
    assert dense_cycles("ws", rows, columns, shape) == folds * (m + 2 * rows + columns - 2) - 1
    folds = -(-k // rows) * -(-m // columns)
    assert dense_cycles("is", rows, columns, shape) == folds * (n + 2 * rows + columns - 2) - 1
