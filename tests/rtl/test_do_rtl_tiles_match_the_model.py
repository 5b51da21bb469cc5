"""Does the RTL of the array give the matrix product, in exactly the cycles that the model says?"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.calibration.tiles import Words
from experiments.calibration.units import Tile, TileRun, run_tiles, tile_design
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.hil.verilator import lint
from tests.rtl.rtl_cases import (
    TRACES,
    adversarial,
    model_cycles,
    needs_verilator,
    product,
    spike_skip,
    trace_tiles,
)

pytestmark = needs_verilator
ARRAYS = [
    {"rows": 5, "columns": 16, "word_inputs": 64, "fifo_words": 2, "lanes": 2, "latency_cycles": 4},
    {"rows": 3, "columns": 4, "lanes": 2, "word_inputs": 24, "fifo_words": 2},
    {"rows": 1, "columns": 2, "lanes": 1, "word_inputs": 8, "fifo_words": 1},
    {"rows": 4, "columns": 4, "lanes": 1, "word_inputs": 16, "fifo_words": 1, "weight_bits": 4},
]


def check(array: SpikeSkip, cases: list[Words], one_bit: bool = False) -> list[TileRun]:
    """Runs tiles and holds every figure against the model and the matrix product."""
    random = np.random.default_rng(7)
    low, high = (0, 2) if one_bit else (-(1 << array.weight_bits - 1), 1 << array.weight_bits - 1)
    weights = random.integers(low, high, (array.word_inputs, array.columns))
    tiles = []
    for case in cases:
        words = np.zeros((len(case.words), array.word_inputs), bool)
        words[:, : case.words.shape[1]] = case.words
        tiles.append(Tile(words, case.item, case.plane, weights, one_bit))
    runs = run_tiles(array, tiles, items=256)
    for case, tile, run in zip(cases, tiles, runs, strict=True):
        ones = tile.words.sum(axis=1)
        assert run.cycles == model_cycles(array, case)
        assert run.pushed == run.merged == np.count_nonzero(ones)
        assert run.dropped == np.count_nonzero(ones == 0)
        assert run.adding == ones.sum()
        whole = Words(tile.words, tile.item, tile.plane)
        np.testing.assert_array_equal(run.sums, product(whole, weights, array.sum_bits))
    return runs


def test_a_thousand_tiles_of_the_shipped_traces() -> None:
    runs = [run for name in TRACES for run in check(spike_skip(), list(trace_tiles(name, 180)))]
    assert len(runs) >= 1000
    assert sum(run.adding for run in runs) > 100_000


def test_adversarial_tiles() -> None:
    runs = check(spike_skip(), adversarial(128))
    # A burst makes results queue up for the one merge port, and no row ever waits for it.
    assert max(run.drain_cycles for run in runs) > 8
    check(spike_skip(), adversarial(128)[:3], one_bit=True)


@pytest.mark.parametrize("fields", ARRAYS, ids=lambda each: f"{each['rows']}x{each['columns']}")
def test_arrays_of_other_sizes(fields: dict[str, int]) -> None:
    random = np.random.default_rng(3)
    cases = adversarial(fields["word_inputs"])
    for _ in range(60):
        count = int(random.integers(1, 50))
        bits = random.random((count, fields["word_inputs"])) < random.choice([0.02, 0.2, 0.9])
        bits[random.random(count) < 0.3] = False
        cases.append(Words(bits, np.arange(count), random.integers(0, 4, count)))
    check(spike_skip(**fields), cases)
    assert lint(tile_design(spike_skip(**fields))) == ""


def test_the_flagship_is_clean_under_lint() -> None:
    assert lint(tile_design(spike_skip())) == ""
