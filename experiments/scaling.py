"""How fast a long trace is replayed by so many workers, and in how much memory: docs/scale.

python -m experiments.scaling --trace long.npz --images 0:1024 --workers 1 2 --out docs/scale

Runs `simulator.run --stream` in processes of their own and looks at them five times a second. The
machine is as busy as it is, so beside the wall time stand load and CPU time of all processes;
the plot shows what that CPU time allows when each worker has a core to itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil

from simulator.command import command
from simulator.errors import ResultError

ROOT = Path(__file__).parents[1]
RUNS, PLOT = "runs.csv", "throughput.png"
_PERIOD_S = 0.2


class ScalingSample(NamedTuple):
    """One run. Memory: the most that was resident, of the command and of its largest worker.

    `images_per_s_on_free_cores`: workers x images / CPU time.
    """

    place: str
    workers: int
    images: int
    wall_s: float
    cpu_s: float
    images_per_s: float
    images_per_s_on_free_cores: float
    cpu_ms_per_image: float
    command_mib: float
    worker_mib: float
    load_average: float


def measure(
    arch: str, trace: str, images: str, place: str, workers: int, out: Path
) -> ScalingSample:
    """Run the command once and watch it. Raises ResultError if it fails."""
    where = ["--jobs", str(workers)] if place == "joblib" else ["--dask", f"local:{workers}"]
    words = [sys.executable, "-m", "simulator.run", "--arch", arch, "--trace", trace]
    words += ["--images", images, "--stream", "--out", str(out), *where]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    begin = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    own = worker = 0
    cpu: dict[int, float] = {}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(process.pid)
            for each in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    resident, spent = each.memory_info().rss, each.cpu_times()
                    cpu[each.pid] = max(cpu.get(each.pid, 0.0), spent.user + spent.system)
                    own = max(own, resident) if each.pid == process.pid else own
                    worker = max(worker, resident) if each.pid != process.pid else worker
        time.sleep(_PERIOD_S)
    wall = time.monotonic() - begin
    if process.returncode:
        raise ResultError(shlex.join(words[1:]), f"exit code {process.returncode}")
    count = sum(len(pd.read_parquet(part)) for part in (out / "images").iterdir())
    spent_s = sum(cpu.values())
    return ScalingSample(
        place,
        workers,
        count,
        round(wall, 2),
        round(spent_s, 2),
        round(count / wall, 2),
        round(workers * count / spent_s, 1),
        round(1e3 * spent_s / count, 3),
        round(own / 2**20, 1),
        round(worker / 2**20, 1),
        round(os.getloadavg()[0], 1),
    )


def draw(runs: pd.DataFrame, path: Path) -> None:
    """Throughput over workers, by place and number of images: each run a dot, medians joined."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    colours = {"joblib": "#0072B2", "dask": "#E69F00"}
    rate = "images_per_s_on_free_cores"
    for place, images in runs[["place", "images"]].drop_duplicates().itertuples(index=False):
        own = runs[(runs["place"] == place) & (runs["images"] == images)]
        median = own.groupby("workers")[rate].median()
        colour, mark = colours.get(place, "#999999"), "o" if images < 10_000 else "D"
        axes.plot(own["workers"], own[rate], ".", color=colour, alpha=0.5)
        axes.plot(median.index, median, f"-{mark}", color=colour, label=f"{place}, {images} images")
    axes.set_xlabel("workers, each with a core to itself")
    axes.set_ylabel("images / s, from CPU time")
    axes.set_xticks(sorted(runs["workers"].unique()))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, one after another, and write runs.csv and the plot."""
    parser = argparse.ArgumentParser(prog="python -m experiments.scaling", description=__doc__)
    parser.add_argument("--arch", default="arch_configs/sparse_pe.yaml", metavar="FILE")
    parser.add_argument("--trace", required=True, metavar="FILE")
    parser.add_argument("--images", required=True, metavar="A:B")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--places", nargs="+", default=["joblib", "dask"])
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="interleaved")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    samples = []
    for _ in range(options.repeat):
        for place in options.places:
            for workers in options.workers:
                with tempfile.TemporaryDirectory() as folder:
                    words = (options.arch, options.trace, options.images, place, workers)
                    samples.append(measure(*words, Path(folder) / "out"))
                print(samples[-1], flush=True)
    runs = pd.DataFrame(samples)
    runs.to_csv(options.out / RUNS, index=False)
    draw(runs, options.out / PLOT)


if __name__ == "__main__":
    sys.exit(main())
