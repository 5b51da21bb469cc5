"""Terms that the tables' prices leave out, each a named switch with its sources.

A term adds energy to actions (`added_pj`) or power for as long as the machine runs (`power_uw`).
None is on by default: a result's own energies are actions and SRAM leakage alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.components.base import Component
from simulator.config.wording import suggestion
from simulator.energy.area import part_area
from simulator.energy.pricing import EnergyTable
from simulator.energy.spans import NOTHING, Span, dram_parts, price_span
from simulator.errors import PricingError

LOGIC_LEAKAGE_UW_PER_MM2 = Span(613.0, 9318.0, 13599.0)
"""Low: accumulator of ELSA (ISCA 2026), 28 nm, 0.9 V, HVT periphery, 25 C: 2.77 uW / 0.0045 mm2.
Nominal, high: Aladdin's adder and multiplier carried to 28 nm (hwcomponents-library 1.0.58)."""

WIRE_PJ_PER_BIT_MM = Span(0.0404, 0.102, 0.24)
"""Low: low-swing wires at 45 nm (Park et al., DATE 2013). Nominal: 28 nm, a random bit (Dally, SC10
keynote, second-hand). High: 40 nm, a transition (Keckler et al., IEEE Micro 2011, second-hand)."""

REGISTER_PJ_PER_BIT = Span(0.0025, 0.0053, 0.0105)
"""Nominal: Aladdin's 8-bit register at 28 nm, 0.0425 pJ (hwcomponents-library 1.0.58). Low, high:
a single register and a file of 32 entries (stillwater-sc/esim, second-hand, weak)."""

CLOCK_PIN_PJ = Span(0.00085, 0.00407, 0.0088)
"""Of a flip-flop and cycle. Nominal: Aladdin's 0.00794 pJ at 40 nm, carried to 28 nm by its
registers' ratio. Low: that times 0.21, the clock network of an AES block with gating over without.
High: our PE row's gates at 180 nm (docs/calibration.md), 0.227 pJ, by capacitance and voltage."""

FLIP_FLOPS_PER_ADDER = {"pe_arrays": 137, "vector_units": 51}
"""By slot, of our own RTL (docs/calibration.md): a PE row has 4,385 flip-flops, its FIFOs among
them, for 32 columns; the LIF unit 1,619 for 32 lanes."""
TOKEN_SKIP_FLIP_FLOPS = 2695
"""Of our own RTL's unit (docs/calibration.md)."""

ACCUMULATE_GATES = Span(0.0, 7.0, 31.0)
"""Further energy of an accumulate, over its price. Nominal: the gates of our PE row switch 8 times
the energy of the table. High: with clock pins, which this RTL does not gate. Low: the bare cell."""


class Term(NamedTuple):
    """What a term adds: pJ by action, uW by part. `power_uw` holds for a machine that is on."""

    added_pj: Mapping[str, Span] = {}
    power_uw: Mapping[str, Span] = {}


class Setting(NamedTuple):
    """The machine that a term is of, and how long its DRAM is busy (share of the latency)."""

    architecture: Architecture
    table: EnergyTable
    dram_busy: float


def term_names() -> tuple[str, ...]:
    """The names of all terms."""
    return tuple(_TERMS)


def terms(names: tuple[str, ...], setting: Setting) -> dict[str, Term]:
    """Return what each named term adds. Raises PricingError for an unknown or a double one."""
    for name in names:
        if name not in _TERMS:
            raise PricingError(f"term {name}: unknown {suggestion(name, _TERMS)}")
    if {"accumulate_gates", "operand_registers"} <= set(names):
        raise PricingError("terms: accumulate_gates holds operand_registers: choose one")
    if sum(name.startswith("dram_") for name in names) > 1:
        raise PricingError("terms: a machine has one DRAM part: choose one dram_ term")
    return {name: _TERMS[name](setting) for name in names}


def _logic_leakage(setting: Setting) -> Term:
    power = {}
    for path, part in setting.architecture.parts():
        area = part_area(part, setting.table).logic_mm2 if part.logic() else 0.0
        if area:
            power[path] = LOGIC_LEAKAGE_UW_PER_MM2.times(area)
    return Term(power_uw=power)


def _clock(setting: Setting) -> Term:
    """Clock pins of flip-flops: power x time, whether or not anything is computed."""
    power = {}
    for path, part in setting.architecture.parts():
        flip_flops = _flip_flops(part)
        if flip_flops:
            # pJ x MHz = uW.
            power[path] = CLOCK_PIN_PJ.times(flip_flops * setting.architecture.clock_mhz)
    return Term(power_uw=power)


def _flip_flops(part: Component) -> int:
    if part.slot == "token_skip":
        return TOKEN_SKIP_FLIP_FLOPS if part.logic() else 0
    adders = sum(piece.times for piece in part.logic() if piece.operation == "add")
    return FLIP_FLOPS_PER_ADDER.get(part.slot, 0) * adders


def _wires(setting: Setting) -> Term:
    """Bits of on-chip memories travel half a side of the area that is known."""
    areas = [part_area(part, setting.table) for _, part in setting.architecture.parts()]
    side_mm = math.sqrt(sum(area.sram_mm2 + area.logic_mm2 for area in areas))
    bit = WIRE_PJ_PER_BIT_MM.times(side_mm / 2)
    added = {}
    for path, part in setting.architecture.parts():
        for name, action in part.actions().items():
            bits = sum(
                primitive.times * primitive.width_bits
                for primitive in action.primitives
                if primitive.operation in ("sram_read", "sram_write")
            )
            if bits:
                added[f"{path}.{name}"] = bit.times(bits)
    return Term(added_pj=added)


def _operand_registers(setting: Setting) -> Term:
    """An accumulate latches a weight and a sum."""
    added = {}
    for path, part, bits in _accumulates(setting):
        weight_bits = getattr(part, "weight_bits", 8)
        added[path] = REGISTER_PJ_PER_BIT.times(weight_bits + bits)
    return Term(added_pj=added)


def _accumulate_gates(setting: Setting) -> Term:
    added = {}
    for path, part, _ in _accumulates(setting):
        action = part.actions()["accumulate"]
        added[path] = ACCUMULATE_GATES.times(setting.table.price_action(action, path).energy_pj)
    return Term(added_pj=added)


def _accumulates(setting: Setting) -> list[tuple[str, Component, int]]:
    """Each array's accumulate: its name, the part, and the bits of its sum."""
    found = []
    for path, part in setting.architecture.parts():
        action = part.actions().get("accumulate") if part.slot == "pe_arrays" else None
        if action is not None:
            bits = max(
                (each.bits for each in action.primitives if each.operation == "add"), default=0
            )
            found.append((f"{path}.accumulate", part, bits))
    return found


def _dram(name: str) -> Callable[[Setting], Term]:
    """A channel as a machine of states: accesses and rows at their currents, standby, refresh.

    Nominal: rows open while the DRAM is busy, closed while it is not. Low: powered down while it
    is not busy. High: rows always open. Entering and leaving power-down costs no energy here.
    """

    def term(setting: Setting) -> Term:
        part, dram = dram_parts()[name], setting.architecture.memories.dram
        technology = next(
            primitive.technology for primitive in dram.actions()["read_bit"].primitives
        )
        if technology != part.technology:
            raise PricingError(
                f"term dram_{name}: is of {part.technology}: the DRAM is {technology}"
            )
        added = {}
        for action, energy_pj in (
            ("read_bit", part.read_pj_per_bit),
            ("write_bit", part.write_pj_per_bit),
            ("row_miss", part.activate_pj),
        ):
            path = f"memories.dram.{action}"
            # In place of the table's price and of its bounds.
            table_pj = price_span(setting.table, dram.actions()[action], path)
            added[path] = Span(*(energy_pj - each for each in table_pj))
        busy, idle = setting.dram_busy, 1 - setting.dram_busy
        refresh, active = part.refresh_mw, part.active_mw
        channel = Span(
            refresh + busy * active + idle * part.power_down_mw,
            refresh + busy * active + idle * part.precharged_mw,
            refresh + active,
        )
        channels = float(getattr(dram, "channels", 1))
        return Term(added, {"memories.dram": channel.times(1e3 * channels)})

    return term


_TERMS: dict[str, Callable[[Setting], Term]] = {
    "logic_leakage": _logic_leakage,
    "clock": _clock,
    "wires": _wires,
    "operand_registers": _operand_registers,
    "accumulate_gates": _accumulate_gates,
    **{f"dram_{name}": _dram(name) for name in dram_parts()},
}


def added(found: Mapping[str, Term], action: str) -> Span:
    """Return what all terms add to an action."""
    total = NOTHING
    for term in found.values():
        total = total.plus(term.added_pj.get(action, NOTHING))
    return total
