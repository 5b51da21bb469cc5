"""A search as one offline page: its Pareto front, what matters, and every point.

python -m reports.sweep sweeps/small --out sweeps/small.html
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


def sweep_page(result: SweepResult) -> str:
    """The page as text; equal results give equal pages."""
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
    options = parser.parse_args(arguments)
    _run(options)


def _run(options: argparse.Namespace) -> None:
    write_html(sweep_page(SweepResult.load(options.sweep)), options.out)
    print(f"written: {named(options.out)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
