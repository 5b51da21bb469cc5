"""stasim matrix: simulate machines x traces, and compare them on one page.

    stasim matrix --arch dense_pe sparse_pe --trace mnist mnist_baseline --out reports/out/digits

The folder holds a result a pair, TRACE/MACHINE, and compare.html. A pair that cannot be run, such
as a board with another network than its own, is left out with its reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.command import add_overrides, command, integer_option, program
from simulator.config.shipped import MACHINES, TRACES, file_of, names_in
from simulator.config.wording import suggestion
from simulator.errors import ArchitectureError, ResultError, SimulatorError, TraceError
from stasim.api import simulate

EXAMPLE = "stasim matrix --arch dense_pe sparse_pe --trace mnist --images 0:8 --out reports/out/m"


class MatrixRun(NamedTuple):
    """Hold a machine and a trace as they were given, and the folder of their result."""

    arch: str
    trace: str
    folder: Path

    @property
    def design(self) -> str:
        """Return the machine's name on the page."""
        return self.folder.name


@command(interrupted="finished results are kept; no page was written")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    found = _pairs(options)
    kept, left_out = _simulate(found, options)
    _compare(kept, options, left_out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("stasim.matrix"),
        description="Simulate machines x traces, and compare them on one page.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    shipped = "architectures (YAML), or shipped machines; all shipped ones if left out"
    add("--arch", nargs="+", default=[*names_in(MACHINES)], metavar="FILE", help=shipped)
    add("--trace", nargs="+", required=True, metavar="FILE", help="traces, or shipped ones")
    add("--out", required=True, metavar="DIR", help="write results and compare.html there")
    add("--images", metavar="A:B", help="of each trace simulate images A to B - 1 only")
    add("--baseline", metavar="DESIGN", help="compare with this design first")
    jobs = integer_option(1, 1024)
    add("--jobs", type=jobs, default=1, metavar="N", help="worker processes (default 1)")
    add_overrides(parser)
    return parser


def _pairs(options: argparse.Namespace) -> list[MatrixRun]:
    """Machines x traces, each read once: what is wrong with a file is said before any work."""
    from simulator.architecture import load_architecture
    from simulator.results.files import check_target
    from simulator.trace import Trace, image_range

    for arch in options.arch:
        load_architecture(arch, options.overrides)
    for name in options.trace:
        with Trace.open(name) as trace:
            image_range(options.images, trace.images)
    found = [
        MatrixRun(arch, trace, Path(options.out) / _stem(trace, TRACES) / _stem(arch, MACHINES))
        for trace in options.trace
        for arch in options.arch
    ]
    folders = [pair.folder for pair in found]
    for pair in found:
        if folders.count(pair.folder) > 1:
            raise ResultError(f"{pair.folder}: two results would be there: give each file a name")
        check_target(pair.folder)
    designs = dict.fromkeys(pair.design for pair in found)
    if options.baseline and options.baseline.partition("@")[0] not in designs:
        known = suggestion(options.baseline, [*designs])
        raise ResultError(f"--baseline {options.baseline}", f"unknown design {known}")
    return found


def _stem(file: str, shipped: Path) -> str:
    error = ArchitectureError if shipped == MACHINES else TraceError
    return file_of(file, shipped, "file", error).stem


def _simulate(
    found: Sequence[MatrixRun], options: argparse.Namespace
) -> tuple[list[MatrixRun], list[str]]:
    """Save a result a pair; return the pairs that have one, and the reasons of the others."""
    import yaml
    from tqdm import tqdm

    words = [word.partition("=") for word in options.overrides]
    changes = {path: yaml.safe_load(value) for path, _, value in words}
    kept, left_out = [], []
    for pair in tqdm(found, unit="run", disable=not sys.stderr.isatty(), leave=False):
        try:
            result = simulate(pair.trace, pair.arch, options.images, options.jobs, **changes)
        except SimulatorError as error:
            left_out.append(f"{pair.design} on {pair.folder.parent.name}: {error}")
            print(f"left out: {left_out[-1]}", file=sys.stderr)
        else:
            result.save(pair.folder)
            kept.append(pair)
    if not kept:
        raise ResultError(f"{options.out}: nothing to compare: no pair could be run")
    return kept, left_out


def _compare(
    found: Sequence[MatrixRun], options: argparse.Namespace, left_out: Sequence[str]
) -> None:
    """Write the page, and print what the order of each pair by energy depends on."""
    from reports.break_evens import pairs, pairs_text
    from reports.compare import compare_page
    from reports.html import write_html
    from reports.runs import found_at, runs_of
    from simulator.config.staged_file import named

    runs = runs_of([each for p in found for each in found_at(str(p.folder), p.design)])
    page = Path(options.out) / "compare.html"
    write_html(compare_page(runs, options.baseline, left_out), page)
    print(f"written: {named(page)}", file=sys.stderr)
    print(pairs_text(pairs(runs)))


if __name__ == "__main__":
    sys.exit(main())
