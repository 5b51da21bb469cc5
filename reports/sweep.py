"""A search as one offline page: its Pareto front, what matters, and every point.

python -m reports.sweep sweeps/small --out sweeps/small.html
python -m reports.sweep sweeps/small --out sweeps/small.html --watch     # while it runs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from reports.figures.sweep import sweep_cards
from reports.html import render, write_html
from simulator.command import command
from simulator.config.staged_file import named
from simulator.results.sweep_result import SweepResult

EXAMPLE = "python -m reports.sweep sweeps/small --out sweeps/small.html"


def sweep_page(result: SweepResult, *, live_s: float = 0.0, cut_short: bool = False) -> str:
    """Return the page as text; equal results give equal pages.

    `live_s`: after how many seconds the page of a running search loads itself again; `cut_short`:
    whether the search ended before its end.
    """
    space, status = result.provenance["space"], result.points["status"]
    return render(
        "sweep.html.j2",
        sweep_cards(result),
        space=space,
        counts={name: int((status == name).sum()) for name in ("ok", "infeasible", "failed")},
        learned=space["search"]["strategy"] in ("nsga2", "tpe"),
        doubts=result.doubts(),
        provenance=result.provenance,
        document=json.dumps(space, indent=2),
        live_s=live_s,
        cut_short=cut_short,
    )


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.sweep",
        description="Draw what a search found on one HTML page that needs no network.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("sweep", metavar="DIR", help="folder that simulator.sweep wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help="page to write")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="while the search runs, write the page again and again; end when the search ends",
    )
    parser.add_argument(
        "--every",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="least time from one page to the next with --watch (default: 5)",
    )
    options = parser.parse_args(arguments)
    if options.watch:
        _watch(options)
    else:
        write_html(sweep_page(SweepResult.load(options.sweep)), options.out)
    print(f"written: {named(options.out)}", file=sys.stderr)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text}: must be 0.1 to 86400")
    return value


def _watch(options: argparse.Namespace) -> None:
    """Write a page whenever the search has found more, and the last one when it has ended."""
    from reports.watch import watched  # imports the simulator

    for found in watched(options.sweep, options.every):
        live_s = options.every if found.runs else 0.0
        page = sweep_page(found.result, live_s=live_s, cut_short=found.cut_short)
        write_html(page, options.out)
        if found.cut_short:
            print("the search was cut short: its own command goes on with it", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
