"""python -m experiments.chip_power: our power of each published chip beside the one that is stated.

One calibration for all, the default prices and the clock tree's wires (simulator/energy/README.md);
nothing is fitted. A power stated at another node meets ours carried there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from experiments.generated import ROOT, command, line, markdown, run_case
from simulator.architecture import load_architecture
from simulator.energy.spans import Span, total
from simulator.results.intervals import Intervals, intervals, with_prices
from simulator.results.result import Result
from simulator.results.units import number

TRACE = "cifar10_baseline"
HEADER = (
    "| machine | stated mW | ours mW (low to high) | stated / ours "
    "| stated, ours: pJ an adder and cycle | of ours: buffers | array | largest terms, mW "
    "| known, mW | not explained, mW | what it is |"
)
WITHIN = 2.0
ALL_TERMS = ("gates", "wires", "clock", "clock_tree", "logic_leakage")
"""The default ones, and the clock tree's wires."""
NODE_NM = 28
REMODEL = (
    "no netlist: the comment on it in the re-model's simulator is `derived from papers`, one power "
    "times the time"
)


class Note(NamedTuple):
    """What is known of a stated power, and what is not.

    `node_nm`: that of the power, to which ours is carried by capacitance, so in proportion.
    `buffers_mw`: the part of its buffers. `cells`: SRAM cells that its authors priced.
    """

    text: str
    node_nm: int = NODE_NM
    buffers_mw: float | None = None
    cells: str = ""


NOTES = {
    "prosperity": Note(
        "detection of products (a TCAM, a sorter, tables), of which no figure by part is public: "
        "844 mW/mm2 are stated, of Bishop 212",
        cells="hp_350k",
    ),
    "ptb": Note(f"{REMODEL}; Bishop's authors have 606.9 mW for a PTB of 2.80 mm2, size not known"),
    "sato": Note(REMODEL),
    "mint": Note(REMODEL),
    "loas": Note("how often its cache is read, tags, prefix sums", 32, 124.5),
    "phi": Note("control and matching, on other layers than ours", buffers_mw=220.8),
    "bishop": Note("control of its three cores"),
    "spike_iand_former": Note(
        "ours is the dearer: an addition here is one of a PE row, with the selection of its weight",
        buffers_mw=38.8,
    ),
    "spinalflow": Note("no power is stated"),
    "eyeriss": Note(
        f"{REMODEL}. The chip drew 278 mW at 65 nm, 1.0 V, 200 MHz (JSSC 2017, second-hand), by "
        "node, voltage squared and clock 242 here: 1,168 mW are not the chip's. Of these 242 its "
        "scratchpads took 33 to 42 %, which the re-model does not have"
    ),
}
"""Power of buffers: Phi, LoAS, Spike-IAND-Former (43 %) by part in their papers, second-hand.
Cells: Prosperity's public simulator (6ee1c6f, sram_config.json) asks CACTI for itrs-hp at 360 K."""


def row(name: str, result: Result) -> str:
    """One line of the table."""
    note, document = NOTES[name], result.provenance["architecture"]["document"]
    scale = note.node_nm / NODE_NM
    found = intervals(with_prices(result, {"terms": ALL_TERMS}))
    stated = (document.get("published") or {}).get("power_mw")
    ours = found.chip_power_mw.times(scale)
    parts = {
        part: energy.times(scale * 1e-6 / found.latency_ms)
        for part, energy in found.by_part().items()
    }
    buffers = total(power for part, power in parts.items() if ".buffers." in part)
    array = total(power for part, power in parts.items() if part.endswith("pe_array"))
    shown = f"{number(ours.nominal)} ({number(ours.low)} to {number(ours.high)})"
    largest = _largest(found, scale * 1e-6 / found.latency_ms)
    if stated is None:
        rest = [number(buffers.nominal), number(array.nominal), largest, "", "", note.text]
        return line([name, "not stated", shown, "", "", *rest])
    # mW / MHz = 1000 pJ a cycle.
    adder_pj = 1e3 / (
        load_architecture(ROOT / f"arch_configs/{name}.yaml").core.adders * document["clock_mhz"]
    )
    known = _known(result, note, ours)
    return line(
        [
            name,
            f"{stated:g}",
            shown,
            _ratio(stated, ours),
            f"{number(stated * adder_pj)}, {number(ours.nominal * adder_pj)}",
            number(buffers.nominal) + (f" of {note.buffers_mw:g}" if note.buffers_mw else ""),
            number(array.nominal),
            largest,
            f"{number(known)}: SRAM leaks as its authors' cells ({note.cells})" if known else "",
            f"{stated - ours.nominal - known:+,.0f}",
            note.text,
        ]
    )


def _ratio(stated: float, ours: Span) -> str:
    """Return stated over ours; in bold within a factor 2."""
    ratio = f"{stated / ours.nominal:.2g}"
    return f"**{ratio}**" if 1 / WITHIN <= stated / ours.nominal <= WITHIN else ratio


def _known(result: Result, note: Note, ours: Span) -> float:
    """Return by how much the cells that its authors priced leak more than ours."""
    if not note.cells:
        return 0.0
    priced = with_prices(result, {"terms": ALL_TERMS, "sram_cells": note.cells})
    return intervals(priced).chip_power_mw.nominal - ours.nominal


def _largest(found: Intervals, scale: float) -> str:
    """Return the three causes of the most power on chip."""
    on_chip = Intervals(
        tuple(entry for entry in found.entries if entry.part != "memories.dram"), found.latency_ms
    )
    three = list(on_chip.by_cause().items())[:3]
    return ", ".join(f"{cause} {number(energy.nominal * scale)}" for cause, energy in three)


BOARDS = (
    ("exspike", "1700", "dynamic power of an FPGA, half of it block RAM"),
    ("fpga_spiking_transformer", "7181", "an FPGA's board, with the processor"),
)
"""No chips, and they run their own networks alone."""


def board(name: str, stated: str, words: str) -> str:
    """One line of a board, which is not run."""
    blank = [""] * (HEADER.count("|") - 5)
    return line([name, stated, "not run", *blank, f"{words} ([boards](../../docs/validation.md))"])


def table() -> str:
    """The whole table in markdown."""
    rows = [row(name, run_case(name, TRACE, images="0:1")) for name in NOTES]
    return markdown(HEADER, [*rows, *(board(*each) for each in BOARDS)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    what = f"Power of every published chip, on one image of traces/{TRACE}.npz."
    page = "simulator/energy/README.md"
    return command("experiments.chip_power", what, page, lambda: {"chip power": table()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
