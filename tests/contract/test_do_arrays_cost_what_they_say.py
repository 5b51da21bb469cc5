"""Do all registered arrays cost the same with and without the compiler, and add up over tiles?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.components.base import build, registry
from simulator.components.pe_arrays.base import ArrayCost, PEArray, Tiles
from simulator.lowering.arrays import additions, cost_tiles
from tests.array_costs import costs, plain, works
from tests.messages import said
from tests.works import tiles_of_bits

ROOT = Path(__file__).parents[2]
KINDS = list(registry("pe_arrays"))
# By kind, of the layers of `works`: sum of cycles x place of the tile, sum of all counts x place of
# the block. Written down when arrays were still costed layer by layer; since then the sums of a row
# that is empty stay in their buffer (pattern).
RECORDED = {
    "bundle": (19648, 256944),
    "dense_systolic": (42936, 274724),
    "dual_sparse": (18900, 907984),
    "event_sorted": (47682, 260322),
    "pattern": (19935, 223850),
    "product_sparse": (176922, 299480),
    "sorted_rows": (4670, 230732),
    "spike_count": (44546, 227516),
    "spike_skip": (9398, 506736),
    "time_batched": (65328, 235246),
}


def array(kind: str) -> PEArray:
    part = build("pe_arrays", yaml.safe_load(registry("pe_arrays")[kind].example))
    assert isinstance(part, PEArray)
    return part


def counts_of(cost: ArrayCost) -> dict[str, np.ndarray]:
    """All counts of a cost, those of an output or a pass by their own names."""
    fields = cost._asdict()
    del fields["cycles"]
    return {**fields.pop("per_output"), **fields.pop("per_pass"), **fields}


def test_the_compiler_changes_nothing() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "tests.array_costs"]
    slow = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert json.loads(slow.stdout) == costs()


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_costed_one_by_one(kind: str) -> None:
    part = array(kind)
    bits = np.random.default_rng(4).random((3, 24, 1, 20)) < 0.4
    together = part.cost(tiles_of_bits(bits, part.tile_inputs, block=8))
    alone = [part.cost(tiles_of_bits(bits[k : k + 1], part.tile_inputs, block=8)) for k in range(3)]
    np.testing.assert_array_equal(together.cycles, np.concatenate([cost.cycles for cost in alone]))
    for name, counts in together.per_output.items():
        np.testing.assert_array_equal(counts, sum(cost.per_output[name] for cost in alone))
    for name, counts in together.per_pass.items():
        np.testing.assert_array_equal(counts, sum(cost.per_pass[name] for cost in alone))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run_bytes", [8, 1000, 1 << 23])
def test_layers_cost_in_one_call_what_they_cost_alone(
    kind: str, run_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = array(kind)
    *layers, together = works(part)
    alone = [part.cost(tiles) for tiles in layers]
    monkeypatch.setattr(Tiles, "word_runs", partialmethod(Tiles.word_runs, run_bytes))
    found = part.cost(together)
    np.testing.assert_array_equal(found.cycles, np.concatenate([cost.cycles for cost in alone]))
    for name, counts in counts_of(found).items():
        expected = np.concatenate([counts_of(cost)[name] for cost in alone])
        np.testing.assert_array_equal(counts, expected, name)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", RECORDED)
def test_layers_cost_what_was_written_down(kind: str) -> None:
    part = array(kind)
    cost = part.cost(works(part)[-1])
    cycles = cost.cycles
    counts = np.sum(list(counts_of(cost).values()), axis=0)
    found = tuple(int(each @ np.arange(1, len(each) + 1)) for each in (cycles, counts))
    assert found == RECORDED[kind]


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_every_tile_has_a_cycle_and_no_adder_adds_twice_in_one(kind: str) -> None:
    part = array(kind)
    for tiles in works(part):
        cost = part.cost(tiles)
        assert cost.cycles.shape == tiles.block.shape
        assert (cost.cycles >= 1).all()
        arrays = {"pe_array": part}
        of_output, of_pass = additions(cost_tiles(arrays, tiles, tiles.block * 0), arrays)
        cycles = tiles.by_block(cost.cycles)
        if part.computes_zeros:  # what it adds is not counted: the ones, of bits, are the least
            ones = np.where(tiles.integer, 0, tiles.by_block(tiles.tile_ones()))
            added = ones * np.minimum(part.tile_columns, tiles.outputs)
        else:
            passes = -(-tiles.outputs // part.tile_columns)
            cycles = cycles * passes
            added = of_output * tiles.outputs + of_pass * passes
        assert (cycles * part.adders >= added).all()
        for counts in counts_of(cost).values():
            assert counts.shape == tiles.sizes.shape
            assert (counts >= 0).all()


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_reads_no_bits_never_asks_for_them(kind: str) -> None:
    part = array(kind)
    for tiles in works(part):
        if part.reads_bits:
            with pytest.raises(ValueError, match=said("bits that were not offered")):
                part.cost(tiles._replace(gather=None))
        else:
            assert plain(part.cost(tiles._replace(gather=None))) == plain(part.cost(tiles))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_stored_weights_take_bits_for_every_output(kind: str) -> None:
    part = array(kind)
    bits = [part.stored_weight_bits(16, outputs, 8) for outputs in (1, 2, 8)]
    assert 0 < bits[0] < bits[1] < bits[2]


@pytest.mark.nojit
def test_a_tree_of_patterns_passes_a_sum_once_for_its_chunks() -> None:
    bits = np.zeros((4, 64), np.bool_)
    bits[0], bits[1, :16], bits[2, 20], bits[3, 60] = True, True, True, True
    text = yaml.safe_load(registry("pe_arrays")["pattern"].example)
    for chunks, passes in ((1, 7), (2, 5), (4, 4), (8, 4)):
        part = build("pe_arrays", text | {"tree_chunks": chunks})
        assert isinstance(part, PEArray)
        cost = part.cost(tiles_of_bits(bits, part.tile_inputs))
        assert cost.partial_sum_write_vectors.tolist() == [passes]
        assert cost.partial_sum_read_vectors.tolist() == [passes - 4]


@pytest.mark.nojit
def test_trees_take_rows_and_planes_in_turn_and_hold_one_sum_each() -> None:
    part = array("adder_trees")
    cost = part.cost(tiles_of_bits(np.ones((1, 9, 2, 100), np.bool_), part.tile_inputs))
    assert cost.cycles.tolist() == [5, 5]  # 18 rows of planes, 4 at a time, in each of two chunks
    assert cost.per_output["accumulate"].tolist() == [1800]
    assert cost.partial_sum_write_vectors.tolist() == [18]
    (adders, registers) = part.logic()
    assert (adders.times, registers.times) == (4 * 12 * 72, 4 * 12)
