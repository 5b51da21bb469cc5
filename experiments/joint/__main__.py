"""python -m experiments.joint: choose model and machine together, and write docs/joint.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from experiments.joint.page import write_page
from experiments.joint.search import chosen, search, space
from experiments.joint.traces import IMAGES, make
from experiments.joint.variants import of_task
from experiments.study.__main__ import QUICK_WORK, WORK
from experiments.study.jobs import QUICK, Extent
from experiments.study.schedule import ArmJob, spread, train
from models.files import write_staged
from simulator.command import check_counts, command

TASKS = ("digits", "stream")
STAGES = ("train", "trace", "search", "page")
OUT, PAGE = Path("docs/joint"), Path("docs/joint.md")
EXAMPLE = """examples:
  python -m experiments.joint  # everything; hours: it trains what the study has not
  python -m experiments.joint --quick  # minutes: shows in runs/study_quick that it works
  python -m experiments.joint --stages page  # the page again, from docs/joint/*.csv
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.joint",
        description="Search I-SPS form, halting, timesteps, dataflow and buffers at once.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--work", type=Path, help=f"the study's weights (default {WORK}; quick: {QUICK_WORK})")
    add("--out", type=Path, help=f"tables and figure (default {OUT}; quick: WORK/joint)")
    add("--page", type=Path, help=f"the page to write (default {PAGE}; quick: OUT/{PAGE.name})")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="default: both")
    add("--seeds", type=int, default=3, help="how many (default 3)")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    add("--workers", type=int, default=2, help="processes, one thread each (default 2)")
    add("--quick", action="store_true", help="one seed, one epoch, 200 images of digits")
    return made


@command("experiments.joint", "the same command goes on")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(parser().parse_args(arguments))


def run(options: argparse.Namespace) -> None:
    """Every stage that was asked for, in order. Raises SimulatorError for bad input."""
    check_counts(options, "seeds", "workers")
    work = options.work or (QUICK_WORK if options.quick else WORK)
    out = options.out or (work / "joint" if options.quick else OUT)
    page = options.page or (out / PAGE.name if options.quick else PAGE)
    extent = QUICK if options.quick else Extent(traced=IMAGES)
    tasks = ["digits"] if options.quick else options.tasks
    seeds = range(1 if options.quick else options.seeds)
    for task in tasks:
        variants = of_task(task)
        if "train" in options.stages:
            spread(train, jobs_of(task, seeds), work, extent, options.workers)
        if "trace" in options.stages:
            unlike = {each.stem: each for each in variants}.values()
            jobs = [(work, task, seed, each, extent) for seed in seeds for each in unlike]
            with get_context("spawn").Pool(options.workers) as pool:
                for path in pool.imap_unordered(make, jobs):
                    print(path, file=sys.stderr)
        if "search" in options.stages:
            points = search(
                work, task, space(work, task, seeds, variants, extent.traced), options.workers
            )
            out.mkdir(parents=True, exist_ok=True)
            table = chosen(points, [*variants[0].axes])
            write_staged(
                out / f"{task}.csv", table.to_csv(index=False, float_format="%.6g").encode()
            )
    if "page" in options.stages:
        write_page(out, page)


def jobs_of(task: str, seeds: Sequence[int]) -> list[ArmJob]:
    """The arms that the variants run, each after what it begins from."""
    jobs: dict[ArmJob, None] = {}
    for seed in seeds:
        for variant in of_task(task):
            job = ArmJob(task, seed, variant.arm)
            jobs |= dict.fromkeys([*job.needs(), job])
    return [*jobs]


if __name__ == "__main__":
    sys.exit(main())
