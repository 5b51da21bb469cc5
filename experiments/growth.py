"""python -m experiments.growth --write docs: is cost linear in images, in tokens and in cores?

Measures processor seconds on one core, compilers warm: the best of two for each size.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
from matplotlib.figure import Figure

from experiments.prosperity.report import CompatReport
from simulator.architecture import load_architecture
from simulator.command import command
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[1]
IMAGES = (1, 2, 4, 8, 16)
TOKENS = (64, 128, 256, 512, 1024)
CORES = (1, 2, 4, 8, 16)
SPLITS = ("output_channels", "tokens")
EXCHANGED = "memories.global_buffer={kind: sram, size_kib: 1024, banks: 8, width_bits: 256}"
RUNS = ("sparse_pe", "prosperity", "ptb", "phi", "prosperity (compat)")
REPEATS = 2
INK = "#7a838d"
"""Readable on white and on black: a picture knows no theme."""


class Line(NamedTuple):
    """A name and its (size, value) points, all above 0."""

    name: str
    points: Sequence[tuple[float, float]]


def runner(trace: Trace, name: str) -> Callable[[range], object]:
    """What costs some images of a trace on a machine, under the accounting that the name says."""
    architecture = load_architecture(ROOT / "arch_configs" / f"{name.split()[0]}.yaml")
    if name.endswith("(compat)"):
        return CompatReport(trace, architecture).run
    return Simulation(trace, architecture).run


def seconds(run: Callable[[range], object], images: int) -> float:
    """The best of some repeats."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        run(range(images))
        found.append(time.process_time() - start)
    return min(found)


def by_images(name: str) -> Line:
    """Processor seconds for the first images of the CIFAR-10 trace."""
    with Trace.open(ROOT / "traces" / "cifar10.npz") as trace:
        run = runner(trace, name)
        run(range(1))
        return Line(name, [(count, seconds(run, count)) for count in IMAGES])


def by_tokens(name: str) -> Line:
    """Processor seconds for one image of a small network, by its tokens."""
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for tokens in TOKENS:
            path = tiny_trace(
                Path(folder) / f"{tokens}.npz",
                tokens=tokens,
                channels=128,
                images=1,
                timesteps=4,
                halting="none",
                heads=4,
                density=0.15,
                attention="spike_driven",
            )
            with Trace.open(path) as trace:
                run = runner(trace, name)
                run(range(1))
                points.append((tokens, seconds(run, 1)))
    return Line(name, points)


def by_cores(split: str) -> Line:
    """Processor seconds for four images of CIFAR-10 on so many cores of sparse_pe."""
    points = []
    for cores in CORES:
        architecture = load_architecture(
            ROOT / "arch_configs/sparse_pe.yaml",
            [f"cores.count={cores}", f"split={split}", EXCHANGED],
        )
        with Trace.open(ROOT / "traces/cifar10.npz") as trace:
            run = Simulation(trace, architecture).run
            run(range(4))
            points.append((cores, seconds(run, 4)))
    return Line(f"sparse_pe, split: {split}", points)


def table(lines: Sequence[Line], unit: str) -> str:
    """Milliseconds by size, and what the largest step costs per unit over the smallest."""
    sizes = [size for size, _ in lines[0].points]
    rows = ["| machine | " + " | ".join(f"{size} {unit}" for size in sizes) + " | growth |"]
    rows.append("|---" * (len(sizes) + 2) + "|")
    for line in lines:
        first, last = line.points[0], line.points[-1]
        growth = (last[1] / first[1]) / (last[0] / first[0])
        cells = [f"{1e3 * value:.0f} ms" for _, value in line.points]
        rows.append(f"| {line.name} | " + " | ".join(cells) + f" | {growth:.2f} |")
    return "\n".join(rows)


def draw(path: Path, panels: Sequence[tuple[str, Sequence[Line]]]) -> None:
    """Draw seconds by size over logarithmic axes; dashes: linear growth from each first point."""
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    # Words as words: as outlines they are most of the file.
    small = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}
    with matplotlib.rc_context({"svg.hashsalt": "growth", **small, **dict.fromkeys(inked, INK)}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        for axes, (sizes_are, lines) in zip(figure.subplots(1, 2), panels, strict=True):
            for number, line in enumerate(lines):
                sizes, values = zip(*line.points, strict=True)
                axes.loglog(sizes, values, f"C{number}o-", label=line.name)
                linear = [values[0] * size / sizes[0] for size in sizes]
                axes.loglog(sizes, linear, f"C{number}:", alpha=0.7)
            axes.set(xlabel=sizes_are, ylabel="processor seconds", xticks=sizes)
            axes.set_xticklabels([f"{size:g}" for size in sizes])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(RUNS), frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None})


@command("experiments.growth")
def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and draw them if asked to."""
    parser = argparse.ArgumentParser(prog="python -m experiments.growth", description=__doc__)
    parser.add_argument("--write", metavar="DIR", help="write growth.svg there")
    options = parser.parse_args(arguments)
    images, tokens = [by_images(name) for name in RUNS], [by_tokens(name) for name in RUNS]
    cores = table([by_cores(split) for split in SPLITS], "cores")
    print(table(images, "images"), table(tokens, "tokens"), cores, sep="\n\n")
    if options.write:
        panels = [
            ("images of traces/cifar10.npz", images),
            ("tokens, one image of a small network", tokens),
        ]
        draw(Path(options.write, "growth.svg"), panels)


if __name__ == "__main__":
    sys.exit(main())
