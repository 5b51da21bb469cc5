"""One function over many tasks: in this process, on all cores, or on a Dask cluster.

    with open_executor(jobs=4) as executor:
        for position, result in executor.run(function, tasks):
            ...

Wherever it runs, a task gives the same result; only the order in which results arrive differs. A
worker that dies (out of memory, killed, machine gone) loses nothing: its tasks run again elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple, TypeVar

from simulator.errors import ExecutionError

ATTEMPTS = 4
"""How often in all a task is given to local workers, if they die over it."""
CONNECT_SECONDS = 20
WATCH_SECONDS = 1.0
CLOSE_SECONDS = 3
WORKERLESS_SECONDS = 60.0
"""How long a cluster may be without any worker: a nanny begins another in some seconds."""
LOCAL_CLUSTER = re.compile(r"local:([1-9][0-9]{0,2})")

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Executor(NamedTuple):
    """Run tasks. `workers`: how many at once; `client`: of a Dask cluster, or None."""

    workers: int
    client: Any = None

    @property
    def is_remote(self) -> bool:
        """Say whether workers may have another current folder, so that paths must be absolute."""
        return self.client is not None

    def run(
        self, function: Callable[[Task], Answer], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Answer]]:
        """Yield (position in `tasks`, result) of each task, as they end.

        `function` must be importable by workers. What it raises is raised here. Raises
        ExecutionError when workers die again and again, or when the cluster is lost.
        """
        if self.client is None and self.workers == 1:
            return ((position, function(task)) for position, task in enumerate(tasks))
        if self.client is None:
            return _on_cores(function, tasks, self.workers)
        return _on_cluster(function, tasks, self.client)


@contextlib.contextmanager
def open_executor(jobs: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """Open this process (`jobs` 1), some processes, or a Dask cluster, closed at the end.

    `dask`: address of a scheduler (`tcp://host:8786`; `tls://host:8786` with the certificates that
    Dask's configuration names), or `local:N` for a scheduler and N processes on this machine's
    loopback, which other users cannot enter. Raises ExecutionError if there is no such cluster.
    """
    if dask is None:
        yield Executor(jobs)
        return
    with contextlib.ExitStack() as stack:
        client = _connect(dask, stack)
        workers = sum(
            worker["nthreads"] for worker in client.scheduler_info(-1)["workers"].values()
        )
        if not workers:
            raise ExecutionError(f"--dask {dask}", "the scheduler has no workers")
        yield Executor(workers, client)


def _connect(dask: str, stack: contextlib.ExitStack) -> Any:
    """A client of the cluster; the stack closes what was opened."""
    local = LOCAL_CLUSTER.fullmatch(dask)
    if not local and not re.match(r"(tcp|tls)://.", dask):
        rule = "must be a scheduler's tcp://HOST:PORT or tls://HOST:PORT, or local:N"
        raise ExecutionError(f"--dask {dask}", rule)
    try:
        from distributed import Client
    except ImportError:
        rule = "needs the extra 'cluster': pip install 'stasim[cluster]'"
        raise ExecutionError(f"--dask {dask}", rule) from None
    for name in ("asyncio", "distributed", "distributed.client", "distributed.utils"):
        # What is lost is reported once, by us.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if not local:
            return _closed_by(stack, _begun(lambda: Client(dask, timeout=CONNECT_SECONDS)))
        cluster = stack.enter_context(_begun(lambda: _local_cluster(int(local[1]))))
        return _closed_by(stack, _begun(lambda: Client(cluster)))
    except ImportError as error:
        raise ExecutionError(f"--dask {dask}", f"{error}") from None
    except TypeError:  # what Dask says of certificates that are missing
        rule = "needs certificates: set distributed.comm.tls in Dask's configuration"
        raise ExecutionError(f"--dask {dask}", rule) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise ExecutionError(f"--dask {dask}: no scheduler answers: {error}") from None


def _begun(make: Callable[[], Answer]) -> Answer:
    """What `make` gives. Dask asserts that its thread begins within 10 s: a busy machine may not.

    Raises ExecutionError when no thread began in ATTEMPTS attempts.
    """
    for _ in range(ATTEMPTS):
        with contextlib.suppress(AssertionError):
            return make()
    raise ExecutionError("Dask", f"its thread did not begin in {ATTEMPTS} attempts (machine busy?)")


def _local_cluster(workers: int) -> Any:
    """Processes on the loopback. Certificates of this run keep other users of the machine out."""
    import dask
    from distributed import LocalCluster, Security

    with dask.config.set({"distributed.scheduler.http.routes": [],
                          "distributed.worker.http.routes": []}):  # fmt: skip
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="tls://127.0.0.1",
            protocol="tls",
            security=Security.temporary(),
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
        )


def _closed_by(stack: contextlib.ExitStack, client: Any) -> Any:
    """The client; the stack closes it, and does not wait long for a scheduler that is lost."""
    stack.callback(lambda: client.close(timeout=CLOSE_SECONDS))
    return client


def _on_cores(
    function: Callable[[Task], Answer], tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[int, Answer]]:
    """joblib ends all its workers when one dies; what they had not finished is begun again."""
    left = dict(enumerate(tasks))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            for position, answer in _joblib(function, left, jobs):
                del left[position]
                yield position, answer
            return
        except BrokenExecutor:
            if attempt == ATTEMPTS:
                raise ExecutionError(
                    f"worker processes died {ATTEMPTS} times; {len(left)} of {len(tasks)} tasks "
                    "are left (out of memory? try fewer --jobs)"
                ) from None


def _on_cluster(
    function: Callable[[Task], Answer], tasks: Sequence[Task], client: Any
) -> Iterator[tuple[int, Answer]]:
    """The scheduler itself gives a dead worker's tasks to others.

    Answers are pulled in a thread of their own, so that this one sees when nothing is left that
    could answer. joblib's backend for Dask is no help here: it runs the tasks in this process as
    soon as the cluster has a single worker.
    """
    answers: queue.SimpleQueue[tuple[int, Answer] | BaseException | None] = queue.SimpleQueue()

    def pull() -> None:
        try:
            for _, answer in _pulled(function, tasks, client):
                answers.put(answer)
            answers.put(None)
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=pull, daemon=True).start()
    while (answer := _next(answers, client)) is not None:
        if isinstance(answer, BaseException):
            raise _facts(answer)
        yield answer


def _pulled(function: Callable[[Task], Answer], tasks: Sequence[Task], client: Any) -> Any:
    """(future, numbered answer) of each task; only what has not ended is kept on the cluster."""
    from distributed import as_completed

    calls = functools.partial(_numbered, function)
    return as_completed(client.map(calls, range(len(tasks)), tasks, pure=False), with_results=True)


def _next(answers: queue.SimpleQueue[Answer], client: Any) -> Answer:
    """The next answer. Raises ExecutionError once nothing is left that could give one."""
    last_worker = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            return answers.get(timeout=WATCH_SECONDS)
        if client.status != "running":
            raise ExecutionError("the cluster was lost: the scheduler no longer answers")
        with contextlib.suppress(OSError):  # the status of the client is about to tell
            if client.scheduler_info(1)["workers"]:
                last_worker = time.monotonic()
        if time.monotonic() - last_worker > WORKERLESS_SECONDS:
            # The scheduler would wait for another worker without end.
            rule = f"no worker is left, and none came for {WORKERLESS_SECONDS:g} s"
            raise ExecutionError(f"the cluster was lost: {rule}")


def _facts(error: BaseException) -> BaseException:
    """What a task raised, as it is; what the cluster did, in a word."""
    from distributed import CancelledError, KilledWorker

    if isinstance(error, KilledWorker):
        return ExecutionError(f"workers of the cluster died again and again: {error}")
    if isinstance(error, CancelledError | OSError):
        return ExecutionError("the cluster was lost: what it was at was cancelled")
    return error


def _joblib(
    function: Callable[[Task], Answer], tasks: dict[int, Task], jobs: int
) -> Iterator[tuple[int, Answer]]:
    from joblib import Parallel, delayed

    calls = [delayed(_numbered)(function, *item) for item in tasks.items()]
    parallel = Parallel(n_jobs=jobs, backend="loky", return_as="generator_unordered", batch_size=1)
    yield from parallel(calls)


def _numbered(function: Callable[[Task], Answer], position: int, task: Task) -> tuple[int, Answer]:
    return position, function(task)
