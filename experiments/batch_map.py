"""Where does halting pay when images share the weights? Writes docs/batches.md and its table.

    python -m experiments.batch_map            # runs the machines, writes CSV, picture and page
    python -m experiments.batch_map --check    # 1 if the page is not what the CSV says

A run takes some ten minutes of one core. The prose is in experiments/templates/batches.md. STAS and
the network at T = 4 are the shipped traces; I-SPS is captured as they are (experiments.make_traces)
but with `--granularity none`, and kept in --work.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from simulator.architecture import load_architecture
from simulator.command import command
from simulator.config.staged_file import staged_file
from simulator.simulate import Simulation
from simulator.trace import Trace

ROOT = Path(__file__).parents[1]
TABLE, PAGE = ROOT / "docs/study/batches.csv", ROOT / "docs/batches.md"
PICTURE = ROOT / "docs/study/batches.png"
TEMPLATE = Path(__file__).parent / "templates/batches.md"
WORKLOADS = {"cifar10": 16, "mnist": 64}
"""How many images a run has at least; larger groups run the trace's images again."""
TOGETHER = (1, 2, 4, 8, 16, 32, 64)
WEIGHTS_KIB = (256, 1024, 4096, 8192)
MEMBRANES_KIB = (512, 8192)


class MapMachine(NamedTuple):
    """A machine whose buffers are set: sizes are sums over its cores."""

    cores: int
    buffers: str


MACHINES = {
    "sparse_pe": MapMachine(1, "cores.0.buffers"),
    "sparse_pe_mesh4": MapMachine(4, "cores.buffers"),
}


class MapArm(NamedTuple):
    """A network and the dataflow that it runs under."""

    network: str
    dataflow: str


STAS, ISPS, FULL = "STAS, serial", "I-SPS, tick-batched", "T = 4, tick-batched"
ARMS = {
    STAS: MapArm("stas", "timestep_serial"),
    "I-SPS, serial": MapArm("isps", "timestep_serial"),
    ISPS: MapArm("isps", "tick_batched"),
    "T = 4, serial": MapArm("baseline", "timestep_serial"),
    FULL: MapArm("baseline", "tick_batched"),
}


def measure(work: Path) -> pd.DataFrame:
    """Run every arm on every machine; a row a run, means over its images."""
    rows = []
    for name, workload in itertools.product(MACHINES, WORKLOADS):
        for title, arm in ARMS.items():
            with Trace.open(_trace(workload, arm.network, work)) as trace:
                for sizes in itertools.product(TOGETHER, WEIGHTS_KIB, MEMBRANES_KIB):
                    count = max(WORKLOADS[workload], sizes[0])
                    found = _run(trace, name, arm.dataflow, sizes, count)
                    rows.append((name, workload, title, *sizes, count, *found))
            print(name, workload, title, file=sys.stderr)
    columns = "machine workload arm images_together weights_kib membranes_kib images energy_uj"
    return pd.DataFrame(rows, columns=[*columns.split(), "cycles", "dram_kib"])


def _trace(workload: str, network: str, work: Path) -> Path:
    """A shipped trace, or that of I-SPS without halting, captured unless it was before."""
    if network != "isps":
        suffix = "_baseline" if network == "baseline" else ""
        return ROOT / "traces" / f"{workload}{suffix}.npz"
    path = work / f"{workload}_isps.npz"
    if not path.exists():
        from experiments.make_traces import options_of
        from models import capture

        work.mkdir(parents=True, exist_ok=True)
        options = options_of(workload, work, baseline=False)
        options.granularity, options.out = "none", path
        options.attention_order = "scores_first"  # as in the shipped traces
        print(capture.capture(options), file=sys.stderr)
    return path


def _run(
    trace: Trace, name: str, dataflow: str, sizes: tuple[int, int, int], count: int
) -> tuple[float, float, float]:
    """Return energy, cycles and DRAM traffic an image.

    `sizes`: images together, KiB of weights, KiB of membranes.
    """
    together, weights, membranes = sizes
    cores, buffers = MACHINES[name]
    machine = load_architecture(
        ROOT / f"arch_configs/{name}.yaml",
        [
            f"dataflow.kind={dataflow}",
            f"dataflow.images_together={together}",
            f"{buffers}.weights.size_kib={weights // cores}",
            f"{buffers}.membranes.size_kib={membranes // cores}",
            *TABLE_ALONE,
        ],
    )
    simulation = Simulation(trace, machine)
    step = max(together, 16)
    parts = []
    for first in range(0, count, step):
        index = np.arange(first, first + step)
        batch = trace.read_batch((index % trace.images).tolist())
        parts.append(simulation.tables(batch._replace(index=index))["images"])
    energy, cycles, moved, shared = (
        np.concatenate([columns[name] for columns in parts])
        for name in ("energy_pj", "latency_cycles", "dram_bytes", "images_together")
    )
    return (
        round(energy.mean() / 1e6, 2),
        round((cycles / shared).mean(), 1),
        round(moved.mean() / 1024, 1),
    )


TABLE_ALONE = (
    "technology.terms=[]",
    "technology.sram_cells=lstp_300k",
    "technology.dram_power=table",
)
"""The page asks what moves: bits at their price, nothing by the time."""


KEYS = ["membranes_kib", "weights_kib", "images_together"]
HEADER = """\
| membranes, KiB | weights, KiB | images together | STAS, µJ | I-SPS, µJ | T = 4, µJ | \
energy, STAS / I-SPS | STAS / T = 4 | time, STAS / I-SPS | STAS / T = 4 |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""
SUMMARY = """\
| machine | network | points | less energy than I-SPS | least of it, at | less than T = 4 | \
least of it, at | time of I-SPS's | time of T = 4's |
|---|---|---:|---:|---|---:|---|---|---|"""


def tables(data: pd.DataFrame) -> dict[str, str]:
    """The page's tables in markdown, by the name that the template gives them."""
    found, summary = {}, [SUMMARY]
    for name, workload in itertools.product(MACHINES, WORKLOADS):
        own = data[(data.machine == name) & (data.workload == workload)]
        energy, cycles = (
            own.pivot(index=KEYS, columns="arm", values=value) for value in ("energy_uj", "cycles")
        )
        of_energy, of_time = (
            {each: t[STAS] / t[each] for each in (ISPS, FULL)} for t in (energy, cycles)
        )
        lines = [HEADER]
        for key in energy.index:
            values = [f"{part:,}" for part in key]
            values += [f"{energy.loc[key, arm]:,.0f}" for arm in (STAS, ISPS, FULL)]
            values += [_marked(ratio[key]) for ratio in of_energy.values()]
            values += [f"{ratio[key]:.2f}" for ratio in of_time.values()]
            lines.append(f"| {' | '.join(values)} |")
        found[f"{name}_{workload}"] = "\n".join(lines)
        cells = [name, workload, str(len(energy))]
        for ratio in of_energy.values():
            cells += [str(int((ratio < 1).sum())), _least(ratio)]
        cells += [f"{ratio.min():.2f} to {ratio.max():.2f}" for ratio in of_time.values()]
        summary.append(f"| {' | '.join(cells)} |")
    return found | {"summary": "\n".join(summary)}


def _marked(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio < 1 else f"{ratio:.2f}"


def _least(ratio: pd.Series[float]) -> str:
    least: tuple[int, ...] = ratio.idxmin()  # type: ignore[assignment]
    membranes, weights, together = least
    return f"{ratio.min():.2f}: B = {together}, weights {weights:,}, membranes {membranes:,}"


def page(data: pd.DataFrame) -> str:
    """The page: the template with its tables."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in tables(data).items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def draw(data: pd.DataFrame) -> None:
    """A map a machine, workload and membrane buffer: energy of STAS over I-SPS tick-batched."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(17, 6.2), constrained_layout=True)
    panels = itertools.product(MACHINES, WORKLOADS, MEMBRANES_KIB)
    for axis, (name, workload, membranes) in zip(axes.flat, panels, strict=True):
        own = data[(data.machine == name) & (data.workload == workload)]
        own = own[own.membranes_kib == membranes]
        grid = own.pivot(
            index="weights_kib", columns=["arm", "images_together"], values="energy_uj"
        )
        ratio = grid[STAS] / grid[ISPS]
        shown = axis.imshow(np.log2(ratio), cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto")
        for (y, x), value in np.ndenumerate(ratio.to_numpy()):
            dark = "white" if value > 2 else "black"
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8, color=dark)
        axis.set_xticks(range(ratio.shape[1]), ratio.columns)
        axis.set_yticks(range(ratio.shape[0]), ratio.index)
        axis.set_title(f"{name}, {workload}, membranes {membranes} KiB", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("weight buffers, KiB")
    for axis in axes[-1]:
        axis.set_xlabel("images together")
    figure.colorbar(shown, ax=axes, label="log2 of energy, STAS / I-SPS tick-batched")
    figure.savefig(PICTURE, dpi=100)


@command("experiments.batch_map")
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the page with the CSV")
    parser.add_argument(
        "--work", type=Path, default=Path("build/batch_map"), help="where traces of I-SPS are kept"
    )
    options = parser.parse_args(arguments)
    if options.check:
        return int(PAGE.read_text(encoding="utf-8") != page(pd.read_csv(TABLE)))
    with staged_file(TABLE) as file:
        file.write(measure(options.work).to_csv(index=False).encode())
    data = pd.read_csv(TABLE)
    with staged_file(PAGE) as file:
        file.write(page(data).encode())
    draw(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
