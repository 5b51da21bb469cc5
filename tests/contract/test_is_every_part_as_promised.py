"""Does every registered part keep what its slot promises?"""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from simulator.components.base import Component, build, registry, slots
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.components.token_skip.base import TokenSkip
from simulator.energy import EnergyTable, table_names
from tests.works import tiles_of_bits

PARTS = [(slot, kind) for slot in slots() for kind in registry(slot)]
TABLES = {name: EnergyTable.load(name) for name in table_names()}


def example(slot: str, kind: str) -> Component:
    return build(slot, yaml.safe_load(registry(slot)[kind].example))


def kinds(slot: str) -> list[str]:
    return list(registry(slot))


def array(kind: str) -> PEArray:
    part = example("pe_arrays", kind)
    assert isinstance(part, PEArray)
    return part


@pytest.mark.nojit
@pytest.mark.parametrize(("slot", "kind"), PARTS)
def test_the_example_loads_and_is_of_its_kind(slot: str, kind: str) -> None:
    assert example(slot, kind).kind == kind


@pytest.mark.parametrize(("slot", "kind"), PARTS)
@pytest.mark.parametrize("table", TABLES)
def test_each_action_has_a_price_in_each_table(table: str, slot: str, kind: str) -> None:
    for name, price in TABLES[table].prices(example(slot, kind).actions()).items():
        assert price.energy_pj >= 0, name
    TABLES[table].total_leakage(example(slot, kind).leakage())


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("pe_arrays"))
def test_no_work_costs_nothing(kind: str) -> None:
    empty = tiles_of_bits(np.zeros((0, 24), np.bool_))
    cost = array(kind).cost(empty)
    assert cost.cycles.sum() == 0
    assert all(values.sum() == 0 for values in [*cost.per_output.values(), *cost.per_pass.values()])


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("pe_arrays"))
def test_an_array_names_every_action_that_it_counts(kind: str) -> None:
    random = np.random.default_rng(0)
    part = array(kind)
    for density in (0.0, 0.1, 0.5, 1.0):
        tiles = tiles_of_bits(random.random((40, 24)) < density, part.tile_inputs)
        cost = part.cost(tiles)
        assert {*cost.per_output, *cost.per_pass} <= part.actions().keys()
        assert {*part.adds} <= {*cost.per_output, *cost.per_pass}


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("pe_arrays"))
def test_more_ones_never_cost_less_where_the_design_says_so(kind: str) -> None:
    random = np.random.default_rng(1)
    part = array(kind)
    if not part.monotone:
        pytest.skip("rows share results, so one more spike can make a piece shorter")
    for _ in range(50):
        bits = random.random((30, 24)) < 0.2
        more = bits | (random.random(bits.shape) < 0.2) & bits.any(axis=1, keepdims=True)
        before, after = (
            part.cost(tiles_of_bits(each, part.tile_inputs)).cycles.sum() for each in (bits, more)
        )
        assert after >= before


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("pe_arrays"))
def test_a_block_in_parts_takes_about_as_long_at_least(kind: str) -> None:
    """Where it took less, a search over mappings would cut blocks for nothing."""
    random = np.random.default_rng(1)
    part = array(kind)
    if part.entire_maps:
        pytest.skip("is given entire maps only")
    for rows in (32, 64):
        bits = random.random((rows, 24)) < 0.2
        taken = []
        for block in (rows, rows // 2, rows // 8):
            tiles = tiles_of_bits(bits, part.tile_inputs, block=block, timesteps=4)
            tiles = tiles._replace(grids=np.full((len(tiles.sizes), 2), (2, rows // 8)))
            taken.append(part.cost(tiles).cycles.sum())
        # Rows are dealt out again in each block, sometimes a little better (bundle, time_batched).
        assert min(taken) >= 0.8 * taken[0]


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("memories"))
def test_a_memory_moves_at_least_what_it_is_asked_for(kind: str) -> None:
    memory = example("memories", kind)
    assert isinstance(memory, Memory)
    for bits in (1, 100, 4096, 1_000_000):
        read = memory.read(bits, 500.0)
        assert read.busy_cycles * memory.bits_per_cycle(500.0) >= bits * 0.999
        assert read.counts.keys() <= memory.actions().keys()
        assert memory.write(bits, 500.0).counts.keys() <= memory.actions().keys()
        assert memory.read(2 * bits, 500.0).busy_cycles >= read.busy_cycles


@pytest.mark.nojit
@pytest.mark.parametrize("kind", kinds("token_skip"))
def test_a_token_skip_reads_no_mask_without_tokens_and_names_its_counts(kind: str) -> None:
    skip = example("token_skip", kind)
    assert isinstance(skip, TokenSkip)
    assert skip.scan(0, 0, 3).mask_reads == 0
    for live in (0, 5, 64):
        scan = skip.scan(64, live, 3)
        assert scan.counts.keys() <= skip.actions().keys()
        assert scan.busy_cycles >= 0
    assert skip.drops_rows <= skip.spares_energy
