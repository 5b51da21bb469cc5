"""Energy as Prosperity's simulator charges it: chip power x time + DRAM bits x a price and ratio.

Published here to be compared with, never to be used for a machine of ours: chip powers come from
other papers, and a design's DRAM traffic is that of Prosperity times a ratio.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

DRAM_PJ_PER_BIT = 12.45
"""Derived from DRAMsim3 in the source."""

CHIP_POWER_MW = {
    "Prosperity": 446.5,
    "Eyeriss": 1410.5,
    "SATO": 319.5,
    "PTB": 982.0,
    "MINT": 396.3,
    "Stellar": 834.0,
}
"""On-chip power of each design as the source states it."""

DRAM_RATIO = {
    "Prosperity": 1.00,
    "Eyeriss": 5.47,
    "SATO": 4.85,
    "PTB": 2.53,
    "MINT": 3.12,
    "Stellar": 1.23,
}
"""DRAM bits of each design over those of Prosperity, as the source states them."""


class PublishedEnergy(NamedTuple):
    """A published figure; None where the source has none."""

    time_ms: float | None
    energy_mj: float | None


def priced_as(design: str) -> str:
    """The design whose power and ratio a variant takes; empty where the source has none."""
    family = design.split("_")[0]
    return family if family in CHIP_POWER_MW else ""


def energy_mj(design: str, time_ms: float, prosperity_dram_bits: int) -> float:
    """Energy of a run; the DRAM bits are those that Prosperity moves for the same network."""
    family = priced_as(design)
    chip = CHIP_POWER_MW[family] * time_ms * 1e-3
    return chip + DRAM_PJ_PER_BIT * prosperity_dram_bits * DRAM_RATIO[family] * 1e-9


@cache
def published() -> dict[tuple[str, str], PublishedEnergy]:
    """The published table by (workload, design)."""
    text = (Path(__file__).parent / "published.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        (row["workload"], row["design"]): PublishedEnergy(
            float(row["time_s"]) * 1e3 if row["time_s"] else None,
            float(row["energy_mj"]) if row["energy_mj"] else None,
        )
        for row in csv.DictReader(lines)
    }
