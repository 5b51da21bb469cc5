"""Chains of arms, spread over processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from models.study.arms import TASK_BY_NAME
from models.study.jobs import Extent, run_arm
from models.study.tracing import run_machines
from models.threads import use_threads


class Chain(NamedTuple):
    """The arms of a task with one seed, in order: later ones start from earlier ones."""

    task: str
    seed: int


def spread(
    work: Callable[[Path, Chain, Extent], None],
    chains: Sequence[Chain],
    folder: Path,
    extent: Extent,
    workers: int,
) -> None:
    """Do the work of every chain, in so many processes."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[None], Chain] = {
            pool.submit(work, folder, chain, extent): chain for chain in chains
        }
        for done in as_completed(futures):
            done.result()
            task, seed = futures[done]
            print(f"{work.__name__}: {task}, seed {seed}", file=sys.stderr)


def train_chain(work: Path, chain: Chain, extent: Extent) -> None:
    """Train and evaluate the arms of a chain."""
    use_threads(1)
    for arm in TASK_BY_NAME[chain.task].arms:
        run_arm(work, TASK_BY_NAME[chain.task], chain.seed, arm, extent)


def simulate_chain(work: Path, chain: Chain, extent: Extent) -> None:
    """Trace the arms of a chain and run the traces on the machines."""
    use_threads(1)
    for arm in TASK_BY_NAME[chain.task].arms:
        run_machines(work, TASK_BY_NAME[chain.task], chain.seed, arm, extent)
