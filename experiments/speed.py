"""python -m experiments.speed --old CHECKOUT --write docs/speed.md: speed against an older commit.

Runs both sides in turns, each in its own process, on a machine that should do nothing else: the
tables say its load. An old side is made by `git worktree add CHECKOUT bff3e41`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from experiments.generated import ROOT, command, table
from simulator.errors import ResultError

MAIN_JOB = (
    "-m", "simulator.run", "--arch", "arch_configs/sparse_pe.yaml", "--trace", "traces/cifar10.npz"
)  # fmt: skip
JOBS = (("mnist", 64), ("cifar10", 20), ("imagenet", 1))
MACHINES = (
    "bishop", "dense_pe", "exspike", "eyeriss", "loas", "mint", "phi", "prosperity", "ptb", "sato",
    "sparse_pe", "sparse_pe_noskip", "sparse_pe_resident", "spike_iand_former", "spinalflow",
)  # fmt: skip
"""Those that both sides have."""
OF_MACHINES = (("cifar10", 8), ("mnist", 16))
TURNS = 2


class Spent(NamedTuple):
    """What a process took."""

    wall_s: float
    cpu_s: float
    memory_mib: float


class Side(NamedTuple):
    """A checkout, measured with this environment's Python."""

    checkout: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPATH": str(self.checkout)}

    def job(self, cache: Path) -> Spent:
        """Run the main job with kernels in a cache of its own."""
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *MAIN_JOB],
            cwd=self.checkout,
            env={**self.environment, "NUMBA_CACHE_DIR": str(cache)},
            stdout=subprocess.DEVNULL,
        ) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise ResultError(f"{self.checkout}: the main job ended with {process.returncode}")
        wall_s = time.perf_counter() - start
        return Spent(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)

    def images_ms(self, machine: str, trace: str, images: int, repeats: int) -> list[float] | None:
        """CPU milliseconds by checkout_speed.py; None where the machine refuses the trace."""
        # Its text: the other checkout has no such file.
        worker = (ROOT / "experiments/checkout_speed.py").read_text("utf-8")
        call = f"measure({machine!r}, {trace!r}, {images}, {repeats})\n"
        done = subprocess.run(
            [sys.executable, "-c", worker + call],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if "LoweringError" in done.stderr:
            return None
        if done.returncode:
            raise ResultError(f"{self.checkout}: {machine}, {trace}: {done.stderr[-500:]}")
        found: list[float] = json.loads(done.stdout)
        return found


def main_job(sides: tuple[Side, Side]) -> str:
    """The main job in fresh processes: the first time, and with kernels in their cache."""
    with tempfile.TemporaryDirectory() as folder:
        caches = [Path(folder) / str(number) for number in range(2)]
        first = [side.job(cache) for side, cache in zip(sides, caches, strict=True)]
        turns = [
            [side.job(cache) for side, cache in zip(sides, caches, strict=True)] for _ in range(7)
        ]
    warm = [list(each) for each in zip(*turns, strict=True)]

    def median(field: str) -> list[str]:
        return [f"{statistics.median(getattr(one, field) for one in each):.2f}" for each in warm]

    memory = [f"{statistics.median(one.memory_mib for one in each):.0f}" for each in warm]
    rows = [
        ["first time, wall s", *(f"{one.wall_s:.1f}" for one in first), "10"],
        ["first time, CPU s", *(f"{one.cpu_s:.1f}" for one in first), ""],
        ["kernels in their cache, wall s", *median("wall_s"), "1.0"],
        ["kernels in their cache, CPU s", *median("cpu_s"), ""],
        ["largest memory, MiB", *memory, "250"],
    ]
    return table(["", "bff3e41", "now", "target"], rows)


def by_trace(sides: tuple[Side, Side]) -> str:
    """Images of a batch and alone on sparse_pe."""
    rows = []
    for trace, images in JOBS:
        turns = [
            [side.images_ms("sparse_pe", trace, images, 5) or [] for side in sides]
            for _ in range(TURNS)
        ]
        for place, what in enumerate(
            (f"of a batch of {images}", "alone", "alone, opened and planned for it")
        ):
            each = [[ms[place] for ms in turn] for turn in turns]
            before, now = (statistics.mean(turn[side] for turn in each) for side in range(2))
            ratios = ", ".join(f"{old / new:.1f}" for old, new in each)
            rows.append([trace, what, f"{before:.1f}", f"{now:.2f}", ratios])
    return table(["trace", "an image", "bff3e41, ms", "now, ms", "ratio, each turn"], rows)


def by_machine(sides: tuple[Side, Side]) -> str:
    """An image of a batch on each machine that both sides have."""
    rows = []
    for machine in MACHINES:
        cells = [f"`{machine}`"]
        for trace, images in OF_MACHINES:
            cells += _cells(sides, machine, trace, images)
        rows.append(cells)
    names = [f"{trace}, {images} images" for trace, images in OF_MACHINES]
    header = ["machine", *(cell for name in names for cell in (f"{name}: before", "now", "ratio"))]
    return table(header, rows)


def _cells(sides: tuple[Side, Side], machine: str, trace: str, images: int) -> list[str]:
    """Both sides and their ratio, without halting where a side refuses the trace with it."""
    for name in (trace, f"{trace}_baseline"):
        found = [side.images_ms(machine, name, images, 3) for side in sides]
        if found[0] and found[1]:
            old, new = found[0][0], found[1][0]
            star = "" if name == trace else "*"
            return [f"{old:.1f}", f"{new:.2f}", f"{old / new:.1f}{star}"]
    return ["", "", ""]


def made(old: Path) -> dict[str, str]:
    """All tables. Raises ResultError where the old side is no checkout."""
    if not (old / "simulator").is_dir():
        raise ResultError(f"{old}: must be a checkout: git worktree add {old} bff3e41")
    sides = Side(old.resolve()), Side(ROOT)
    before = os.getloadavg()[0]
    tables = {
        "job": main_job(sides), "images": by_trace(sides), "machines": by_machine(sides)
    }  # fmt: skip
    state = (
        f"{psutil.cpu_count()} cores, Python {sys.version.split()[0]}; load {before:.1f} at the "
        f"start and {os.getloadavg()[0]:.1f} at the end, this measurement included."
    )
    return {"state": state, **tables}


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, or write them into the page."""
    return command(
        "experiments.speed",
        "measure speed against an older commit",
        "docs/speed.md",
        made,
        arguments,
        {"old": (None, "checkout of the older commit")},
    )


if __name__ == "__main__":
    sys.exit(main())
