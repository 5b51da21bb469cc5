"""Do memories give what they state: bandwidth, pages, and conflicts of gathered rows?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.components.base import build, registry
from simulator.components.memories.base import Memory
from simulator.energy import EnergyTable
from simulator.lowering import lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import machine

PRESETS = {"ddr4_2400": (19.2, 64), "lpddr4_3200": (6.4, 32), "hbm2": (32.0, 64)}


def memory(**fields: object) -> Memory:
    part = build("memories", fields)
    assert isinstance(part, Memory)
    return part


def slow_gather(rows: Iterable[int], row_bits: int, width: int, banks: int) -> tuple[int, int]:
    """Word by word: groups of as many as there are banks, each as slow as its fullest bank."""
    words: list[int] = []
    for row in rows:
        for bit in range(row * row_bits, (row + 1) * row_bits):
            if not words or words[-1] != bit // width:
                words.append(bit // width)
    groups = [words[at : at + banks] for at in range(0, len(words), banks)]
    cycles = sum(max(np.bincount([word % banks for word in group])) for group in groups)
    return int(cycles), int(cycles) - len(groups)


@pytest.mark.nojit
@given(
    live=st.lists(st.booleans(), min_size=1, max_size=40),
    row_bits=st.sampled_from((8, 24, 64, 128, 200)),
    width=st.sampled_from((32, 64, 128)),
    banks=st.integers(1, 8),
)
def test_conflicts_are_those_of_the_slow_twin(
    live: list[bool], row_bits: int, width: int, banks: int
) -> None:
    part = memory(kind="sram", size_kib=64.0, banks=banks, width_bits=width)
    rows = np.flatnonzero(live).astype(np.int32)
    half = len(rows) // 2
    runs = np.array([0, half, len(rows)], np.int64)
    cycles, lost = part.gather_cycles(rows, runs, row_bits)
    expected = [slow_gather(run, row_bits, width, banks) for run in (rows[:half], rows[half:])]
    assert list(zip(cycles.tolist(), lost.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (range(16), (4, 0)),  # in sequence: four banks, four words a cycle
        (range(0, 32, 2), (8, 4)),  # every other row: two banks hold all of them
        (range(0, 64, 4), (16, 12)),  # every fourth: one bank
        ((0, 5, 10, 15), (1, 0)),  # apart, but each in a bank of its own
    ],
)
def test_gathered_rows_wait_for_the_fullest_bank(rows: range, expected: tuple[int, int]) -> None:
    part = memory(kind="sram", size_kib=64.0, banks=4, width_bits=128)
    found = part.gather_cycles(np.array(rows, np.int32), np.array([0, len(rows)]), 128)
    assert (int(found[0][0]), int(found[1][0])) == expected


def test_a_narrow_spike_buffer_makes_the_array_wait_and_counts_why(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "tiny.npz", channels=64, tokens=36, heads=4, seed=3)
    wide = "cores.0.buffers.spikes={kind: sram, size_kib: 64, banks: 4, width_bits: 64}"
    narrow = "cores.0.buffers.spikes={kind: sram, size_kib: 64, banks: 4, width_bits: 32}"
    busy, lost = [], []
    for override in (wide, narrow):
        with Trace.open(path) as trace:
            plan = make_plan(read_network(trace), machine("dense_pe", override, SKIP))
            found = lower(plan, trace.read(0))
        busy.append(int(found.program.busy_cycles[found.program.unit == 0].sum()))
        lost.append(sum(n for key, n in found.counts.items() if key[2] == "bank_conflict"))
    assert busy[1] >= busy[0]
    assert min(lost) > 0


SKIP = "token_skip={kind: compact, scan_tokens_per_cycle: 8, queue_tokens: 64}"


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_has_its_standards_bandwidth_and_price(kind: str) -> None:
    bandwidth, burst = PRESETS[kind]
    part = memory(**yaml.safe_load(registry("memories")[kind].example))
    channels = part.model_dump()["channels"]
    assert part.bits_per_cycle(1000.0) == pytest.approx(channels * bandwidth * 8)
    long = part.read(1 << 26, 1000.0)
    assert (1 << 26) / long.busy_cycles == pytest.approx(channels * bandwidth * 8, rel=0.01)
    assert part.read(1, 1000.0).counts["read_bit"] == burst * 8
    for name in ("horowitz_28nm", "aladdin_45nm"):
        assert EnergyTable.load(name).price_action(part.actions()["read_bit"]).energy_pj > 0


def test_a_page_is_missed_once_and_hit_until_it_ends() -> None:
    part = memory(kind="hbm2", channels=1)
    inside, over = part.read(2048 * 8, 500.0), part.read((2048 + 64) * 8, 500.0)
    assert (inside.counts["row_miss"], inside.counts["row_hit"]) == (1, 31)
    assert (over.counts["row_miss"], over.counts["row_hit"]) == (2, 31)
