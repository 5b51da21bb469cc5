"""python -m experiments.study: train every arm, run it on simulated machines, write the page.

Whatever was done before is kept: stop it when you like, start it again, and it goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.study.arms import BY_NAME, SEEDS, TASK_BY_NAME
from models.errors import ModelError
from simulator.command import check_counts, command

EXAMPLE = """examples:
  python -m experiments.study  # everything; hours on two cores
  python -m experiments.study --quick  # minutes: shows in runs/study_quick that it works
  python -m experiments.study --stages page  # the page again, from docs/study/*.csv
"""
STAGES = ("train", "simulate", "published", "page")
TABLES, PAGE = Path("docs/study"), Path("docs/stas_on_hardware.md")
WORK, QUICK_WORK = Path("runs/study"), Path("runs/study_quick")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.study",
        description="What STAS, its parts and its controls cost on hardware and keep in accuracy.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--work", type=Path, help=f"weights and traces (default {WORK}; quick: {QUICK_WORK})")
    add("--out", type=Path, help=f"tables and figures (default {TABLES}; quick: WORK/out)")
    add("--page", type=Path, help=f"the page to write (default {PAGE}; quick: OUT/{PAGE.name})")
    add("--tasks", nargs="+", choices=TASK_BY_NAME, help="default: all; quick: digits")
    add("--seeds", type=int, default=len(SEEDS), help=f"how many (default {len(SEEDS)})")
    add("--arms", nargs="+", choices=BY_NAME, metavar="ARM", help="default: all of a task")
    add("--first-seed", type=int, default=0, help="of those (default 0); rows of others are kept")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    add("--workers", type=int, default=2, help="processes, one thread each (default 2)")
    add(
        "--quick", action="store_true", help="one seed, one epoch, 200 images: shows that all works"
    )
    return made


@command("experiments.study", "the same command goes on")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Every stage that was asked for, in order. Raises SimulatorError for bad input."""
    check_counts(options, "seeds", "workers")
    if options.first_seed < 0:
        raise ModelError("--first-seed", str(options.first_seed), "must be at least 0")
    from experiments.study.gather import write_arms
    from experiments.study.jobs import QUICK, Extent
    from experiments.study.page import write_page
    from experiments.study.published import write_published
    from experiments.study.schedule import jobs_of, simulate, spread, train

    extent = QUICK if options.quick else Extent()
    every = ["digits"] if options.quick else list(TASK_BY_NAME)
    tasks, end = options.tasks or every, options.first_seed + options.seeds
    seeds = range(1) if options.quick else range(options.first_seed, end)
    work = options.work or (QUICK_WORK if options.quick else WORK)
    out = options.out or (work / "out" if options.quick else TABLES)
    page = options.page or (out / PAGE.name if options.quick else PAGE)
    work.mkdir(parents=True, exist_ok=True)
    for stage, task in (("train", train), ("simulate", simulate)):
        if stage in options.stages:
            jobs = jobs_of(tasks, seeds, options.arms or BY_NAME)
            spread(task, jobs, work, extent, options.workers)
    if "train" in options.stages or "simulate" in options.stages:
        # What earlier calls left is told too, whatever this one was asked for.
        write_arms(work, out, jobs_of(list(TASK_BY_NAME), range(max(end, len(SEEDS)))))
    if "published" in options.stages:
        write_published(work, out, quick=options.quick)
    if "page" in options.stages:
        write_page(out, page)


if __name__ == "__main__":
    sys.exit(main())
