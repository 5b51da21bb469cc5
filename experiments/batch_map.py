"""Where does halting pay when images share the weights? Writes docs/batches.md and its table.

    python -m experiments.batch_map            # runs the machines, writes CSV, picture and page
    python -m experiments.batch_map --check    # 1 if the page is not what the CSV says

The prose is in experiments/templates/batches.md.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

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
TOGETHER = (1, 2, 4, 8, 16, 32, 64)
WEIGHTS_KIB = (256, 1024, 4096, 8192)
MEMBRANES_KIB = (512, 8192)
ARMS = {
    "STAS, serial": ("{}", "timestep_serial"),
    "T = 4, serial": ("{}_baseline", "timestep_serial"),
    "T = 4, tick-batched": ("{}_baseline", "tick_batched"),
}


def measure() -> pd.DataFrame:
    """Run every arm on every machine; a row a run, means over its images."""
    rows = []
    for workload, images in WORKLOADS.items():
        for arm, (name, dataflow) in ARMS.items():
            with Trace.open(ROOT / "traces" / f"{name.format(workload)}.npz") as trace:
                for together, weights, membranes in itertools.product(
                    TOGETHER, WEIGHTS_KIB, MEMBRANES_KIB
                ):
                    count = min(images, trace.images)
                    if together <= count:
                        found = _run(trace, dataflow, together, weights, membranes, count)
                        rows.append((workload, arm, together, weights, membranes, count, *found))
            print(workload, arm, file=sys.stderr)
    columns = "workload arm images_together weights_kib membranes_kib images energy_uj cycles"
    return pd.DataFrame(rows, columns=[*columns.split(), "dram_kib"])


def _run(
    trace: Trace, dataflow: str, together: int, weights: int, membranes: int, images: int
) -> tuple[float, float, float]:
    """Return energy, cycles and DRAM traffic an image."""
    machine = load_architecture(
        ROOT / "arch_configs/sparse_pe.yaml",
        [
            f"dataflow.kind={dataflow}",
            f"dataflow.images_together={together}",
            f"cores.0.buffers.weights.size_kib={weights}",
            f"cores.0.buffers.membranes.size_kib={membranes}",
            *TABLE_ALONE,
        ],
    )
    table = Simulation(trace, machine).run(range(images)).tables["images"]
    cycles = (table["latency_cycles"] / table["images_together"]).mean()
    return (
        round(table["energy_pj"].mean() / 1e6, 2),
        round(cycles, 1),
        round(table["dram_bytes"].mean() / 1024, 1),
    )


TABLE_ALONE = (
    "technology.terms=[]",
    "technology.sram_cells=lstp_300k",
    "technology.dram_power=table",
)
"""The page asks what moves: bits at their price, nothing by the time."""


def tables(data: pd.DataFrame) -> dict[str, str]:
    """The page's tables in markdown, by the name that the template gives them."""
    found = {}
    for workload in WORKLOADS:
        own = data[data.workload == workload]
        keys = ["membranes_kib", "weights_kib", "images_together"]
        energy = own.pivot(index=keys, columns="arm", values="energy_uj")[list(ARMS)]
        cycles = own.pivot(index=keys, columns="arm", values="cycles")[list(ARMS)]
        ratio = energy["STAS, serial"] / energy["T = 4, tick-batched"]
        lines = [
            "| membranes, KiB | weights, KiB | images together | STAS, µJ | T = 4 serial, µJ | "
            "T = 4 tick-batched, µJ | energy, STAS / tick-batched | time, STAS / tick-batched |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for key in energy.index:
            e, c = energy.loc[key], cycles.loc[key]
            time = c["STAS, serial"] / c["T = 4, tick-batched"]
            values = " | ".join(f"{e[arm]:,.0f}" for arm in ARMS)
            places = " | ".join(f"{part:,}" for part in key)
            mark = "**" if ratio[key] < 1 else ""
            lines.append(f"| {places} | {values} | {mark}{ratio[key]:.2f}{mark} | {time:.2f} |")
        found[workload] = "\n".join(lines)
        found[f"{workload}_images"] = str(int(own["images"].max()))
        found[f"{workload}_least"] = f"{ratio.min():.2f}"
        found[f"{workload}_most"] = f"{ratio.max():.2f}"
        found[f"{workload}_pays"] = f"{int((ratio < 1).sum())} of {len(ratio)}"
    return found


def page(data: pd.DataFrame) -> str:
    """The page: the template with its tables."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in tables(data).items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def draw(data: pd.DataFrame) -> None:
    """A map a workload and membrane buffer: energy of STAS over tick-batched T = 4."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.4), constrained_layout=True)
    panels = itertools.product(WORKLOADS, MEMBRANES_KIB)
    for axis, (workload, membranes) in zip(axes, panels, strict=True):
        own = data[(data.workload == workload) & (data.membranes_kib == membranes)]
        grid = own.pivot(
            index="weights_kib", columns=["arm", "images_together"], values="energy_uj"
        )
        ratio = grid["STAS, serial"] / grid["T = 4, tick-batched"]
        shown = axis.imshow(np.log2(ratio), cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto")
        for (y, x), value in np.ndenumerate(ratio.to_numpy()):
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8)
        axis.set_xticks(range(ratio.shape[1]), ratio.columns)
        axis.set_yticks(range(ratio.shape[0]), ratio.index)
        axis.set_xlabel("images together")
        axis.set_title(f"{workload}, membranes {membranes} KiB", fontsize=10)
    axes[0].set_ylabel("weight buffer, KiB")
    figure.colorbar(shown, ax=axes, label="log2 of energy, STAS / T = 4 tick-batched")
    figure.savefig(PICTURE, dpi=110)


@command("experiments.batch_map")
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the page with the CSV")
    if parser.parse_args(arguments).check:
        return int(PAGE.read_text(encoding="utf-8") != page(pd.read_csv(TABLE)))
    with staged_file(TABLE) as file:
        file.write(measure().to_csv(index=False).encode())
    data = pd.read_csv(TABLE)
    with staged_file(PAGE) as file:
        file.write(page(data).encode())
    draw(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
