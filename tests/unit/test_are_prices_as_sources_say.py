"""Prices of logic and DRAM equal their sources; what a table lacks is an error, never a guess."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.components.base import Primitive
from simulator.energy import EnergyTable, table_names
from simulator.errors import PricingError
from tests.messages import cases, said

TABLES = {name: EnergyTable.load(name) for name in table_names()}

# Horowitz, ISSCC 2014, Fig. 1.1.9.
HOROWITZ_45 = {
    ("add", 8): 0.03,
    ("add", 16): 0.05,
    ("add", 32): 0.1,
    ("multiply", 8): 0.2,
    ("multiply", 32): 3.1,
    ("fp_add", 16): 0.4,
    ("fp_add", 32): 0.9,
    ("fp_multiply", 16): 1.1,
    ("fp_multiply", 32): 3.7,
}
# hwcomponents-library 1.0.58 at 45 and 28 nm.
ALADDIN = {
    ("add", 8): (0.0604, 0.0310),
    ("add", 16): (0.121, 0.0620),
    ("add", 24): (0.181, 0.0930),
    ("multiply", 8): (0.912, 0.468),
    ("mac_8x8_16", 8): (1.03, 0.530),
    ("register", 8): (0.0829, 0.0425),
    ("compare", 16): (0.0170, 0.0087),
    ("counter", 16): (0.144, 0.074),
}
# A bit over a micrometre: Keckler et al. (IEEE Micro 2011), 310 pJ for 256 bits over 10 mm; Dally
# (SC10 keynote), 26 pJ for 256 bits over 1 mm. Both second-hand.
WIRE = ("wire", 1)
WIRE_PJ = {45: 310 / 256 / 10_000, 28: 26 / 256 / 1_000}


def price_pj(table: str, operation: str, bits: int) -> float:
    return TABLES[table].price(Primitive(operation, bits=bits)).energy_pj


def test_the_four_tables_are_there_with_node_and_voltage() -> None:
    assert {name: (table.node_nm, table.voltage_v) for name, table in TABLES.items()} == {
        "aladdin_28nm": (28, 0.8),
        "aladdin_45nm": (45, 0.8),
        "horowitz_28nm": (28, 0.9),
        "horowitz_45nm": (45, 0.9),
    }
    assert all(table.name == name for name, table in TABLES.items())


def listed_pj(table: str) -> dict[tuple[str, int], float]:
    """The listed prices, but for the wire, which is not of the table's own source."""
    listed = TABLES[table].logic.listed
    return {key: entry.energy_pj for key, entry in listed.items() if key != WIRE}


@pytest.mark.parametrize("table", TABLES)
def test_a_wire_is_priced_by_the_micrometre(table: str) -> None:
    price = TABLES[table].price(Primitive(*WIRE))
    assert price.energy_pj == pytest.approx(WIRE_PJ[TABLES[table].node_nm], rel=0.005)
    assert price.source.startswith("second-hand")


def test_listed_prices_are_those_of_the_source_and_no_others() -> None:
    assert listed_pj("horowitz_45nm") == HOROWITZ_45
    for column, name in enumerate(("aladdin_45nm", "aladdin_28nm")):
        listed = listed_pj(name)
        assert listed == {key: energies[column] for key, energies in ALADDIN.items()}


def test_horowitz_at_28_nm_is_its_45_nm_figure_times_the_ratio_of_the_aladdin_tables() -> None:
    nearest = {("add", 32): ("add", 24), ("multiply", 32): ("multiply", 8)}
    listed = listed_pj("horowitz_28nm")
    assert set(listed) == {key for key in HOROWITZ_45 if not key[0].startswith("fp_")}
    for key, energy_pj in listed.items():
        source = TABLES["horowitz_28nm"].logic.listed[key].source
        at_45, at_28 = ALADDIN[nearest.get(key, key)]
        assert energy_pj == HOROWITZ_45[key] * at_28 / at_45
        assert f"{HOROWITZ_45[key]:g} pJ x {at_28:g}/{at_45:g}" in source
        assert "aladdin_28_over_45 from horowitz_45nm at 45 nm" in source


def test_the_aladdin_tables_are_its_40_nm_cells_scaled_by_stillmaker_and_baas() -> None:
    """Cells: Aladdin at 40 nm and 32 bits. Equations: Integration 58 (2017), table of energies."""
    cells_pj = {"add": 0.21, "multiply": 12.68, "compare": 0.02947, "counter": 0.25074}
    polynomials = {45: (1.103, -0.362, 0.2767), 32: (0.9559, -0.7823, 0.471)}
    polynomials[20] = (0.373, -0.1582, 0.04104)

    def relative_energy(node_nm: int) -> float:
        above = min(node for node in polynomials if node >= node_nm)
        below = max(node for node in polynomials if node <= node_nm)
        share = (node_nm - below) / (above - below) if above > below else 1.0
        at = {n: a * 0.8**2 + b * 0.8 + c for n, (a, b, c) in polynomials.items()}
        return share * at[above] + (1 - share) * at[below]

    for column, node_nm in enumerate((45, 28)):
        assert TABLES[f"aladdin_{node_nm}nm"].voltage_v == 0.8
        scale = relative_energy(node_nm) / relative_energy(40)
        for (operation, bits), energies in ALADDIN.items():
            if operation in cells_pj:
                width = (bits / 32) ** (2 if operation == "multiply" else 1)
                expected = cells_pj[operation] * width * scale
                assert energies[column] == pytest.approx(expected, rel=5e-3)


def test_the_families_disagree_by_2_to_4_and_a_half_times_and_the_other_way_in_compares() -> None:
    ratios = [
        price_pj("aladdin_45nm", *key) / price_pj("horowitz_45nm", *key)
        for key in (("add", 8), ("add", 16), ("multiply", 8))
    ]
    assert 2.0 < min(ratios) < max(ratios) < 4.6
    assert price_pj("aladdin_45nm", "compare", 16) < price_pj("horowitz_45nm", "compare", 16) / 2


@pytest.mark.parametrize("name", table_names())
@settings(deadline=None, max_examples=40)
@given(bits=st.integers(8, 32))
def test_adds_and_compares_of_8_to_32_bits_are_priced_by_the_named_rules(
    name: str, bits: int
) -> None:
    listed = sorted(
        (w, e.energy_pj) for (o, w), e in TABLES[name].logic.listed.items() if o == "add"
    )
    points = dict(listed)
    if name.startswith("aladdin"):
        points[32] = points[24] * 32 / 24
    widths = sorted(points)
    expected = next(
        points[low] + (bits - low) / (high - low) * (points[high] - points[low])
        for low, high in itertools.pairwise(widths)
        if low <= bits <= high
    )
    price = TABLES[name].price(Primitive("add", bits=bits))
    assert price.energy_pj == pytest.approx(expected, rel=1e-12)
    compare = TABLES[name].price(Primitive("compare", bits=bits))
    if name.startswith("horowitz"):
        assert compare.energy_pj == price.energy_pj
        assert "compare priced as add (a comparator is a subtractor)" in compare.source
    else:
        at_16 = TABLES[name].logic.listed["compare", 16].energy_pj
        assert compare.energy_pj == pytest.approx(at_16 * bits / 16, rel=1e-12)
    node = f"[{TABLES[name].node_nm} nm, {TABLES[name].voltage_v:g} V]"
    assert price.source.endswith(node)
    assert compare.source.endswith(node)


@pytest.mark.parametrize("name", table_names())
def test_wider_adds_never_cost_less(name: str) -> None:
    energies = [price_pj(name, "add", bits) for bits in range(8, 33)]
    assert energies == sorted(energies)


@cases("what_a_table_lacks_is_an_error_with_what_it_holds")
def test_what_a_table_lacks_is_an_error_with_what_it_holds(
    name: str, operation: str, bits: int, says: str
) -> None:
    with pytest.raises(PricingError, match=f"^{name}: ") as caught:
        price_pj(name, operation, bits)
    assert says in str(caught.value)


DRAM = {"ddr3": 70.0, "ddr4": 12.45, "hbm2": 6.25, "hbm3": 4.05, "lpddr4": 8.0}


@pytest.mark.parametrize("name", table_names())
def test_dram_costs_its_bits_the_same_in_every_table(name: str) -> None:
    assert {kind: price.energy_pj_per_bit for kind, price in TABLES[name].dram.items()} == DRAM
    for operation in ("dram_read", "dram_write"):
        price = TABLES[name].price(Primitive(operation, bits=512, technology="ddr4"))
        assert price.energy_pj == 12.45 * 512
        assert "Prosperity" in price.source


def test_unknown_dram_or_no_bits_is_an_error() -> None:
    table = TABLES["horowitz_45nm"]
    with pytest.raises(PricingError, match=said("an unknown DRAM")):
        table.price(Primitive("dram_read", bits=8, technology="ddr44"))
    with pytest.raises(PricingError, match=said("an access of no bits")):
        table.price(Primitive("dram_read", technology="ddr4"))
