"""The page's sections after its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from experiments import batch_map
from experiments.study import stream
from experiments.study.answers import PUBLISHED, TRAIN
from experiments.study.arms import BY_NAME, TASKS, Task
from experiments.study.hardware import MACHINES
from experiments.study.numbers import (
    Tables,
    fastest,
    grid,
    has_always_on,
    one,
    percent,
    priced,
    rows_of,
    spread,
)
from experiments.study.published import ARMS, PublishedNetwork
from models.training.recipe import FOLDER, load_recipe
from simulator.results.units import ENERGY

ACS, MACS = "integers_as_acs", "integers_as_macs"
PRICES = """## Prices

Energies that this page says to be *at the prices of 0.1.0* were made with that version: counted actions at the energy table, no
wires, no clock, no standby of DRAM. The commands price by [today's defaults](../simulator/energy/README.md#what-is-priced-by-default),
as all other energies here: what is always on is paid by the time, and is most of the energy on these machines
([README](../README.md#three-machines-with-and-without-stas)), so that the order of two arms can turn. With
`--set technology.terms=[]`, `--set technology.sram_cells=lstp_300k` and `--set technology.dram_power=table` a run prints those of
0.1.0. Beside them two more figures are by the rules of 0.1.0: utilization, which counted set bits for additions (it differs on
dense_pe), and the field's energies of arms that halt, which are a few percent lower today. Cycles, times and accuracies are unchanged.
"""


def prices(tables: Tables) -> list[str]:
    """Return the section on prices, where a table is from before today's."""
    costs = [tables[name] for name in ("machines", "published", "sweep") if name in tables]
    return [PRICES] if not all(has_always_on(each) for each in costs) else []


def trained(tables: Tables, task: Task, folder: str) -> str:
    """A task's tables: the accuracy and counts of the arms, and what they cost."""
    arms, counts, machines = (
        table[table.task == task.name]
        for table in (tables["arms"], tables["counts"], tables["machines"])
    )
    names = [name for name in BY_NAME if name in set(arms.arm)]
    return "\n".join(
        [
            f"## {task.title[0].upper()}{task.title[1:]}\n",
            f"Recipe `models/recipes/{task.recipe}.yaml`: {training_phases(task)}; mean over seeds ± standard deviation. Energy is the field's "
            "(4.6 pJ a MAC, 0.9 pJ an AC) under both conventions for integer inputs; its MACs and ACs are those of "
            "`integers_as_acs`. A-SSA's own MACs, which the field leaves out, are in the last column but not in its "
            "energy. Similarity: cosine of the second block's input at consecutive timesteps.\n",
            grid(
                (
                    "arm",
                    "seeds",
                    "accuracy %",
                    "active tokens %",
                    "similarity",
                    "k ACs SPS",
                    "k ACs blocks",
                    "k MACs SPS",
                    "k MACs halting",
                    "µJ, as ACs",
                    "µJ, as MACs",
                ),
                [accuracy_row(name, arms, counts) for name in names],
            ),
            stream.section(tables, folder)
            if task.name == stream.TASK
            else on_machines(names, machines, folder),
            f"Made by {TRAIN.format(tasks=task.name)}.\n",
        ]
    )


def on_machines(names: Sequence[str], machines: pd.DataFrame, folder: str) -> str:
    """What the arms cost on every machine."""
    return "\n".join(
        [
            f"On simulated machines, each under its faster dataflow (b: tick-batched, else timestep by timestep); all of "
            f"them in [machines.csv]({folder}/machines.csv). {fetching(machines)} of the energy of networks this small goes "
            f"into fetching from DRAM: compare arms, not machines. {priced(machines)}\n",
            grid(
                (
                    "arm",
                    *(f"{machine}: k cycles" for machine in MACHINES),
                    *("utilization" for _ in MACHINES),
                    *("µJ" for _ in MACHINES),
                    "check stalls % (sparse_pe)",
                ),
                [cost(name, machines) for name in names if name in set(machines.arm)],
            ),
        ]
    )


def training_phases(task: Task) -> str:
    """The size of a task's networks and how long they are trained."""
    recipe = load_recipe(FOLDER / f"{task.recipe}.yaml")
    assert recipe.static is not None
    assert recipe.halting is not None
    size = recipe.network.name.removeprefix("stas_").removeprefix("spikformer_").replace("_", "-")
    return (
        f"Spikformers {size}, {recipe.static.epochs} epochs, halting arms {recipe.halting.epochs} "
        "more from their static network's weights"
    )


def accuracy_row(name: str, arms: pd.DataFrame, counts: pd.DataFrame) -> list[str]:
    """An arm's accuracy and counts."""
    of_arm, counted = arms[arms.arm == name], counts[counts.arm == name]

    def total(stages: Sequence[str], convention: str, column: str) -> float:
        chosen = counted[counted.stage.isin(stages) & (counted.convention == convention)]
        return float(chosen.groupby("seed")[column].sum().mean()) if len(chosen) else 0.0

    field = ("sps", "blocks", "head")
    counts_found = [
        f"{total(['sps'], ACS, 'acs') / 1e3:.0f}",
        f"{total(['blocks'], ACS, 'acs') / 1e3:.0f}",
        f"{total(['sps'], ACS, 'macs') / 1e3:.0f}",
        f"{total(['halting'], ACS, 'macs') / 1e3:.1f}",
        f"{total(field, ACS, 'energy_pj') / 1e6:.2f}",
        f"{total(field, MACS, 'energy_pj') / 1e6:.2f}",
    ]
    return [
        BY_NAME[name].title,
        str(len(of_arm)),
        spread(of_arm.test_top1, 100),
        spread(of_arm.active_tokens, 100),
        similarity(BY_NAME[name].timesteps, of_arm),
        *(counts_found if len(counted) else [""] * len(counts_found)),
    ]


def similarity(timesteps: int, of_arm: pd.DataFrame) -> str:
    """The similarity of the second block's inputs in time; none of one timestep, or unmeasured."""
    values = of_arm.similarity_block_1
    return f"{values.mean():.2f}" if timesteps > 1 and values.notna().any() else ""


def fetching(machines: pd.DataFrame) -> str:
    """The share of energy that DRAM takes, from the least to the most of all rows."""
    share = machines.dram_pj / machines.energy_pj
    return f"{percent(share.min())} to {percent(share.max())}"


def cost(name: str, machines: pd.DataFrame) -> list[str]:
    """An arm's costs on every machine."""
    of_arm = machines[machines.arm == name]
    cycles, used, energy = [], [], []
    for machine in MACHINES:
        rows = fastest(of_arm[of_arm.machine == machine], ["seed"])
        mark = " b" if (rows.dataflow == "tick_batched").all() else ""
        cycles.append(spread(rows.latency_cycles, 1e-3) + mark)
        used.append(f"{rows.utilization.mean():.3f}")
        energy.append(spread(rows.energy_pj, 1e-6))
    serial = of_arm[(of_arm.machine == MACHINES[-1]) & (of_arm.dataflow == "timestep_serial")]
    stalls = (serial.halting_stall_cycles / serial.latency_cycles).mean()
    return [BY_NAME[name].title, *cycles, *used, *energy, f"{100 * stalls:.1f}"]


def active(folder: str) -> str:
    """The figures of all tasks."""
    return "\n".join(
        [
            "## Where tokens halt\n",
            f"![accuracy over active tokens]({folder}/accuracy.png)\n",
            f"![active tokens by block and timestep]({folder}/profiles.png)\n",
            f"Active tokens of STAS by block and timestep, mean over seeds and held-out images; every arm's are in "
            f"[profiles.csv]({folder}/profiles.csv).\n",
        ]
    )


def published(tables: Tables, networks: Sequence[PublishedNetwork], folder: str) -> str:
    """The calibrated networks: what I-SPS saves, what halting adds."""
    costs, counts = tables["published"], tables["published_counts"]
    rows = []
    for network in networks:
        for arm, title in ARMS.items():
            of_arm = costs[(costs.network == network.name) & (costs.arm == arm)]
            counted = counts[(counts.network == network.name) & (counts.arm == arm)]
            energy = ENERGY.of(counted.groupby("convention").energy_pj.sum())
            for dataflow in of_arm.dataflow.unique():
                found = [one(of_arm, machine=each, dataflow=dataflow) for each in MACHINES]
                rows.append(
                    [
                        network.title,
                        title,
                        dataflow,
                        percent(found[0].active_tokens),
                        *(
                            f"{each.latency_ms:.2f}{over_images(each.latency_reach_ms, 2)}"
                            for each in found
                        ),
                        *(f"{each.utilization:.3f}" for each in found),
                        *(
                            f"{ENERGY.of(each.energy_pj):,.0f}"
                            f"{over_images(ENERGY.of(each.energy_reach_pj))}"
                            for each in found
                        ),
                        f"{energy[ACS]:,.0f}",
                        f"{energy[MACS]:,.0f}",
                    ]
                )
    head = (
        "network",
        "arm",
        "dataflow",
        "active tokens",
        *(f"{machine}: ms" for machine in MACHINES),
        *("utilization" for _ in MACHINES),
        *(ENERGY.symbol for _ in MACHINES),
        "field µJ, as ACs",
        "as MACs",
    )
    return "\n".join(
        [
            "## Published sizes at published rates\n",
            "Spikformers whose batch-norms are fitted so that firing rates meet published ones, each arm by itself; "
            f"CIFAR-10: 4 pictures, ± half of Student's 95 % interval over them; ImageNet: 1 picture, so none. There is no accuracy. "
            f"{priced(costs)}\n",
            grid(head, rows),
            f"![latency and energy over active tokens]({folder}/break_even.png)\n",
            "Halting imposed at random on I-SPS's trace, with A-SSA's check; relative to the same network without halting, "
            f"timestep by timestep ([sweep.csv]({folder}/sweep.csv)). {priced(costs)} Made by {PUBLISHED}.\n",
        ]
    )


def over_images(reach: float, digits: int = 0) -> str:
    """How far the mean over images reaches, where there were several."""
    return "" if math.isnan(reach) else f" ± {reach:,.{digits}f}"


def arithmetic(savings: pd.DataFrame) -> str:
    """I-SPS by arithmetic from Spikingformer's rates."""
    rows = [
        [
            row.network,
            f"{1e3 * row.energy_mj:,.1f}",
            percent(row.sps_share, 1),
            percent(row.of_convolutions, 1),
            percent(row.of_everything, 1),
            percent(row.early_as_acs, 1),
            percent(row.early_as_macs, 1),
        ]
        for row in rows_of(savings)
    ]
    head = (
        "network",
        ENERGY.symbol,
        "SPS's share of convolutions",
        "saved of convolutions",
        "of everything",
        "early integration, graded map as ACs",
        "as MACs",
    )
    return "\n".join(
        [
            "## I-SPS alone, from Spikingformer's published rates\n",
            "The patch splitting once instead of T = 4 times, everything else as it was. Of the graded map a value is taken "
            "to be zero as often as four independent spikes are. A negative saving is a loss.\n",
            grid(head, rows),
        ]
    )


def together(batches: pd.DataFrame, folder: str) -> str:
    """Where halting pays when images share the weights; `batches`: the batch map's table."""
    return "\n".join(
        [
            "## Where halting pays when images share weights\n",
            "STAS against I-SPS without halting and against T = 4, both tick-batched: B = 1 to 64 images together, weight buffers of "
            "256 KiB to 8 MiB, membranes of 512 KiB and 8 MiB, on one core and on four of a mesh. Energy is the table's alone, DRAM by the bit. "
            "Below 1 (blue) halting pays; all points are in [the map](batches.md), made by `python -m experiments.batch_map`.\n",
            f"![energy of STAS over that of I-SPS tick-batched, by weight buffers and images together]({folder}/batches.png)\n",
            batch_map.tables(batches)["summary"] + "\n",
        ]
    )


def hours(arms: pd.DataFrame) -> str:
    """How long training took, by task."""
    each = arms.groupby("task", sort=False).train_seconds.sum() / 3600
    listed = ", ".join(f"{task} {value:.1f}" for task, value in each.items())
    return f": training took {each.sum():.1f} hours of one core's time ({listed})"


def not_run(tables: Tables) -> list[str]:
    """Name the arms of each task of which the tables hold no run."""
    if "arms" not in tables:
        return []
    run = set(zip(tables["arms"].task, tables["arms"].arm, strict=True))
    without = {
        task.name: ", ".join(f"`{arm}`" for arm in task.arms if (task.name, arm) not in run)
        for task in TASKS
    }
    listed = "; ".join(f"{task}: {names}" for task, names in without.items() if names)
    return (
        [f"- Arms that the study has, without a run in these tables: {listed}."] if listed else []
    )


def made(tables: Tables, folder: str) -> str:
    """How far the figures carry, and how to make them again."""
    lines = [
        "## How far this carries\n",
        "- The trained networks have 2 blocks and are sized for two cores, not for accuracy"
        f"{hours(tables['arms']) if 'arms' in tables else ''}. With 2 blocks, `block` halting can skip one block only.",
        "- Halting arms, random tokens and TP-Spikformer's score among them, are fine-tuned from their static network, so they "
        "have seen more epochs than the static arms; [the joint design](joint.md) has static ones trained as long.",
        *not_run(tables),
        "- Random tokens and TP-Spikformer's score keep STAS's share of tokens at every step, measured on training images; "
        "tokens are whole, so their mean differs a little. Their head sees each token's last output, A-SSA's a mean field; "
        "the arm *the same, head sees last output* tells how much that is.",
        "- The digits' recipes were changed after looks at held-out images: halting (epochs, ponder weight) once by seed 0, and "
        "the epochs were raised, from 12 and 8, when a first study's networks turned out undertrained (STAS was at 89 % on the "
        "still digits). MNIST's recipe is that of the shipped weights, as it was before the study; it had been chosen by seed 0.",
        "- DT-SNN's threshold is the highest that costs at most 0.2 points on 500 training images.",
        "- Accuracy on held-out images: a seed's own standard error is 0.4 points on MNIST's 1,000, a point on the 355 digits. "
        "No images are left to choose an epoch by, so the last one is taken.",
        "- Machines see 16 held-out images an arm and seed (4 and 1 for the calibrated networks), one at a time.",
        "- Imposed masks leave the spikes of live rows as they were; in a network, fewer keys and values would make them "
        "fewer.",
        "- A-SSA's check is charged as the machine's vector unit computes it; its published form is not public.",
        "",
        "## How to make it again\n",
        "`python -m experiments.study` does everything, keeps what is done and goes on where it was stopped; `--quick` shows in "
        "minutes that it works. The tables have what lies in the work folder: to make a part alone and keep this page, give "
        f"`--out` and `--page`. Tables: {', '.join(f'[{name}.csv]({folder}/{name}.csv)' for name in sorted(tables))}.",
    ]
    return "\n".join(lines) + "\n"
