"""Does the spike-skip kernel take the cycles that its description says, cycle by cycle?"""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.counted import counted_tiles
from simulator.components.base import build
from simulator.components.pe_arrays.base import PEArray


def slow_cycles(words: list[int], rows: int, lanes: int, fifo_words: int) -> int:
    """A clock, a dispatcher, FIFOs and rows: what SpikeSkip's description says, and no more."""
    fifos: list[deque[int]] = [deque() for _ in range(rows)]
    left = [0] * rows  # set bits that a row still has to add
    pending, pushed, cycle = deque(words), 0, 0
    while pending or any(fifos) or any(left):
        # Rows first: a word pushed in this cycle is popped in the next at the earliest, and a
        # place freed in this cycle is filled in the next at the earliest.
        full = [len(fifo) == fifo_words for fifo in fifos]
        for row in range(rows):
            if left[row] == 0 and fifos[row]:
                left[row] = fifos[row].popleft()
            left[row] = max(0, left[row] - lanes)
        if pending:
            target = pushed % rows
            if pending[0] == 0:
                pending.popleft()
            elif not full[target]:
                fifos[target].append(pending.popleft())
                pushed += 1
        cycle += 1
    return cycle


def kernel_cycles(words: list[int], rows: int, lanes: int, fifo_words: int) -> int:
    array = build(
        "pe_arrays",
        {
            "kind": "spike_skip",
            "rows": rows,
            "columns": 4,
            "lanes": lanes,
            "fifo_words": fifo_words,
        },
    )
    assert isinstance(array, PEArray)
    cost = array.cost(counted_tiles(np.array(words)[:, None], np.array([128])))
    assert cost.per_output["accumulate"].sum() == sum(words)
    return int(cost.cycles[0])


@pytest.mark.nojit
@given(
    st.lists(st.one_of(st.just(0), st.integers(0, 20), st.just(128)), min_size=1, max_size=60),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_any_tile(words: list[int], rows: int, lanes: int, fifo_words: int) -> None:
    expected = slow_cycles(words, rows, lanes, fifo_words)
    assert kernel_cycles(words, rows, lanes, fifo_words) == expected


@pytest.mark.nojit
@pytest.mark.parametrize(
    "words",
    [[0] * 30, [128] * 30, [0] * 10 + [128] + [0] * 10, [128] + [1] * 40, [1, 0] * 20],
    ids=["all zero", "all one", "one hot", "one slow row", "every other"],
)
def test_adversarial_tiles(words: list[int]) -> None:
    for rows, lanes, fifo_words in [(1, 1, 1), (8, 1, 4), (8, 2, 1), (3, 1, 2)]:
        expected = slow_cycles(words, rows, lanes, fifo_words)
        assert kernel_cycles(words, rows, lanes, fifo_words) == expected


@pytest.mark.nojit
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 8))
def test_a_tile_is_never_under_its_own_floor(words: list[int], rows: int) -> None:
    cycles = kernel_cycles(words, rows, 1, 4)
    assert cycles >= max(len(words), -(-sum(words) // rows))
