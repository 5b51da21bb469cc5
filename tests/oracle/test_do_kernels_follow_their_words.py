"""Do the kernels of the arrays do what their descriptions say, beside slow and obvious twins?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.components.pe_arrays import product_sparse as product
from simulator.components.pe_arrays.bundle import stratified
from simulator.components.pe_arrays.dual_sparse import DualSparse, drawn_masks
from simulator.components.pe_arrays.event_scatter import EventScatter
from simulator.components.pe_arrays.pattern import Pattern, calibrated, match_patterns
from simulator.components.pe_arrays.sorted_rows import fullest_load
from simulator.components.pe_arrays.time_batched import paired_length, window_slots
from simulator.components.pe_arrays.windows import join_windows, windows
from tests.works import pack_words, tiles_of_bits

BITS = st.integers(0, 2**16 - 1)
SOME_BITS = st.one_of(BITS, st.sampled_from([0, 1, 3, 7, 0x8001, 0xFFFF]))


def slow_search(rows: list[int]) -> tuple[list[int], list[int]]:
    """The prefix and the rest of each row, said as the description says it."""
    prefixes, rest = [], []
    for index, row in enumerate(rows):
        best, size = -1, 0
        if row.bit_count() > 1:
            for other, candidate in enumerate(rows):
                subset = candidate & row == candidate
                if candidate == row and other >= index:
                    continue
                if subset and candidate.bit_count() > size:
                    best, size = other, candidate.bit_count()
        prefixes.append(best)
        rest.append(row ^ rows[best] if best >= 0 else row)
    return prefixes, rest


def slow_pairs(flags: list[int], full: int) -> int:
    """First fit over the inputs that are neither silent nor full."""
    left = [flag for flag in flags if flag and flag != full]
    slots = sum(flag == full and flag > 0 for flag in flags)
    while left:
        flag = left.pop(0)
        slots += 1
        for place, other in enumerate(left):
            if not other & flag:
                del left[place]
                break
    return slots


@pytest.mark.nojit
@given(st.lists(SOME_BITS, max_size=40))
def test_each_row_finds_its_largest_subset(rows: list[int]) -> None:
    words = np.array(rows, np.uint64)
    prefix, rest = np.empty(len(rows), np.int32), np.empty(len(rows), np.uint64)
    found = np.zeros(4, np.int64)
    product.product_search(words, prefix, rest, found)
    expected_prefix, expected_rest = slow_search(rows)
    assert prefix.tolist() == expected_prefix
    assert rest.tolist() == expected_rest
    copied = sum(not left and row > 0 for row, left in zip(rows, expected_rest, strict=True))
    assert found.tolist() == [
        sum(row.bit_count() for row in rows),
        sum(left.bit_count() for left in expected_rest),
        copied,
        sum(row.bit_count() > 1 for row in rows),
    ]


@pytest.mark.nojit
@given(st.lists(SOME_BITS, min_size=1, max_size=30), st.integers(0, 2**31))
def test_prefixes_and_rests_give_the_matrix_product(rows: list[int], seed: int) -> None:
    words = np.array(rows, np.uint64)
    prefix, rest = np.empty(len(rows), np.int32), np.empty(len(rows), np.uint64)
    product.product_search(words, prefix, rest, np.zeros(4, np.int64))
    weights = np.random.default_rng(seed).integers(-128, 128, (16, 3))
    dense = (words[:, None] >> np.arange(16, dtype=np.uint64) & np.uint64(1)).astype(np.int64)
    added = (rest[:, None] >> np.arange(16, dtype=np.uint64) & np.uint64(1)).astype(np.int64)
    sums = np.zeros((len(rows), 3), np.int64)
    for row in np.argsort(np.bitwise_count(words), kind="stable"):
        # A prefix has fewer spikes, or as many and comes earlier: its sum is there already.
        taken = sums[prefix[row]] if prefix[row] >= 0 else 0
        sums[row] = taken + added[row] @ weights
    np.testing.assert_array_equal(sums, dense @ weights)


@pytest.mark.nojit
@pytest.mark.parametrize(("inputs", "tile_rows", "tile_inputs"), [(70, 8, 16), (16, 5, 7)])
def test_a_matrix_is_the_sum_of_its_tiles(inputs: int, tile_rows: int, tile_inputs: int) -> None:
    bits = np.random.default_rng(0).random((21, inputs)) < 0.3
    found = product.product_matrix(pack_words(bits), inputs, tile_rows, tile_inputs)
    expected = np.zeros(4, np.int64)
    for first in range(0, 21, tile_rows):
        for start in range(0, inputs, tile_inputs):
            tile = bits[first : first + tile_rows, start : start + tile_inputs]
            values = [int(pack_words(row)[0]) for row in tile]
            _, rest = slow_search(values)
            expected[product.SPIKES] += tile.sum()
            expected[product.REMAINING] += sum(left.bit_count() for left in rest)
            expected[product.EMPTIED] += sum(
                not left and value > 0 for value, left in zip(values, rest, strict=True)
            )
            expected[product.SEARCHED] += (tile.sum(axis=1) > 1).sum()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.nojit
@given(st.lists(st.integers(0, 255), max_size=60))
def test_inputs_are_paired_first_fit(flags: list[int]) -> None:
    left = np.empty(max(len(flags), 1), np.uint64)
    slots = paired_length(np.array(flags, np.uint64), np.uint64(255), left)
    assert slots == slow_pairs(flags, 255)


@pytest.mark.nojit
@pytest.mark.parametrize("count", [1, 5, 8, 16, 19])
def test_windows_are_dealt_to_the_columns_part_by_part(count: int) -> None:
    bits = np.random.default_rng(count).random((count, 70)) < 0.2
    found = np.zeros(3, np.int64)
    slots = window_slots(pack_words(bits), 70, 8, found)
    groups = -(-count // 8)
    expected, live = 0, 0
    for group in range(groups):
        members = bits[group::groups]
        flags = (members.T * (1 << np.arange(len(members)))).sum(axis=1)
        expected += slow_pairs(flags.tolist(), (1 << len(members)) - 1)
        live += int((flags > 0).sum())
    assert slots == expected
    assert found.tolist() == [live, expected, groups * 70]


@pytest.mark.nojit
def test_a_window_holds_the_timesteps_of_one_token_and_ends_with_its_block() -> None:
    bits = np.random.default_rng(1).random((24, 9)) < 0.3
    ptr, row_ptr = windows(tiles_of_bits(bits, block=10, timesteps=8).rows(), 4)
    assert ptr.tolist() == [0, 3, 6, 7]
    assert row_ptr.tolist() == [0, 4, 8, 10, 12, 16, 20, 24]
    joined = np.empty((7, 1), np.uint64)
    join_windows(pack_words(bits), row_ptr, joined)
    expected = [
        pack_words(np.logical_or.reduce(bits[first:last], axis=0))
        for first, last in itertools.pairwise(row_ptr)
    ]
    np.testing.assert_array_equal(joined, np.stack(expected))


@pytest.mark.nojit
@given(st.lists(st.integers(0, 30), max_size=50), st.integers(1, 9))
def test_rows_go_to_the_least_loaded(spikes: list[int], pes: int) -> None:
    loads = [0] * pes
    for count in spikes:
        loads[loads.index(min(loads))] += count
    assert fullest_load(np.array(spikes, np.int64), pes) == max(loads)


@pytest.mark.nojit
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 4), st.integers(1, 4))
def test_bundles_are_split_the_best_way(active: list[int], dense: int, sparse: int) -> None:
    found = np.zeros(3, np.int64)
    cores = np.array([dense, sparse], np.int64)
    cycles = stratified(np.array(active, np.int64), 9, 5, cores, found)
    choices = []
    for split in itertools.product([False, True] if dense else [False], repeat=min(len(active), 9)):
        chosen = [*split, *[False] * (len(active) - len(split))]
        left = sum(count for count, there in zip(active, chosen, strict=True) if not there)
        busy = sum(chosen) * -(-9 // dense) if dense else 0
        choices.append(max(busy, -(-left // sparse)) * 5)
    if len(active) <= 9:
        assert cycles == min(choices)
    else:
        assert cycles <= min(choices)
    assert found[0] % 9 == 0
    assert found[2] == 9 * len(active)


@pytest.mark.nojit
@given(st.lists(SOME_BITS, max_size=30), st.lists(BITS, max_size=6))
def test_a_row_takes_the_nearest_pattern_that_helps(rows: list[int], patterns: list[int]) -> None:
    looked_up, residual = np.empty((2, len(rows)), np.int64)
    match_patterns(np.array(rows, np.uint64), np.array(patterns, np.uint64), looked_up, residual)
    for row, found, left in zip(rows, looked_up, residual, strict=True):
        distances = [(row ^ pattern).bit_count() for pattern in patterns]
        best = min([*distances, row.bit_count()])
        assert left == best
        assert found == (best < row.bit_count())


@pytest.mark.nojit
def test_patterns_start_with_what_saves_most_and_become_majorities() -> None:
    values = np.array([0b0001, 0b0111, 0b1111, 0b1110], np.uint64)
    counts = np.array([90, 3, 2, 1], np.int64)
    assert calibrated(values, counts, 2, 0).tolist() == [0b0111, 0b1111]
    assert calibrated(values, counts, 1, 0).tolist() == [0b0111]
    # One pattern: all of the three larger values choose it, and the majority of 6 votes wins.
    assert calibrated(values, counts, 1, 1).tolist() == [0b0111]
    assert calibrated(values, np.array([90, 3, 5, 3], np.int64), 1, 1).tolist() == [0b1111]
    assert calibrated(values, counts, 0, 3).tolist() == []


@pytest.mark.nojit
def test_patterns_are_of_all_blocks_that_meet_the_same_weights() -> None:
    bits = np.random.default_rng(7).random((60, 40)) < 0.4
    fields = {"columns": 4, "patterns": 3, "row_inputs": 8, "lookup_lanes": 2, "residual_lanes": 3}
    cost = Pattern.model_validate(fields).cost(tiles_of_bits(bits, 8, block=25))
    looked_up, residual = np.zeros((2, 5, 60), np.int64)
    for chunk in range(5):
        words = pack_words(bits[:, 8 * chunk : 8 * chunk + 8])[:, 0]
        values, counts = np.unique(words, return_counts=True)
        patterns = calibrated(values, counts.astype(np.int64), 3, 2).tolist()
        for row, value in enumerate(words.tolist()):
            left = min(value.bit_count(), *((value ^ each).bit_count() for each in patterns))
            residual[chunk, row], looked_up[chunk, row] = left, left < value.bit_count()
    for block, rows in enumerate((slice(0, 25), slice(25, 50), slice(50, 60))):
        sums = looked_up[:, rows].sum(axis=1), residual[:, rows].sum(axis=1)
        expected = np.maximum(-(-sums[0] // 2), -(-sums[1] // 3))
        assert cost.cycles[5 * block : 5 * block + 5].tolist() == expected.tolist()
        assert cost.per_output["add_pattern"][block] == sums[0].sum()
        assert cost.per_output["add_residual"][block] == sums[1].sum()


@pytest.mark.nojit
@pytest.mark.parametrize(("density", "rate"), [(0.1, 0.02), (0.1, 0.2), (0.5, 0.1), (1.0, 0.1)])
def test_a_join_takes_the_inputs_that_both_sides_have(density: float, rate: float) -> None:
    bits = np.random.default_rng(5).random((24, 200)) < rate
    part = DualSparse.model_validate(
        {"columns": 3, "weight_density": density, "window_timesteps": 4, "join_inputs": 64}
    )
    tiles = tiles_of_bits(bits, block=12, timesteps=4)
    masks = drawn_masks(0, 200, 3, density)
    kept = np.unpackbits(masks.view(np.uint8), axis=1, count=200, bitorder="little").view(np.bool_)
    cost = part.cost(tiles)
    for block in range(2):
        rows = bits[12 * block : 12 * block + 12]
        spent, matches, corrections = [0, 0, 0], 0, 0
        for token in range(3):
            own = rows[4 * token : 4 * token + 4]
            for column in range(3):
                both = own.any(axis=0) & kept[column]
                spent[column] += max(4, int(both.sum()))
                matches += int(both.sum())
                corrections += int((~own[:, both]).sum())
        assert cost.cycles[block] == max(spent)
        assert cost.per_pass["accumulate"][block] == matches
        assert cost.per_pass["correct"][block] == corrections
    assert abs(kept.mean() - density) < 0.1


def slow_scatter(rows: list[int], array: EventScatter) -> tuple[int, int]:
    """Cycles and events of a tile: pair by pair, or position by position, as the docstring says."""
    cycles = events = 0
    step = 2 if array.pairs else 1
    for first in range(0, len(rows), step):
        own = rows[first : first + step]
        firing = sum(row > 0 for row in own)
        if not firing:
            cycles += array.empty_cycles * len(own)
            continue
        union, common = 0, own[0] if len(own) == 2 else 0
        for row in own:
            union |= row
        common &= own[-1]
        beyond = array.position_cycles * firing + array.overlap_cycles * (common > 0)
        cycles += max(union.bit_count() + beyond, array.floor_cycles * firing)
        events += union.bit_count()
    return max(cycles + array.tile_cycles, 1), events


@pytest.mark.nojit
@given(
    st.lists(SOME_BITS, min_size=1, max_size=12), st.booleans(), st.sampled_from([0, 6]),
    st.sampled_from([0, 5, 14]),
)  # fmt: skip
def test_pairs_share_the_events_that_both_have(
    rows: list[int], pairs: bool, empty: int, floor: int
) -> None:
    array = EventScatter(
        columns=8, taps=9, pairs=pairs, empty_cycles=empty, floor_cycles=floor, tile_cycles=3
    )
    bits = np.array([[row >> place & 1 for place in range(16)] for row in rows], np.bool_)
    cost = array.cost(tiles_of_bits(bits, 16))
    cycles, events = slow_scatter(rows, array)
    assert cost.cycles.tolist() == [cycles]
    assert cost.per_pass["event"].tolist() == [events]
    assert cost.per_output["accumulate"].tolist() == [9 * events]
