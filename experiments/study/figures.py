"""The study's figures, drawn from its tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.arms import BY_NAME, TASKS
from experiments.study.hardware import MACHINES
from experiments.study.published import NETWORKS
from experiments.study.tables import FIGURES, write_files

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw(out: Path) -> list[str]:
    """Draw every figure whose table has been made; their file names."""
    drawn = {}
    needed = {"arms.csv": accuracy, "profiles.csv": profiles, "sweep.csv": break_even}
    for name, (needs, maker) in zip(FIGURES, needed.items(), strict=True):
        if (out / needs).exists():
            drawn[name] = packed(maker(pd.read_csv(out / needs)))
    write_files(out, drawn)
    return [*drawn]


def accuracy(arms: pd.DataFrame) -> Any:
    """Accuracy over active tokens: a panel a task, a point an arm, bars from least to most."""
    tasks = [task for task in TASKS if task.name in set(arms.task)]
    figure = blank(3.4 * len(tasks), 4.0)
    shown: dict[str, Any] = {}
    for axes, task in zip(panels(figure, len(tasks)), tasks, strict=True):
        of_task = arms[arms.task == task.name]
        for name, group in of_task.groupby("arm", sort=False):
            top1, tokens = 100 * group.test_top1, 100 * group.active_tokens.mean()
            middle = top1.mean()
            reach = [[middle - top1.min()], [top1.max() - middle]]
            place = list(BY_NAME).index(str(name))
            title = BY_NAME[str(name)].title
            shown[title] = axes.errorbar(
                tokens,
                middle,
                yerr=reach,
                fmt="ospDv^X<>PhdH8"[place % 14],
                color=COLOURS[place % len(COLOURS)],
                markersize=5,
                markerfacecolor="none" if tokens > 99.0 else None,
            )
        axes.set_title(task.title, fontsize=9)
        axes.set_xlabel("active tokens, %")
        axes.set_ylabel("accuracy, %")
    figure.legend(
        list(shown.values()), list(shown), loc="outside lower center", ncols=5, frameon=False
    )
    return figure


def profiles(table: pd.DataFrame) -> Any:
    """Active tokens of STAS by block and timestep, a panel a task."""
    chosen = table[table.arm == "two_dim"]
    tasks = [task for task in TASKS if task.name in set(chosen.task)]
    figure = blank(2.8 * len(tasks), 2.4)
    for axes, task in zip(panels(figure, len(tasks)), tasks, strict=True):
        of_task = chosen[chosen.task == task.name]
        grid = of_task.pivot_table(index="block", columns="timestep", values="active_tokens")
        axes.imshow(grid.to_numpy(), vmin=0.0, vmax=1.0, cmap="cividis", aspect="auto")
        for block, row in enumerate(grid.to_numpy()):
            for timestep, share in enumerate(row):
                ink = "black" if share > 0.5 else "white"
                axes.text(timestep, block, f"{share:.2f}", ha="center", va="center", color=ink)
        axes.set_title(task.title, fontsize=8)
        axes.set_xlabel("timestep")
        axes.set_ylabel("block")
        axes.set_xticks(range(grid.shape[1]))
        axes.set_yticks(range(grid.shape[0]))
    return figure


def break_even(sweep: pd.DataFrame) -> Any:
    """Latency and energy over the share of active tokens, relative to the same without halting."""
    networks = [each for each in NETWORKS if each.name in set(sweep.network)]
    figure = blank(4.2 * len(networks), 3.2)
    for axes, network in zip(panels(figure, len(networks)), networks, strict=True):
        of_network = sweep[sweep.network == network.name]
        for place, machine in enumerate(MACHINES):
            line = of_network[of_network.machine == machine].sort_values("active_tokens")
            for column, style in (("latency_cycles", "-"), ("energy_pj", ":")):
                axes.plot(
                    100 * line.active_tokens,
                    line[f"{column}_ratio"],
                    style,
                    marker=".",
                    color=COLOURS[place],
                    label=f"{machine}, {column.partition('_')[0]}",
                )
        axes.axhline(1.0, color="0.6", linewidth=0.8)
        axes.set_title(network.title, fontsize=9)
        axes.set_xlabel("active tokens, %")
        axes.set_ylabel("relative to no halting")
        axes.legend(fontsize=6, frameon=False)
    return figure


def blank(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(figure: Any, count: int) -> Any:
    """`count` axes side by side."""
    return figure.subplots(1, count, squeeze=False)[0]


def packed(figure: Any) -> bytes:
    """A figure as PNG; without the versions of what drew it."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
