"""The study's arms spread over processes: each as soon as those that it needs are done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from graphlib import TopologicalSorter
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from experiments.study.arms import BY_NAME, TASK_BY_NAME
from experiments.study.jobs import Extent, run_arm
from experiments.study.plans import measure_plans
from experiments.study.tracing import run_machines
from experiments.study.untrained import WAYS
from models.threads import keep_freed_memory, use_threads


class ArmJob(NamedTuple):
    """An arm of a task with one seed."""

    task: str
    seed: int
    arm: str

    def needs(self) -> set[ArmJob]:
        """The jobs whose weights or shares of tokens it takes up."""
        arm = BY_NAME[self.arm]
        return {self._replace(arm=name) for name in (arm.start, arm.budget_of) if name is not None}


Work = Callable[[Path, ArmJob, Extent], None]


def jobs_of(
    tasks: Sequence[str], seeds: Sequence[int], arms: Container[str] = BY_NAME
) -> list[ArmJob]:
    """Those arms of the tasks; seeds outside, so that a study stopped early compares whole ones."""
    return [
        ArmJob(task, seed, arm)
        for seed in seeds
        for task in tasks
        for arm in TASK_BY_NAME[task].arms
        if arm in arms
    ]


def spread(work: Work, jobs: Sequence[ArmJob], folder: Path, extent: Extent, workers: int) -> None:
    """Do every job, in so many processes: of those whose needs are met, the first listed first."""
    place = {job: number for number, job in enumerate(jobs)}
    order = TopologicalSorter({job: job.needs() & place.keys() for job in jobs})
    order.prepare()
    ready: list[ArmJob] = []
    running: dict[Future[None], ArmJob] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        while order.is_active():
            ready = sorted([*ready, *order.get_ready()], key=place.__getitem__)
            while ready and len(running) < workers:
                job = ready.pop(0)
                running[pool.submit(work, folder, job, extent)] = job
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                done.result()
                job = running.pop(done)
                order.done(job)
                print(f"{work.__name__}: {job.task}, seed {job.seed}, {job.arm}", file=sys.stderr)


def end_with_parent() -> None:
    """Let this worker end where the study is killed: two studies would write the same files."""

    def watch() -> None:
        parent = parent_process()
        assert parent is not None
        wait_for([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def train(work: Path, job: ArmJob, extent: Extent) -> None:
    """Train and evaluate an arm."""
    use_threads(1)
    keep_freed_memory()
    run_arm(work, TASK_BY_NAME[job.task], job.seed, job.arm, extent)


def simulate(work: Path, job: ArmJob, extent: Extent) -> None:
    """Trace an arm and run the trace on the machines, and price plans where tokens do not halt. A
    way to halt without masks for a machine has no costs.
    """
    if (imposed := BY_NAME[job.arm].imposed) and WAYS[imposed].masks is None:
        return
    use_threads(1)
    run_machines(work, TASK_BY_NAME[job.task], job.seed, job.arm, extent)
    if (job.task, job.arm) == ("stream", "baseline_t4"):
        measure_plans(work, job.seed, extent)
