"""python -m experiments.chip_power: our power of each published chip beside the one that is stated.

One calibration for all, the default prices (simulator/energy/README.md): nothing is fitted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from experiments.generated import command, line, markdown, run_case
from simulator.energy.spans import Span, total
from simulator.results.intervals import Intervals, intervals
from simulator.results.result import Result
from simulator.results.units import number

TRACE = "cifar10_baseline"
HEADER = (
    "| machine | stated mW | ours mW (low to high) | stated / ours | of ours: buffers | array "
    "| largest terms, mW | what is not explained |"
)
WITHIN = 2.0
REMODEL = "a re-model: its authors multiply one power by the time, whatever is done"


class Note(NamedTuple):
    """What is known of a stated power: the part of its buffers, and what no source prices."""

    text: str
    buffers_mw: float | None = None


NOTES = {
    "prosperity": Note("registers and control of the product detection"),
    "ptb": Note(REMODEL),
    "sato": Note(REMODEL),
    "mint": Note(REMODEL),
    "loas": Note("32 nm and 800 MHz are not scaled", 124.5),
    "phi": Note("how often its partial sums pass the buffer, on other layers than ours", 220.8),
    "bishop": Note("control of its two cores"),
    "spike_iand_former": Note(
        "198 kGE in all leave room for some 6 flip-flops an adder, where we take 33", 38.8
    ),
    "spinalflow": Note("no power is stated"),
    "eyeriss": Note(f"{REMODEL}; the chip itself drew 278 mW at 65 nm (JSSC 2017)"),
}
"""Power of buffers: Phi, LoAS, Spike-IAND-Former (43 %) by part in their papers, second-hand."""


def row(name: str, result: Result) -> str:
    """One line of the table."""
    found, document = intervals(result), result.provenance["architecture"]["document"]
    stated = (document.get("published") or {}).get("power_mw")
    ours = found.chip_power_mw
    scale = 1e-6 / found.latency_ms
    parts = {part: energy.times(scale) for part, energy in found.by_part().items()}
    buffers = total(power for part, power in parts.items() if ".buffers." in part)
    array = total(power for part, power in parts.items() if part.endswith("pe_array"))
    cells = [
        name,
        "not stated" if stated is None else f"{stated:g}",
        f"{number(ours.nominal)} ({number(ours.low)} to {number(ours.high)})",
        "" if stated is None else f"{stated / ours.nominal:.2g}",
        number(buffers.nominal),
        number(array.nominal),
        _largest(found, scale),
        _unexplained(stated, ours, buffers, NOTES[name]),
    ]
    return line(cells)


def _largest(found: Intervals, scale: float) -> str:
    """Return the three causes of the most power on chip."""
    on_chip = Intervals(
        tuple(entry for entry in found.entries if entry.part != "memories.dram"), found.latency_ms
    )
    three = list(on_chip.by_cause().items())[:3]
    return ", ".join(f"{cause} {number(energy.nominal * scale)}" for cause, energy in three)


def _unexplained(stated: float | None, ours: Span, buffers: Span, note: Note) -> str:
    """Return how far the stated power lies from ours, in which part, and why."""
    if stated is None:
        return note.text
    if 1 / WITHIN <= stated / ours.nominal <= WITHIN:
        return "within a factor 2"
    if ours.low <= stated <= ours.high:
        where = "inside our bounds"
    elif stated > ours.high:
        where = f"{number(stated - ours.high)} mW above our bounds"
    else:
        where = f"{number(ours.low - stated)} mW below our bounds"
    if note.buffers_mw is not None:
        rest = stated - note.buffers_mw, ours.nominal - buffers.nominal
        where += (
            f"; its buffers {note.buffers_mw:g} mW against {number(buffers.nominal)}, the rest "
            f"{number(rest[0])} against {number(rest[1])}"
        )
    return f"{where}: {note.text}"


EXSPIKE = (
    "exspike", "1700", "not run", "", "", "", "",
    "dynamic power of an FPGA, half of it block RAM, no chip; it runs its own networks alone "
    "([boards](../../docs/validation.md))",
)  # fmt: skip


def table() -> str:
    """The whole table in markdown."""
    rows = [row(name, run_case(name, TRACE, images="0:1")) for name in NOTES]
    return markdown(HEADER, [*rows, line(EXSPIKE)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    what = f"Power of every published chip, on one image of traces/{TRACE}.npz."
    page = "simulator/energy/README.md"
    return command("experiments.chip_power", what, page, lambda: {"chip power": table()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
