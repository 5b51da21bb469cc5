"""Does every part state its area from a source, and nothing that no source holds?"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from simulator.architecture import load_architecture
from simulator.components.base import Component, Primitive, build, registry
from simulator.energy import EnergyTable
from simulator.energy.area import cells, machine_area, part_area
from simulator.errors import PricingError
from simulator.results.summary import summary
from simulator.results.terminal import terminal_table
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.messages import refused

ROOT = Path(__file__).parents[2]
TABLE = EnergyTable.load("horowitz_28nm")
MACHINES = sorted(path.stem for path in (ROOT / "arch_configs").glob("*.yaml"))


def example(slot: str, kind: str) -> Component:
    return build(slot, yaml.safe_load(registry(slot)[kind].example))


@pytest.mark.parametrize("slot", ["pe_arrays", "vector_units"])
def test_all_that_computes_has_logic(slot: str) -> None:
    for kind in registry(slot):
        area = part_area(example(slot, kind), TABLE)
        assert area.logic_mm2 > 0, kind
        assert "Aladdin" in area.source
        assert "28 nm" in area.source


def test_a_bank_has_the_area_that_cacti_gives_it() -> None:
    sram = build("memories", {"kind": "sram", "size_kib": 64.0, "banks": 4, "width_bits": 128})
    assert part_area(sram, TABLE).sram_mm2 == 4 * TABLE.sram_bank(16, 128).area_mm2


def test_cells_follow_the_rules_of_their_source() -> None:
    add, multiply = cells()["add"], cells()["multiply"]
    assert add.scaled_um2(16, 40) == 139.0
    assert multiply.scaled_um2(8, 40) == pytest.approx(6350 / 16)
    # Ideal: half the node is a quarter of the area.
    assert add.scaled_um2(32, 20) == 278 / 4


def test_logic_without_a_cell_is_refused() -> None:
    part = Mock(spec=Component)
    part.leakage.return_value, part.logic.return_value = (), (Primitive("divide", bits=8),)
    with refused(PricingError, "logic_area", "divide"):
        part_area(part, TABLE)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_the_sum_of_its_parts_and_below_what_is_published(name: str) -> None:
    architecture = load_architecture(name)
    area = machine_area(architecture, EnergyTable.load(architecture.technology.energy_table))
    parts = area["parts"].values()
    assert area["sram_mm2"] == pytest.approx(sum(part["sram_mm2"] for part in parts))
    published = architecture.published
    if published is not None and published.area_mm2 is not None:
        # What our figure leaves out only adds to it.
        assert area["sram_mm2"] + area["logic_mm2"] < published.area_mm2


def test_the_summary_shows_area_power_and_what_is_published(tmp_path: Path) -> None:
    override = "published={area_mm2: 2.5, power_mw: 100.0, source: a paper}"
    path = ROOT / "arch_configs" / "sparse_pe.yaml"
    with Trace.open(tiny_trace(tmp_path / "tiny.npz")) as trace:
        result = Simulation(trace, load_architecture(path, [override])).run([0])
    told = summary(result)["area"]
    assert told["published_area_mm2"] == 2.5
    assert told["sram_mm2"] > 1
    assert told["on_chip_power_mw"] > 0
    assert "(published: 2.500 mm², 100.0 mW)" in " ".join(terminal_table(result).split())
