"""python -m simulator.reprice: a finished result at other prices, nothing simulated.

Counts are the result's own; the table and the terms are chosen here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.command import command, program
from simulator.energy.break_even import Design, compare, sentences
from simulator.energy.spans import Span, dram_parts, sram_cells
from simulator.energy.terms import term_names
from simulator.errors import PricingError
from simulator.results.intervals import (
    Intervals,
    design_of,
    intervals,
    node_of,
    with_bounds,
    with_prices,
)
from simulator.results.moved import PriceSetting, dram_bits, moved
from simulator.results.provenance import switches
from simulator.results.result import Result
from simulator.results.summary import short
from simulator.results.units import number

EXAMPLE = (
    "python -m simulator.reprice reports/out/sparse_pe --terms clock logic_leakage "
    "--dram-power ddr4_x8"
)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the energies of each result, and where the order of each pair turns."""
    options = _parser().parse_args(arguments)
    setting = PriceSetting(*(getattr(options, name) for name in PriceSetting._fields)).checked()
    if options.out and setting != PriceSetting():
        raise PricingError("--out: a result holds no prices that are set by hand: leave them out")
    results = [_priced(Result.load(path), options) for path in options.results]
    found = [moved(intervals(each), dram_bits(each), setting) for each in results]
    designs = [design_of(*each) for each in zip(results, found, strict=True)]
    if options.out:
        results[0].save(Path(options.out))
        print(f"written: {options.out}", file=sys.stderr)
    if options.json:
        print(json.dumps(_document(options.results, results, found, designs), indent=1))
        return
    for name, result, each in zip(options.results, results, found, strict=True):
        print("\n".join(_lines(name, result, each)))
    for one, other in itertools.combinations(range(len(designs)), 2):
        names = options.results[one], options.results[other]
        print("\n  ".join(sentences(names, designs[one], designs[other], number)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("simulator.reprice"),
        description="Price a finished result again: low, nominal, high, by part and action. "
        "Of several results, print where the order of each pair turns.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", help="folder of a result")
    add(
        "--table",
        metavar="NAME",
        help="another energy table, with its node and voltage: name, or YAML file",
    )
    add(
        "--terms",
        nargs="*",
        choices=term_names(),
        metavar="TERM",
        help="what is priced beyond the table, none or some of: " + ", ".join(term_names()),
    )
    add("--sram-cells", choices=tuple(sram_cells()), metavar="CELLS", help="of the SRAM's leakage")
    add(
        "--dram-power",
        choices=("states", "table", *dram_parts()),
        metavar="PART",
        help="DRAM by the states of a part, or by the table's price a bit",
    )
    _add_setting(parser)
    add("--out", metavar="DIR", help="write the first result at these prices there")
    add("--json", action="store_true", help="print JSON")
    return parser


def _add_setting(parser: argparse.ArgumentParser) -> None:
    """Add the prices that can be set by hand, as the sliders of a comparison's page set them."""
    by_hand = parser.add_argument_group("prices by hand")
    for name, unit, what in (
        ("dram_pj_per_bit", "PJ", "price of each bit that the DRAM reads or writes, rows included"),
        ("dram_standby_mw", "MW", "further power of the DRAM as long as the machine is on"),
        ("always_on_mw", "MW", "further power of the chip as long as the machine is on"),
        ("sram_factor", "X", "what every SRAM access costs, over its price"),
        ("pe_factor", "X", "what the logic of the PE arrays costs, over its price"),
    ):
        option = f"--{name.replace('_', '-')}"
        default = PriceSetting._field_defaults[name]
        by_hand.add_argument(option, type=float, default=default, metavar=unit, help=what)


def _priced(result: Result, options: argparse.Namespace) -> Result:
    """Return the result at the prices that are asked for; its own without any."""
    wanted: dict[str, Any] = {
        name: value
        for name, value in (
            ("energy_table", options.table),
            ("terms", options.terms),
            ("sram_cells", options.sram_cells),
            ("dram_power", options.dram_power),
        )
        if value is not None
    }
    if options.table:
        wanted |= node_of(options.table)
    return with_prices(result, wanted) if wanted else with_bounds(result)


def _lines(name: str, result: Result, found: Intervals) -> list[str]:
    table = result.provenance["energy_table"]
    lines = [
        f"{name}: {table['name']}; {switches(table)}",
        f"{'µJ per image':<48} {'low':>10} {'nominal':>10} {'high':>10}",
    ]
    for part, energy in found.by_part().items():
        lines.append(_row(short(part), energy.times(1e-6)))
        own = [entry for entry in found.entries if entry.part == part]
        for entry in sorted(own, key=lambda each: -each.energy_pj.nominal):
            lines.append(_row(f"  {entry.action} ({entry.cause})", entry.energy_pj.times(1e-6)))
    lines.append(_row("energy", found.total_pj.times(1e-6)))
    lines.append(_row("power while it runs, mW", found.power_mw))
    lines.append(_row("power of the chip, mW", found.chip_power_mw))
    return lines


def _row(label: str, span: Span) -> str:
    return f"{label:<48} " + " ".join(f"{number(each):>10}" for each in span)


def _document(
    names: Sequence[str],
    results: Sequence[Result],
    found: Sequence[Intervals],
    designs: Sequence[Design],
) -> dict[str, object]:
    return {
        "results": [
            {
                "result": name,
                "energy_table": result.provenance["energy_table"],
                "energy_pj": each.total_pj._asdict(),
                "power_mw": each.power_mw._asdict(),
                "chip_power_mw": each.chip_power_mw._asdict(),
                "entries": [
                    entry._asdict() | {"energy_pj": entry.energy_pj._asdict()}
                    for entry in each.entries
                ],
            }
            for name, result, each in zip(names, results, found, strict=True)
        ],
        "pairs": [
            _pair((names[one], names[other]), designs[one], designs[other])
            for one, other in itertools.combinations(range(len(designs)), 2)
        ],
    }


def _pair(names: tuple[str, str], one: Design, other: Design) -> dict[str, object]:
    found = compare(one, other)
    return {
        "first": names[0],
        "second": names[1],
        "robust": found.is_robust,
        "difference_pj": found.difference_pj._asdict(),
        "turns": [turn._asdict() | {"bounds": turn.bounds._asdict()} for turn in found.turns],
    }


if __name__ == "__main__":
    raise SystemExit(main())
