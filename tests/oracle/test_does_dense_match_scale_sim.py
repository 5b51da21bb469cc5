"""Are the dense array's cycles those of SCALE-Sim 3.0.0?"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.components.base import build
from simulator.components.pe_arrays.base import PEArray
from simulator.components.pe_arrays.counted import counted_tiles

TABLE = Path(__file__).parents[2].parent / "shared" / "oracles" / "scalesim" / "gemm_cycles.csv"


def gemm_cycles(stationary: str, rows: int, columns: int, m: int, k: int, n: int) -> int:
    """Cycles of a product of M x K by K x N through the part's own tiles, counted from 0."""
    array = build(
        "pe_arrays",
        {
            "kind": "dense_systolic",
            "rows": rows,
            "columns": columns,
            "stationary": stationary,
            "tile_outputs": 4096,
        },
    )
    assert isinstance(array, PEArray)
    size = array.tile_inputs or k
    inputs = np.minimum(size, k - np.arange(0, k, size)).astype(np.int64)
    cost = array.cost(counted_tiles(np.zeros((m, len(inputs)), np.int64), inputs, n))
    # SCALE-Sim prints the number of the last cycle, counted from 0.
    return int(cost.cycles.sum()) * -(-n // array.tile_columns) - 1


def test_every_measured_product_is_met_exactly() -> None:
    if not TABLE.is_file():
        pytest.skip("the independent simulator's figures are not beside the project")
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    found = list(csv.DictReader(lines))
    assert found
    for row in found:
        sizes = (int(row[name]) for name in ("rows", "cols", "m", "k", "n"))
        assert gemm_cycles(row["dataflow"], *sizes) == int(row["total_cycles"]), row


SIZES = st.integers(1, 40)


@pytest.mark.nojit
@given(SIZES, SIZES, SIZES, SIZES, SIZES)
def test_every_product_follows_the_closed_formula(
    rows: int, columns: int, m: int, k: int, n: int
) -> None:
    folds = -(-m // rows) * -(-n // columns)
    assert gemm_cycles("os", rows, columns, m, k, n) == folds * (k + rows + columns - 2) - 1
    folds = -(-k // rows) * -(-n // columns)
    assert gemm_cycles("ws", rows, columns, m, k, n) == folds * (m + 2 * rows + columns - 2) - 1
    folds = -(-k // rows) * -(-m // columns)
    assert gemm_cycles("is", rows, columns, m, k, n) == folds * (n + 2 * rows + columns - 2) - 1
