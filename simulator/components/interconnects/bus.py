"""A bus: one link that all transfers share."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.interconnects.base import End, Interconnect


class Bus(Interconnect, kind="bus"):
    """One link for all transfers, in both directions, one after another."""

    example: ClassVar[str] = "kind: bus\nwidth_bits: 128\nhop_cycles: 1\nlink_um: 2000\n"

    def links(self, cores: int) -> tuple[str, ...]:
        return ("bus",)

    def route(self, source: End, target: End) -> tuple[str, ...]:
        return ("bus",)
