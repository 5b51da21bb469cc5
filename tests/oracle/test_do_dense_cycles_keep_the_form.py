"""Does a lowered product hold the dense array for the cycles of its closed form, in each order?

The forms are SCALE-Sim's for one fold, with unlimited bandwidth (DenseSystolic); cuts into row
blocks and column tiles must not add folds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.lowering import Lowering, make_plan
from simulator.operations import read_network
from simulator.trace import Trace, TraceWriter, pack_bits
from tests.captured_manifest import captured_manifest, operation, tensor

SIZES = [  # operand rows, inputs, outputs, rows and columns of PEs, timesteps
    (4, 4, 4, 4, 4, 1),
    (1, 1, 1, 8, 32, 1),
    (9, 27, 33, 8, 32, 3),
    (8, 32, 32, 8, 32, 2),
    (7, 31, 31, 8, 32, 2),
    (65, 257, 129, 8, 32, 4),
    (100, 9, 100, 16, 16, 2),
    (5, 13, 7, 3, 5, 1),
    (64, 64, 384, 32, 16, 4),  # of `is`, the sums of 21 rows fit, so of one fold of 16
]


def folds(size: int, by: int) -> int:
    return -(-size // by)


def closed_form(stationary: str, m: int, k: int, n: int, rows: int, columns: int) -> int:
    """Cycles of a product of M x K by K x N at one timestep."""
    if stationary == "os":
        return folds(m, rows) * folds(n, columns) * (k + rows + columns - 2)
    if stationary == "ws":
        return folds(k, rows) * folds(n, columns) * (m + 2 * rows + columns - 2)
    return folds(k, rows) * folds(m, columns) * (n + 2 * rows + columns - 2)


def linear_trace(path: Path, m: int, k: int, n: int, timesteps: int) -> Path:
    """A network of one linear layer over random spikes."""
    manifest = captured_manifest()
    model = manifest["model"] | {"timesteps": timesteps, "tokens": m, "token_grid": [1, m]}
    shapes = {"in_features": k, "out_features": n, "rows": m}
    own = [tensor("x", m, k) | {"timesteps": timesteps}]
    layer = operation("linear", "y", ["x"], shapes=shapes, weight_bits=8)
    manifest |= {
        "model": model,
        "tensors": own,
        "operations": [layer | {"timesteps": timesteps}],
    }
    spikes = np.random.default_rng(0).random((timesteps, 1, m, k)) < 0.3
    active = {
        str(block): np.ones((timesteps, m), np.bool_) for block in range(int(model["blocks"]))
    }
    with TraceWriter(path, manifest) as writer:
        writer.add({"x": pack_bits(spikes)}, active, -1, -1)
    return path


def dense(stationary: str, rows: int, columns: int) -> Architecture:
    overrides = {"stationary": stationary, "rows": rows, "columns": columns}
    return load_architecture(
        "dense_pe",
        [f"cores.pe_array.{name}={value}" for name, value in overrides.items()],
    )


@pytest.mark.parametrize("stationary", ["os", "ws", "is"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_array_is_held_for_the_closed_form(
    sizes: tuple[int, ...], stationary: str, tmp_path: Path
) -> None:
    m, k, n, rows, columns, timesteps = sizes
    path = linear_trace(tmp_path / "one.npz", m, k, n, timesteps)
    with Trace.open(path) as trace:
        plan = make_plan(read_network(trace), dense(stationary, rows, columns))
        program = Lowering(plan).lower([trace.read(0)]).program(0)
    held = int(program.busy_cycles[program.unit == plan.graph.one("pe_array")].sum())
    assert held == timesteps * closed_form(stationary, m, k, n, rows, columns)
