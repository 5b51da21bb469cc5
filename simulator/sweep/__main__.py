"""python -m simulator.sweep: search a space of designs, resumable, here or on a cluster.

The answer goes to stdout and to the files of --out; everything else goes to stderr. What is wrong
with the input is one message and exit code 2; points that are bad are reported and cost nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.command import add_places, command, program
from simulator.results.verify import add_verify

if TYPE_CHECKING:
    from simulator.results.sweep_result import SweepResult
    from simulator.sweep.evaluation import Outcome

EXAMPLE = """example:
  python -m simulator.sweep arch_configs/spaces/small.yaml --trace traces/mnist.npz \\
      --out sweeps/small
  python -m reports.sweep sweeps/small --out sweeps/small.html
"""
_SHOWN = 12


@command(interrupted="the same command goes on from here")
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("simulator.sweep"),
        description="Search a space of designs; the same command goes on after an interruption.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("space", metavar="SPACE", help="space of designs (YAML); see docs/tutorials/search.md")
    add("--trace", metavar="FILE", help="trace of all points, where the space lists none")
    add("--out", required=True, metavar="DIR", help="a new folder, or that of the search to go on")
    add(
        "--strict",
        action="store_true",
        help="let points whose numbers are doubtful fail (findings that are errors or warnings)",
    )
    add_verify(parser)
    add_places(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    from simulator.distributed.executor import open_executor
    from simulator.sweep.search import search
    from simulator.sweep.space import load_space

    space, folder = load_space(options.space, options.trace), Path(options.out)
    with _Progress() as watch, open_executor(options.jobs, options.dask) as executor:
        result = search(space, folder, executor, watch, strict=options.strict)
    result.save(folder)
    print(report(result))
    print(f"written: {folder}", file=sys.stderr)
    return 0


class _Progress:
    """A bar on a terminal, with how many points kept the limits, broke them or failed."""

    def __init__(self) -> None:
        from tqdm import tqdm

        hidden = not sys.stderr.isatty()
        self._bar = tqdm(unit="point", disable=hidden, leave=False, file=sys.stderr)
        self._counts = {"ok": 0, "infeasible": 0, "failed": 0}

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, outcomes: Sequence[Outcome], total: int) -> None:
        self._bar.total = total
        for outcome in outcomes:
            self._counts[outcome.status] += 1
        self._bar.set_postfix(self._counts, refresh=False)
        self._bar.update(len(outcomes))


def report(result: SweepResult) -> str:
    """Return the counts, the front and why points failed, for a terminal."""
    points, front = result.points, result.front()
    counts = points["status"].value_counts()
    asked = ", ".join(f"{name} ({way})" for name, way in result.objectives.items())
    lines = [
        f"{len(points)} points: "
        + ", ".join(f"{counts.get(name, 0)} {name}" for name in ("ok", "infeasible", "failed"))
        + f"; {int((points['replay'] == 'repriced').sum())} priced anew without simulating",
        "",
        f"Pareto front of {asked}:",
    ]
    names = [f"metric.{name}" for name in result.objectives]
    for row in front.head(_SHOWN).to_dict("records"):
        metrics = "  ".join(f"{row[name]:<12.6g}" for name in names)
        values = ", ".join(f"{name}={row[f'parameter.{name}']}" for name in result.parameters)
        lines.append(f"  #{row['number']:<6} {metrics}  {values}{_doubtful(row)}")
    if len(front) > _SHOWN:
        lines.append(f"  ... and {len(front) - _SHOWN} more")
    lines += _doubts(result)
    bad = points[points["status"] == "failed"]
    for message, group in list(bad.groupby("message"))[:_SHOWN]:
        lines.append(f"failed, {len(group)} points, such as #{group['number'].iloc[0]}: {message}")
    return "\n".join(lines)


def _doubtful(row: dict[Hashable, Any]) -> str:
    """What doubts a point, but for the notes."""
    from simulator.results.findings import severity_of, split_findings

    found = [
        name for name in split_findings(row.get("findings", "")) if severity_of(name) != "note"
    ]
    return f"  [doubtful: {', '.join(found)}]" if found else ""


def _doubts(result: SweepResult) -> list[str]:
    """How many points each check doubts, a line a check."""
    doubts = result.doubts()
    if doubts is None:
        return ["", "findings were not recorded by the version that searched"]
    lines = ["", "Findings:"] if doubts else []
    for each in doubts:
        where = f"{each.points} points, {each.on_front} of the front, such as #{each.example}"
        lines.append(f"  {each.severity:<8} {each.check}: {where}: {each.meaning}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
