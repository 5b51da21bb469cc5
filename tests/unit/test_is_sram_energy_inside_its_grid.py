"""SRAM energy: exact at CACTI's points, bilinear in the logarithms between, an error outside."""

from __future__ import annotations

import csv
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.components.base import Primitive
from simulator.energy import EnergyTable
from simulator.energy.pricing import TABLES
from simulator.energy.sram_grid import SramBank
from simulator.errors import PricingError
from tests.messages import cases, said

Point = tuple[float, float]


def read_grid(node_nm: int) -> dict[Point, SramBank]:
    """The rows of one node, read the plain way."""
    text = (TABLES / "sram_cacti.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        (float(row["size_kib"]), float(row["width_bits"])): SramBank(
            *(float(row[field]) for field in SramBank._fields)
        )
        for row in rows
        if int(row["node_nm"]) == node_nm
    }


GRIDS = {node_nm: read_grid(node_nm) for node_nm in (22, 28, 45, 65)}
BY_NODE = {28: EnergyTable.load("aladdin_28nm"), 45: EnergyTable.load("horowitz_45nm")}


def slow_twin(grid: dict[Point, SramBank], size: float, width: float) -> list[float] | None:
    """Interpolate along the width on the two sizes around, then between those; None outside."""

    def around(values: set[float], value: float) -> Point | None:
        below = [known for known in values if known <= value]
        above = [known for known in values if known >= value]
        return (max(below), min(above)) if below and above else None

    def between(low: float, high: float, at: float, low_value: float, high_value: float) -> float:
        if low == high:
            return low_value
        share = (math.log(at) - math.log(low)) / (math.log(high) - math.log(low))
        return low_value * (1 - share) + high_value * share

    sizes = around({size for size, _ in grid}, size)
    widths = around({width for _, width in grid}, width)
    if sizes is None or widths is None:
        return None
    if any((s, w) not in grid for s in sizes for w in widths):
        return None
    rows = [
        [
            between(*widths, width, *values)
            for values in zip(grid[s, widths[0]], grid[s, widths[1]], strict=True)
        ]
        for s in sizes
    ]
    return [between(*sizes, size, *values) for values in zip(*rows, strict=True)]


@pytest.mark.parametrize("node_nm", [28, 45])
def test_every_point_of_the_grid_is_met_exactly(node_nm: int) -> None:
    assert len(GRIDS[node_nm]) == 62
    for (size_kib, width_bits), bank in GRIDS[node_nm].items():
        assert BY_NODE[node_nm].sram_bank(size_kib, int(width_bits)) == bank


SIZES = st.one_of(st.floats(0.5, 5000), st.sampled_from([2.0**n for n in range(-1, 14)]))
WIDTHS = st.one_of(st.integers(16, 1100), st.sampled_from([2**n for n in range(4, 11)]))


@pytest.mark.parametrize("node_nm", [28, 45])
@settings(deadline=None, max_examples=300)
@given(size_kib=SIZES, width_bits=WIDTHS)
def test_between_the_points_it_equals_the_slow_twin(
    node_nm: int, size_kib: float, width_bits: int
) -> None:
    expected = slow_twin(GRIDS[node_nm], size_kib, width_bits)
    if expected is None:
        with pytest.raises(PricingError, match=said("outside the grid")):
            BY_NODE[node_nm].sram_bank(size_kib, width_bits)
    else:
        bank = BY_NODE[node_nm].sram_bank(size_kib, width_bits)
        assert list(bank) == pytest.approx(expected, rel=1e-9)


@cases("outside_the_error_names_table_bank_and_allowed_range")
def test_outside_the_error_names_table_bank_and_allowed_range(
    size_kib: float, width_bits: int, says: str
) -> None:
    with pytest.raises(PricingError, match=said("outside the grid")) as caught:
        BY_NODE[45].sram_bank(size_kib, width_bits)
    label, asked, held = str(caught.value).split(": ")
    assert label == "horowitz_45nm"
    assert f"{size_kib:g} KiB, {width_bits} bits wide" in asked
    assert says in held


# Where CACTI itself is not monotone: (node, size, width), where twice the width reads for less.
READS_FOR_LESS_AT_TWICE_THE_WIDTH = {(22, 8, 32), (45, 16, 64), (65, 16, 64), (65, 64, 256)}


def test_cacti_is_monotone_but_for_four_known_reads() -> None:
    cheaper = set()
    for node_nm, grid in GRIDS.items():
        for (size, width), bank in grid.items():
            larger, wider = grid.get((2 * size, width)), grid.get((size, 2 * width))
            if larger is not None:
                assert larger.read_pj > bank.read_pj
                assert larger.write_pj > bank.write_pj
                assert larger.leakage_uw > bank.leakage_uw
                assert larger.area_mm2 > bank.area_mm2
            if wider is not None:
                assert wider.write_pj > bank.write_pj
                if wider.read_pj <= bank.read_pj:
                    cheaper.add((node_nm, size, width))
    assert cheaper == READS_FOR_LESS_AT_TWICE_THE_WIDTH


@settings(deadline=None, max_examples=200)
@given(st.floats(4, 4096), st.floats(1.0, 4.0), st.integers(32, 512))
def test_a_larger_bank_never_costs_less(size_kib: float, growth: float, width_bits: int) -> None:
    small = BY_NODE[28].sram_bank(size_kib, width_bits)
    large = BY_NODE[28].sram_bank(min(size_kib * growth, 4096), width_bits)
    pairs = zip(small._replace(access_ns=0), large._replace(access_ns=0), strict=True)
    assert all(a <= b * (1 + 1e-12) for a, b in pairs)


def test_prices_and_leakage_are_those_of_the_bank_with_its_source() -> None:
    table = BY_NODE[45]
    bank = table.sram_bank(64, 128)
    assert (bank.read_pj, bank.write_pj) == (39.3320, 36.0435)
    read = table.price(Primitive("sram_read", size_kib=64, width_bits=128))
    write = table.price(Primitive("sram_write", size_kib=64, width_bits=128))
    leakage = table.leakage_uw(Primitive("sram_leakage", size_kib=64, width_bits=128, times=8))
    assert (read.energy_pj, write.energy_pj, leakage.power_uw) == (39.3320, 36.0435, 1.652)
    assert read.source == write.source == leakage.source
    assert "CACTI" in read.source
    assert read.source.endswith("[45 nm, supply not stated]")
    between = table.price(Primitive("sram_read", size_kib=48, width_bits=128))
    assert between.source.endswith("interpolated for 48 KiB, 128 bits")
    with pytest.raises(PricingError, match=said("leakage of a read")):
        table.leakage_uw(Primitive("sram_read", size_kib=64, width_bits=128))


def test_banks_that_leak_add_up_as_often_as_they_are_there() -> None:
    table = BY_NODE[28]
    banks = (
        Primitive("sram_leakage", size_kib=64, width_bits=64, times=4),
        Primitive("sram_leakage", size_kib=16, width_bits=32),
    )
    total = table.total_leakage(banks)
    assert total.power_uw == math.fsum([4 * 5.642, 1.658])
    assert total.source.count("CACTI (") == 1
    assert table.total_leakage(()).power_uw == 0.0
