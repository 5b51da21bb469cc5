"""python -m experiments.task_networks: the shipped networks of composed tasks, with and without
halting, on one machine (docs/tasks.md).
"""

from __future__ import annotations

import sys

from experiments.generated import ROOT, command, line, markdown, run_case
from experiments.make_traces import RECIPES
from models.data.composites import TASKS
from simulator.results.units import ENERGY
from simulator.trace import Trace

MACHINE = "sparse_pe"
WHO = {
    "entropy_exit": "images, entropy under {entropy}",
    "token_importance": "half of the tokens, after the first block",
}
HEADER = (
    "| task | network | T | accuracy | who halts | accuracy, halting | active tokens | images | µs "
    "| µs, halting | µJ | µJ, halting |"
)


def row(task: str) -> str:
    """One line: accuracy over the held-out images, costs over those of the trace."""
    twin, halting = f"{task}_baseline", task
    manifests = {}
    for name in (twin, halting):
        with Trace.open(ROOT / f"traces/{name}.npz") as trace:
            manifests[name] = trace.manifest
    model = manifests[halting]["model"]
    accuracy = {name: each["weights"]["accuracy"] for name, each in manifests.items()}
    costs = {name: run_case(MACHINE, name).tables["images"] for name in manifests}
    return line(
        [
            f"`{task}`",
            model["name"].replace("_", "-"),
            str(model["timesteps"]),
            f"{100 * accuracy[twin]['test_top1']:.1f} %",
            WHO[model["halting"]["policy"]].format(**model["halting"]),
            f"{100 * accuracy[halting]['test_top1']:.1f} %",
            f"{100 * accuracy[halting]['active_tokens']:.0f} %",
            str(len(costs[halting])),
            *(f"{1e3 * costs[name].latency_ms.mean():.1f}" for name in manifests),
            *(f"{ENERGY.of(costs[name].energy_pj.mean()):.1f}" for name in manifests),
        ]
    )


def table() -> str:
    """The table of all composed tasks."""
    return markdown(HEADER, [row(task) for task in RECIPES if task in TASKS])


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it into the page."""
    return command(
        "experiments.task_networks",
        __doc__ or "",
        "docs/tasks.md",
        lambda: {"networks": table()},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
