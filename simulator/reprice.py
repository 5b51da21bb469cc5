"""python -m simulator.reprice: a finished result between low and high prices, nothing simulated.

Counts are the result's own; prices, bounds and terms are chosen here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from simulator.command import command
from simulator.energy.spans import SRAM_CELLS, Span, sram_cells
from simulator.energy.terms import term_names
from simulator.results.intervals import BreakEven, Intervals, break_evens, intervals, is_robust
from simulator.results.intervals import side_of as side
from simulator.results.result import Result
from simulator.results.summary import number, short

EXAMPLE = (
    "python -m simulator.reprice reports/out/sparse_pe --terms clock logic_leakage dram_ddr4_x8"
)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the energies of each result, and where the order of each pair turns."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.reprice",
        description="Price a finished result again: low, nominal, high, by part and action. "
        "Of several results, print where the order of each pair turns.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", help="folder of a result")
    add("--table", default="", metavar="NAME", help="another energy table: name, or YAML file")
    add("--terms", nargs="+", default=[], choices=term_names(), metavar="TERM", help=_listed())
    add("--sram-cells", default=SRAM_CELLS, choices=tuple(sram_cells()), metavar="CELLS")
    add("--dram-pj-per-bit", type=float, default=12.45, help="for the break-even of a power")
    add("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    results = [Result.load(path) for path in options.results]
    found = [
        intervals(result, options.terms, options.sram_cells, options.table) for result in results
    ]
    pairs = [(one, other) for one in range(len(found)) for other in range(one)]
    turns = {
        (other, one): break_evens(
            side(results[other], found[other]),
            side(results[one], found[one]),
            options.dram_pj_per_bit,
        )
        for one, other in pairs
    }
    if options.json:
        print(json.dumps(_document(options.results, found, turns), indent=1))
        return
    for name, each in zip(options.results, found, strict=True):
        print("\n".join(_lines(name, each)))
    for (one, other), values in turns.items():
        print("\n".join(_pair(options.results, (one, other), found, values)))


def _listed() -> str:
    return "what the tables leave out, one or more of: " + ", ".join(term_names())


def _lines(name: str, found: Intervals) -> list[str]:
    switches = f"{found.table}, SRAM leakage {found.cells}"
    if found.terms:
        switches += ", " + ", ".join(found.terms)
    lines = [
        f"{name}: {switches}",
        f"{'uJ per image':<48} {'low':>10} {'nominal':>10} {'high':>10}",
    ]
    for part, energy in found.by_part().items():
        lines.append(_row(short(part), energy.times(1e-6)))
        own = [entry for entry in found.entries if entry.part == part]
        for entry in sorted(own, key=lambda each: -each.energy_pj.nominal):
            label = f"  {entry.action}" + (f" ({entry.term})" if entry.term else "")
            lines.append(_row(label, entry.energy_pj.times(1e-6)))
    lines.append(_row("energy", found.total_pj.times(1e-6)))
    lines.append(_row("power while it runs, mW", found.power_mw))
    lines.append(_row("power of the chip, mW", found.chip_power_mw))
    return lines


def _row(label: str, span: Span) -> str:
    return f"{label:<48} " + " ".join(f"{number(each):>10}" for each in span)


def _pair(
    names: Sequence[str],
    pair: tuple[int, int],
    found: Sequence[Intervals],
    turns: Sequence[BreakEven],
) -> list[str]:
    one, other = pair
    robust = "the same at" if is_robust(found[one], found[other]) else "not the same at"
    lines = [f"{names[one]} against {names[other]}: order {robust} low, nominal and high prices"]
    for turn in turns:
        if turn.value is None:
            winner = names[one] if turn.first_below else names[other]
            lines.append(f"  {winner} is cheaper at any {turn.quantity}")
        else:
            below, above = (one, other) if turn.first_below else (other, one)
            value = f"{turn.value:.3g} {turn.unit} of {turn.quantity}"
            lines.append(f"  {names[below]} is cheaper below, {names[above]} above {value}")
    return lines


def _document(
    names: Sequence[str],
    found: Sequence[Intervals],
    turns: dict[tuple[int, int], tuple[BreakEven, BreakEven]],
) -> dict[str, object]:
    return {
        "results": [
            {
                "result": name,
                "energy_table": each.table,
                "sram_cells": each.cells,
                "terms": list(each.terms),
                "energy_pj": each.total_pj._asdict(),
                "power_mw": each.power_mw._asdict(),
                "chip_power_mw": each.chip_power_mw._asdict(),
                "entries": [
                    entry._asdict() | {"energy_pj": entry.energy_pj._asdict()}
                    for entry in each.entries
                ],
            }
            for name, each in zip(names, found, strict=True)
        ],
        "break_evens": [
            {
                "first": names[one],
                "second": names[other],
                "turns": [turn._asdict() for turn in each],
            }
            for (one, other), each in turns.items()
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
