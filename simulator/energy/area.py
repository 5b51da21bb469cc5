"""The area of a machine: SRAM banks by CACTI, adders and registers by Aladdin's cells.

What has no honest source is not in it: control, queues and networks of an array, wires, clock tree,
pads. So this is a floor, to be read beside the area that a design's authors state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from simulator.architecture import Architecture
from simulator.components.base import Component, Primitive
from simulator.config.shipped import records
from simulator.config.wording import suggestion
from simulator.energy.pricing import TABLES, EnergyTable
from simulator.errors import PricingError

EXCLUDED = "control, queues, networks, wires, clock tree and pads: not stated by any source here"
SCALING = "ideal_square"
"""Logic at another node: area times (node / node of the source) squared."""


class PartArea(NamedTuple):
    """Hold the area of a part at the machine's node, 0 where it has none, and its sources."""

    sram_mm2: float
    logic_mm2: float
    source: str


class Cell(NamedTuple):
    """Describe a logic cell as its source lists it."""

    bits: int
    area_um2: float
    width_rule: str
    node_nm: int
    source: str

    def scaled_um2(self, bits: int, node_nm: int) -> float:
        """Return the area at another width, by the source's rule, and another node, by SCALING."""
        power = 2 if self.width_rule == "quadratic" else 1
        return self.area_um2 * (bits / self.bits) ** power * (node_nm / self.node_nm) ** 2


@lru_cache(maxsize=1)
def cells() -> dict[str, Cell]:
    """Return the logic cells by operation."""
    return records(TABLES / "logic_area.csv", Cell, "operation")


@lru_cache(maxsize=256)
def part_area(part: Component, table: EnergyTable) -> PartArea:
    """Return the area of a part's SRAM banks and of the logic that it states.

    Raises PricingError for a bank outside CACTI's grid, or logic that no cell is known for.
    """
    sram_mm2, logic_um2, sources = 0.0, 0.0, []
    for bank in part.leakage():
        sram_mm2 += bank.times * table.sram_bank(bank.size_kib, bank.width_bits).area_mm2
        sources.append(table.sram_source)
    for piece in part.logic():
        logic_um2 += piece.times * _logic_um2(piece, table.node_nm)
        sources.append(f"{cells()[piece.operation].source}, {SCALING} to {table.node_nm} nm")
    return PartArea(sram_mm2, logic_um2 / 1e6, "; ".join(dict.fromkeys(sources)))


def machine_area(architecture: Architecture, table: EnergyTable) -> dict[str, Any]:
    """Return the area by part and in all, for JSON: see EXCLUDED for what it leaves out."""
    parts = {
        path: area for path, part in architecture.parts() if (area := part_area(part, table)).source
    }
    return {
        "node_nm": table.node_nm,
        "sram_mm2": sum(area.sram_mm2 for area in parts.values()),
        "logic_mm2": sum(area.logic_mm2 for area in parts.values()),
        "parts": {path: area._asdict() for path, area in parts.items()},
        "excluded": EXCLUDED,
    }


def _logic_um2(piece: Primitive, node_nm: int) -> float:
    cell = cells().get(piece.operation)
    if cell is None:
        known = suggestion(piece.operation, cells())
        raise PricingError("logic_area", piece.operation, f"no area is known {known}")
    return cell.scaled_um2(piece.bits, node_nm)
