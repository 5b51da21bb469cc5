"""Do all registered arrays cost the same with and without the compiler, and add up over pieces?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.components.base import build, registry
from simulator.components.pe_arrays.base import PEArray
from tests.array_costs import costs, plain, works
from tests.works import work_of_bits

ROOT = Path(__file__).parents[2]
KINDS = list(registry("pe_arrays"))


def array(kind: str) -> PEArray:
    part = build("pe_arrays", yaml.safe_load(registry("pe_arrays")[kind].example))
    assert isinstance(part, PEArray)
    return part


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
    together = part.cost(work_of_bits(bits, part.tile_inputs, block=8))
    alone = [part.cost(work_of_bits(bits[k : k + 1], part.tile_inputs, block=8)) for k in range(3)]
    np.testing.assert_array_equal(together.cycles, np.concatenate([cost.cycles for cost in alone]))
    for name, counts in together.per_output.items():
        np.testing.assert_array_equal(counts, sum(cost.per_output[name] for cost in alone))
    for name, counts in together.per_pass.items():
        np.testing.assert_array_equal(counts, sum(cost.per_pass[name] for cost in alone))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_every_piece_has_a_cycle_and_keeps_the_peak(kind: str) -> None:
    part = array(kind)
    for work in works(part):
        cost = part.cost(work)
        assert cost.cycles.shape == work.piece_ones().shape
        assert (cost.cycles >= 1).all()
        if not work.integer:  # an integer at once is as many accumulations as it has ones
            useful = work.piece_ones() * min(part.tile_columns, int(work.outputs[0]))
            assert (cost.cycles * part.peak_accumulations_per_cycle >= useful).all()
        for counts in (*cost.per_output.values(), *cost.per_pass.values()):
            assert counts.shape == work.outputs.shape
            assert (counts >= 0).all()


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_reads_no_bits_never_asks_for_them(kind: str) -> None:
    part = array(kind)
    for work in works(part):
        if part.reads_bits:
            with pytest.raises(ValueError, match="reads_bits"):
                part.cost(work._replace(gather=None))
        else:
            assert plain(part.cost(work._replace(gather=None))) == plain(part.cost(work))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_stored_weights_take_bits_for_every_output(kind: str) -> None:
    part = array(kind)
    bits = [part.stored_weight_bits(16, outputs, 8) for outputs in (1, 2, 8)]
    assert 0 < bits[0] < bits[1] < bits[2]
