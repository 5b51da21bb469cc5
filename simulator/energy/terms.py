"""Terms that the tables' prices leave out, each a named switch with its sources.

A term replaces what an action costs, adds to it, or draws power for as long as the machine is on.
`technology.terms` and `technology.dram_power` of a machine choose them; a result names its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.components.base import Action, Component
from simulator.components.memories.base import AWAKE
from simulator.components.pe_arrays.base import PEArray
from simulator.config.wording import suggestion
from simulator.energy.area import cells, part_area
from simulator.energy.pricing import SRAM_OPERATIONS, EnergyTable
from simulator.energy.spans import DramPower, Span, dram_parts, price_causes, total
from simulator.errors import PricingError

LOGIC_LEAKAGE_UW_PER_MM2 = {28: Span(613.0, 9318.0, 13599.0), 45: Span(613.0, 12375.0, 13599.0)}
"""By node. Low: accumulator of ELSA (ISCA 2026), 28 nm, 0.9 V, HVT periphery, 25 C: 2.77 uW /
0.0045 mm2. Nominal, high: Aladdin's adder and multiplier carried to 28 nm (hwcomponents-library
1.0.58); at 45 nm Aladdin's register at 40 nm, not scaled: 74 nW / 5.98 um2."""

WIRE_PJ_PER_BIT_MM = {28: Span(0.0404, 0.102, 0.24), 45: Span(0.0404, 0.121, 0.24)}
"""By node. Low: low-swing wires at 45 nm (Park et al., DATE 2013). Nominal: a random bit at 28 nm
(Dally, SC10 keynote, second-hand) and at 40 nm (Keckler et al., IEEE Micro 2011, second-hand).
High: a transition at 40 nm (the latter)."""

REGISTER_PJ_PER_BIT = {28: Span(0.0025, 0.0053, 0.0105), 45: Span(0.0049, 0.0104, 0.0205)}
"""By node. Nominal: Aladdin's 8-bit register (hwcomponents-library 1.0.58). Low, high: a single
register and a file of 32 entries at 28 nm (stillwater-sc/esim, second-hand, weak), carried to 45 nm
by Aladdin's ratio."""

CLOCK_PIN_PJ = {28: Span(0.00085, 0.00407, 0.0088), 45: Span(0.00167, 0.00794, 0.0172)}
"""By node, of a flip-flop and cycle. Nominal: Aladdin's 0.00794 pJ at 40 nm, carried to 28 nm by
its registers' ratio. Low: that times 0.21, the clock network of an AES block at 90 nm with gating
over without (4.52 mW, 21.94 mW: a repository's Design Compiler report, second-hand). High: our PE
row's gates at 180 nm (docs/calibration.md), 0.227 pJ, by capacitance and voltage; at 45 nm by
Aladdin's ratio."""

CLOCK_WIRE_PJ_PER_MM = {28: Span(0.236, 0.408, 0.96), 45: Span(0.236, 0.484, 0.96)}
"""By node, of a millimetre and cycle, in which a clock rises and falls: four times a random bit.
Low: the line alone, 0.059 pJ (Gebhart et al., ISCA 2011, second-hand). Nominal: as `wires`. High:
two transitions at 40 nm (Keckler et al.), and as much again for the tree's buffers, ours."""

FLIP_FLOPS_PER_ADDER = {"queued": 137, "vector_units": 51}
"""Of our own RTL (docs/calibration.md). A PE row has 4,385 for 32 columns: FIFO 512, queue of
results 3,072, sums 512, control the rest, 9 a column; the LIF unit 1,619 for 32 lanes."""
CONTROL_FLIP_FLOPS = 9
"""Of a sum. An array whose PEs move in lockstep has no queues: control, sums and weights."""
TOKEN_SKIP_FLIP_FLOPS = 2695
"""Of our own RTL's unit (docs/calibration.md)."""

GATES_NODE_NM, GATES_V, GATES_BITS = 180, 1.8, 16
GATES_PJ = {"accumulate": 9.62, "lif_update": 10.44}
"""What the gates of our RTL switch in osu018 (docs/calibration.md). An accumulate: 10.27 pJ of a PE
row (10.19 of today's), less its FIFO and queue of results, priced apart: 0.0252 pJ at 28 nm."""
GLITCHES = 0.4
"""Largest share of glitches in the power of logic (an EDA vendor's page, "What is glitch power?",
synopsys.com/ai/what-is-glitch-power.html, second-hand):
the gates are simulated without delays, so without glitches."""


class Term(NamedTuple):
    """Hold what a term does to the prices of actions, in pJ, and the power by part, in uW."""

    source: str
    replaced_pj: Mapping[str, Span] = {}
    added_pj: Mapping[str, Span] = {}
    power_uw: Mapping[str, Span] = {}


class Setting(NamedTuple):
    """Hold the machine that a term is of, and the table that prices it."""

    architecture: Architecture
    table: EnergyTable
    parts: tuple[tuple[str, Component], ...]

    def actions(self, slot: str) -> Iterator[tuple[Component, str, Action]]:
        """Yield each action of the parts of a slot, by its path, with its part."""
        for path, part in self.parts:
            if part.slot == slot:
                for name, action in part.actions().items():
                    yield part, f"{path}.{name}", action


def term_names() -> tuple[str, ...]:
    """Return the names of all terms that `technology.terms` may list."""
    return tuple(_TERMS)


def terms_of(architecture: Architecture, table: EnergyTable) -> dict[str, Term]:
    """Return what each term of a machine does, its DRAM's states included.

    Raises PricingError for a combination that counts something twice, and for a term without a
    figure at the node.
    """
    names = architecture.technology.terms
    setting = Setting(architecture, table, tuple(architecture.parts()))
    if {"gates", "operand_registers"} <= set(names):
        raise PricingError("technology.terms: gates holds operand_registers: choose one")
    if len(set(names)) < len(names):
        raise PricingError("technology.terms", "a term is listed twice")
    found: dict[str, Term] = {name: _TERMS[name](setting) for name in names}
    part = dram_part(architecture)
    if part:
        found[f"dram {part}"] = _dram(setting, part)
    return found


def dram_part(architecture: Architecture) -> str:
    """Return the part whose currents price the DRAM; empty where the table's price a bit does.

    Raises PricingError for a part of another standard.
    """
    wanted = architecture.technology.dram_power
    read = architecture.memories.dram.actions()["read_bit"].primitives
    technology = read[0].technology if read else ""
    fitting = [name for name, part in dram_parts().items() if part.technology == technology]
    if wanted == "table" or (wanted == "states" and not fitting):
        return ""
    if wanted == "states":
        return fitting[0]
    if wanted not in fitting:
        known = suggestion(wanted, fitting) if fitting else "(no part of it has known currents)"
        raise PricingError(
            "technology.dram_power", wanted, f"must be of the DRAM's standard {technology} {known}"
        )
    return wanted


def _at_node(values: Mapping[int, Span], setting: Setting, name: str) -> Span:
    node_nm = setting.table.node_nm
    if node_nm not in values:
        nodes = ", ".join(map(str, values))
        raise PricingError(
            f"technology.terms: {name}: has no figure at {node_nm} nm: must be one of {nodes} nm: "
            "leave the term out"
        )
    return values[node_nm]


def _logic_leakage(setting: Setting) -> Term:
    per_mm2 = _at_node(LOGIC_LEAKAGE_UW_PER_MM2, setting, "logic_leakage")
    power = {
        path: per_mm2.times(area)
        for path, part in setting.parts
        if part.logic() and (area := part_area(part, setting.table).logic_mm2)
    }
    return Term("Aladdin's cells (hwcomponents-library 1.0.58); low: ELSA, HVT", power_uw=power)


def _clock(setting: Setting) -> Term:
    """Clock pins of flip-flops: power x time, whether or not anything is computed."""
    pin = _at_node(CLOCK_PIN_PJ, setting, "clock")
    power = {
        # pJ x MHz = uW.
        path: pin.times(flip_flops * setting.architecture.clock_mhz)
        for path, part in setting.parts
        if (flip_flops := _flip_flops(part))
    }
    return Term(
        "flip-flops of our RTL (docs/calibration.md) x Aladdin's clock pin; low: gated",
        power_uw=power,
    )


def _clock_tree(setting: Setting) -> Term:
    """Wires of the clock's tree over each part: a spanning tree of its flip-flops.

    N of them, spread over an area A, are joined by a length of about sqrt(N x A).
    """
    wire = _at_node(CLOCK_WIRE_PJ_PER_MM, setting, "clock_tree")
    cell_mm2 = cells()["register"].scaled_um2(1, setting.table.node_nm) / 1e6
    power = {}
    for path, part in setting.parts:
        if flip_flops := _flip_flops(part):
            area_mm2 = part_area(part, setting.table).logic_mm2 + flip_flops * cell_mm2
            length_mm = math.sqrt(flip_flops * area_mm2)
            power[path] = wire.times(length_mm * setting.architecture.clock_mhz)
    return Term(
        "sqrt(flip-flops x their area) of wire, ours, x 4 random bits (Dally, SC10 keynote, "
        "second-hand)",
        power_uw=power,
    )


def _flip_flops(part: Component) -> int:
    if part.slot == "token_skip":
        return TOKEN_SKIP_FLIP_FLOPS if part.logic() else 0
    pieces = part.logic()
    adders = sum(piece.times for piece in pieces if piece.operation == "add")
    if isinstance(part, PEArray) and part.in_lockstep:
        of_sums = part.accumulators * (part.sum_bits + CONTROL_FLIP_FLOPS)
        return of_sums + part.weight_registers * part.weight_bits
    kind = "queued" if isinstance(part, PEArray) else part.slot
    return FLIP_FLOPS_PER_ADDER.get(kind, 0) * adders


def _wires(setting: Setting) -> Term:
    """Bits of buffers travel half a side of the area that is known; those inside a PE do not."""
    areas = [part_area(part, setting.table) for _, part in setting.parts]
    side_mm = math.sqrt(sum(area.sram_mm2 + area.logic_mm2 for area in areas))
    bit = _at_node(WIRE_PJ_PER_BIT_MM, setting, "wires").times(side_mm / 2)
    added = {}
    for _, name, action in setting.actions("memories"):
        accesses = [each for each in action.primitives if each.operation in SRAM_OPERATIONS]
        if accesses:
            added[name] = bit.times(sum(each.times * each.width_bits for each in accesses))
    way = f"{bit.nominal:.3g} pJ a bit over {side_mm / 2:.2f} mm, half the side of the known area"
    return Term(f"{way} (Dally, SC10 keynote, second-hand)", added_pj=added)


def _operand_registers(setting: Setting) -> Term:
    """An accumulate latches a weight and a sum."""
    bit = _at_node(REGISTER_PJ_PER_BIT, setting, "operand_registers")
    added = {
        name: bit.times(part.precision.weights_bits + bits)
        for part, name, action in setting.actions("pe_arrays")
        if (bits := _added_bits(action))
    }
    return Term("Aladdin's register (hwcomponents-library 1.0.58)", added_pj=added)


def _added_bits(action: Action) -> int:
    """Return the width of an action that is one addition; else 0."""
    adds = [each for each in action.primitives if each.operation == "add"]
    return adds[0].bits if len(action.primitives) == 1 and adds and adds[0].times == 1 else 0


def _gates(setting: Setting) -> Term:
    """An addition of the array and a LIF update at what the gates of our RTL switch.

    Carried from 180 nm by capacitance (the node) and voltage squared; low: the table's price.
    """
    table = setting.table
    scale = table.node_nm / GATES_NODE_NM * (table.voltage_v / GATES_V) ** 2
    widths = {
        name: (GATES_PJ["accumulate"], _added_bits(action), action)
        for _, name, action in setting.actions("pe_arrays")
    } | {
        name: (GATES_PJ["lif_update"], max(each.bits for each in action.primitives), action)
        for _, name, action in setting.actions("vector_units")
        if name.endswith(".lif_update")
    }
    replaced = {}
    for name, (gates_pj, bits, action) in widths.items():
        if bits:
            nominal = gates_pj * scale * bits / GATES_BITS
            bare = total(price_causes(table, action, name).values()).nominal
            replaced[name] = Span(min(bare, nominal), nominal, nominal / (1 - GLITCHES))
    return Term(
        "ours: gates of our RTL in osu018 (docs/calibration.md), by node and voltage squared; "
        "low: the table's price, high: with 40 % of glitches",
        replaced_pj=replaced,
    )


def _dram(setting: Setting, name: str) -> Term:
    """A channel as a machine of states: accesses and rows at their currents, standby, refresh.

    Rows are open while the DRAM is busy, closed while it is not, and powered down where the machine
    says after which time. Low: powered down while it is not busy. High: rows always open, in the
    part of the standard that draws most. Entering and leaving power-down takes its time and no
    energy beyond that of being awake.
    """
    part, dram = dram_parts()[name], setting.architecture.memories.dram
    same = [each for each in dram_parts().values() if each.technology == part.technology]
    channels = float(getattr(dram, "channels", 1))
    opened_mw = channels * (part.active_mw - part.precharged_mw)
    # mW over a cycle of 1e3 / MHz ns is pJ.
    open_pj = opened_mw * 1e3 / setting.architecture.clock_mhz
    path = "memories.dram"
    prices = {
        "read_bit": _over(same, part, "read_pj_per_bit"),
        "write_bit": _over(same, part, "write_pj_per_bit"),
        "row_miss": _over(same, part, "activate_pj"),
        "active_cycle": Span(open_pj, open_pj, open_pj),
    }
    standby = Span(
        min(each.refresh_mw + each.power_down_mw for each in same),
        part.refresh_mw + part.precharged_mw,
        max(each.refresh_mw + each.active_mw for each in same),
    )
    known = dram.actions()
    if AWAKE in known:
        # Power-down is drawn all the time, and what is more only while the channels are awake.
        per_cycle = channels * 1e3 / setting.architecture.clock_mhz
        prices[AWAKE] = Span(
            min(each.precharged_mw - each.power_down_mw for each in same),
            part.precharged_mw - part.power_down_mw,
            max(each.active_mw - each.power_down_mw for each in same),
        ).times(per_cycle)
        standby = Span(
            standby.low,
            part.refresh_mw + part.power_down_mw,
            max(each.refresh_mw + each.power_down_mw for each in same),
        )
    return Term(
        f"IDD currents by DRAMsim3's formulas, computed, second-hand: {part.source}",
        replaced_pj={
            f"{path}.{action}": span for action, span in prices.items() if action in known
        },
        power_uw={path: standby.times(1e3 * channels)},
    )


def _over(same: list[DramPower], part: DramPower, field: str) -> Span:
    """Return a price of a part, bounded by the parts of its standard."""
    values = [getattr(each, field) for each in same]
    return Span(min(values), getattr(part, field), max(values))


_TERMS: dict[str, Callable[[Setting], Term]] = {
    "gates": _gates,
    "operand_registers": _operand_registers,
    "wires": _wires,
    "clock": _clock,
    "clock_tree": _clock_tree,
    "logic_leakage": _logic_leakage,
}
