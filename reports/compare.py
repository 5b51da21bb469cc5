"""Designs side by side on one offline page.

python -m reports.compare reports/out --out reports/out/compare.html
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.break_evens import pairs, pairs_text
from reports.figures.base import Card, Run, by_workload
from reports.figures.cycles import cycles_cards
from reports.figures.designs import design_cards, headline
from reports.figures.energy import energy_cards, field_card
from reports.figures.kinds import kind_cards
from reports.figures.latency import latency_cards
from reports.figures.over_time import over_time_cards
from reports.figures.roofline import roofline_cards
from reports.figures.stream_load import stream_comparison_cards
from reports.figures.tokens import tokens_cards
from reports.figures.traffic import traffic_cards
from reports.html import render, write_html
from reports.machine_table import machine_cards
from reports.prices import price_cards, price_data
from reports.runs import load_runs
from reports.tables import SUFFIXES, paper_tables
from reports.verdicts import verdicts
from reports.why import layer_card, waterfall_cards, waterfall_data
from simulator.command import command, program
from simulator.config.staged_file import named
from simulator.errors import ResultError
from simulator.results.schema import SCHEMAS

EXAMPLE = "python -m reports.compare reports/out --baseline dense_pe --out reports/out/compare.html"


def compare_page(
    runs: Sequence[Run], baseline: str | None = None, left_out: Sequence[str] = ()
) -> str:
    """Return the page as text; equal runs give equal pages. `left_out`: absent pairs, and why."""
    designs = list(dict.fromkeys(run.design for run in runs))
    first = (baseline or designs[0]).partition("@")[0]
    compared = [first, *(name for name in designs if name != first)] if len(designs) > 1 else []
    return render(
        "compare.html.j2",
        compare_cards(runs, baseline),
        data=page_data(runs, designs),
        movable=price_data(runs),
        designs=designs,
        baseline=first,
        verdicts={name: verdicts(runs, name) for name in compared},
        left_out=left_out,
        workloads=[_workload(group) for group in by_workload(runs).values()],
        runs=runs,
        machines=_machines(runs),
        tables={run.result.provenance["energy_table"]["name"]: run for run in runs},
        prices=_prices(runs),
    )


def compare_cards(runs: Sequence[Run], baseline: str | None = None) -> list[Card]:
    """Return all cards, in the order of the page."""
    return [
        *machine_cards(runs),
        *design_cards(runs, baseline),
        *price_cards(runs),
        *waterfall_cards(runs),
        layer_card(runs),
        *kind_cards(runs),
        *latency_cards(runs),
        *energy_cards(runs),
        *cycles_cards(runs),
        *over_time_cards(runs),
        *roofline_cards(runs),
        *stream_comparison_cards(runs),
        *tokens_cards(runs),
        *traffic_cards(runs),
        field_card(runs),
    ]


def page_data(runs: Sequence[Run], designs: Sequence[str]) -> dict[str, Any]:
    """Return what the scripts of the page sort and filter by: `metrics[name][workload][design]`."""
    groups = by_workload(runs)
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for workload, group in groups.items():
        for run in group:
            for name, value in headline(run).items():
                if math.isfinite(value):
                    metrics.setdefault(name, {}).setdefault(workload, {})[run.design] = value
    return {
        "designs": [*designs],
        "workloads": [*groups],
        "metrics": metrics,
        "waterfall": waterfall_data(),
    }


def _workload(group: Sequence[Run]) -> dict[str, Any]:
    """What a workload is, from the trace that its runs name."""
    trace = group[0].result.provenance["trace"]
    left_out = [f"{run.left_out} of {run.design}" for run in group if run.left_out]
    return {
        "name": group[0].workload,
        "network": group[0].facts["network"],
        "origin": group[0].facts["origin"],
        "images": group[0].result.images,
        "trace": trace,
        "weights": json.dumps(trace["weights"], indent=2),
        "left_out": ", ".join(left_out),
    }


def _machines(runs: Sequence[Run]) -> list[tuple[str, dict[str, Any], str]]:
    """Each design once: its name, provenance, and document as text."""
    first = {run.design: run.result.provenance["architecture"] for run in reversed(runs)}
    designs = dict.fromkeys(run.design for run in runs)
    return [(name, first[name], json.dumps(first[name]["document"], indent=2)) for name in designs]


def _prices(runs: Sequence[Run]) -> list[tuple[dict[str, Any], str]]:
    """Each price once, with the designs that pay it."""
    designs: dict[tuple[Any, ...], dict[str, None]] = {}
    fields = tuple(SCHEMAS["prices"].columns)
    for run in runs:
        for row in run.result.tables["prices"][[*fields]].itertuples(index=False):
            designs.setdefault(tuple(row), {})[run.design] = None
    every = {run.design for run in runs}
    return [
        (dict(zip(fields, row, strict=True)), "all" if set(names) == every else ", ".join(names))
        for row, names in sorted(designs.items(), key=lambda item: item[0][:2])
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("reports.compare"),
        description="Draw saved results side by side on one HTML page that needs no network.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add(
        "results",
        nargs="+",
        metavar="RESULT",
        help="a result, or a folder of results; NAME=RESULT gives a design another name",
    )
    add("--out", required=True, metavar="FILE", help="page to write")
    add(
        "--baseline",
        metavar="DESIGN",
        help="compare with this design first, or with one run of it, DESIGN@WORKLOAD",
    )
    add(
        "--tables",
        action="append",
        default=[],
        metavar="FILE",
        help="write tables for papers too: FILE.md or FILE.tex",
    )
    return parser


@command(interrupted="nothing more was written")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    for name in options.tables:
        if Path(name).suffix not in SUFFIXES:
            raise ResultError(f"--tables {name}", f"must end with {' or '.join(SUFFIXES)}")
    runs = load_runs(options.results)
    texts = {options.out: compare_page(runs, options.baseline)}
    for name in options.tables:
        texts[name] = paper_tables(runs, options.baseline or runs[0].design, Path(name).suffix)
    for name, text in texts.items():
        write_html(text, name)
        print(f"written: {named(name)}", file=sys.stderr)
    if lines := pairs_text(pairs(runs)):
        print(lines)


if __name__ == "__main__":
    sys.exit(main())
