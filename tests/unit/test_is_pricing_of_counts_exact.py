"""Prices of actions: overrides replace whole actions, sources survive."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.components.base import Action, Primitive
from simulator.energy import EnergyTable
from simulator.energy.machine import MachinePrices
from simulator.energy.table_file import Override
from simulator.errors import PricingError
from tests.messages import said

ROOT = Path(__file__).parents[2]
TABLE = EnergyTable.load("horowitz_28nm")
ACTIONS = {
    "pe_array.accumulate": Action("add a weight", (Primitive("add", bits=16),)),
    "lif.update": Action(
        "decay, add, compare",
        (Primitive("add", bits=16, times=2), Primitive("compare", bits=16)),
    ),
    "weights.read": Action("read", (Primitive("sram_read", size_kib=32, width_bits=128),)),
    "dram.read": Action("a burst", (Primitive("dram_read", bits=512, technology="ddr4"),)),
    "pe_array.skip": Action("nothing", ()),
}


def test_an_action_costs_the_sum_of_its_primitives_as_often_as_they_occur() -> None:
    add = TABLE.price(Primitive("add", bits=16)).energy_pj
    update = TABLE.price_action(ACTIONS["lif.update"])
    assert update.energy_pj == pytest.approx(3 * add, rel=1e-15)
    assert update.source.count("; ") == 1  # the add once, the compare once
    assert TABLE.price(Primitive("add", bits=16, times=7)).energy_pj == add
    assert TABLE.price_action(ACTIONS["pe_array.skip"]) == (0.0, "")


def test_every_action_without_a_price_is_named_at_once() -> None:
    actions = {
        "a.one": Action("", (Primitive("multiply", bits=512),)),
        "a.two": Action("", (Primitive("add", bits=8),)),
        "a.three": Action("", (Primitive("sram_read", size_kib=9999, width_bits=64),)),
    }
    with pytest.raises(PricingError) as caught:
        TABLE.prices(actions)
    first, second = str(caught.value).splitlines()
    assert first.startswith("a.one: horowitz_28nm: no price for multiply of 512 bits")
    assert second.startswith("a.three: horowitz_28nm: an SRAM bank of 9999 KiB")


def test_an_override_prices_the_whole_action_and_says_so() -> None:
    own = Override(0.5, "post-layout, 28 nm")
    mine = dataclasses.replace(TABLE, overrides={"lif.update": own})
    price = mine.price_action(ACTIONS["lif.update"], "lif.update")
    assert price == (0.5, "post-layout, 28 nm [override of lif.update]")
    assert mine.prices(ACTIONS)["lif.update"].energy_pj == 0.5
    assert mine.price_action(ACTIONS["lif.update"]) == TABLE.price_action(ACTIONS["lif.update"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_energy_reference_table_can_be_pasted_in(tmp_path: Path, wrapped: bool) -> None:
    """In the form that Accelergy writes: a list of tables with name, actions and energy."""
    tables = """\
tables:
  - name: pe_array
    actions:
      - {name: accumulate, arguments: {}, energy: 0.25}
      - {name: skip, energy: 0}
  - name: weights
    actions:
      - {name: read, energy: 7.5}
"""
    ert = f"ERT:\n  version: '0.4'\n{indented(tables)}" if wrapped else tables
    path = tmp_path / "mine.yaml"
    head = "schema: stasim-energy/1\nname: mine\nsummary: own\nbase: horowitz_45nm\n"
    overrides = f"source: post-layout\nnode_nm: 45\n{ert}"
    path.write_text(f"{head}overrides:\n{indented(overrides)}", encoding="utf-8")
    mine = EnergyTable.load(path)
    assert (mine.name, mine.node_nm, mine.family) == ("mine", 45, "horowitz")
    prices = mine.prices(ACTIONS)
    assert [price.energy_pj for price in prices.values()] == [
        0.25,
        pytest.approx(0.15),
        7.5,
        12.45 * 512,
        0.0,
    ]
    assert prices["weights.read"].source == "post-layout [override of weights.read]"


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def test_the_example_of_the_docs_prices_every_core(tmp_path: Path) -> None:
    page = (ROOT / "simulator" / "energy" / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(schema: stasim-energy/1.*?)```", page, flags=re.DOTALL)
    (tmp_path / "my_chip.yaml").write_text(example)
    overrides = [f"technology.energy_table={tmp_path / 'my_chip.yaml'}", "cores.count=2"]
    machine = load_architecture("sparse_pe", overrides)
    prices = MachinePrices(machine)
    for core in range(2):
        price = prices.actions[f"cores.{core}.pe_array.accumulate"]
        assert (price.low_pj, price.energy_pj, price.high_pj) == (0.021, 0.021, 0.021)
        assert "post-layout" in price.source
    plain = MachinePrices(load_architecture("sparse_pe"))
    name = "cores.0.pe_array.merge"
    assert prices.actions[name] == plain.actions[name]


def test_an_override_that_no_part_has_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "own.yaml"
    table.write_text(
        "schema: stasim-energy/1\nname: own\nsummary: own\nbase: horowitz_28nm\noverrides:\n"
        "  source: ours\n  tables:\n  - name: pe_arrays\n    actions:\n"
        "    - {name: accumulate, energy: 1}\n"
    )
    machine = load_architecture("sparse_pe", [f"technology.energy_table={table}"])
    with pytest.raises(PricingError, match=said("an action that no part has")):
        MachinePrices(machine)
