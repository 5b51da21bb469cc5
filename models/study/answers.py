"""The page's opening: the answers in numbers, each with the command that makes its figures."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from models.study.hardware import DATAFLOWS, MACHINES
from models.study.numbers import Tables, change, crossing, one, percent, rows_of, signed, spread
from models.study.published import NETWORKS, Network

SERIAL, BATCHED = DATAFLOWS
TARGET_POINTS, TARGET_TOKENS = 0.5, 0.6
LEAST_GAIN = 0.01
TRAIN = "`python -m models.study --stages train simulate page --tasks {tasks}`"
PUBLISHED = "`python -m models.study --stages published page`"


def section(tables: Tables) -> str:
    """The answers that the tables at hand allow."""
    lines = ["## The answer\n"]
    if "arms" in tables:
        arms = tables["arms"]
        lines += [*target(arms), *controls(arms), *in_time(arms)]
    lines += arithmetic(tables["spikingformer"])
    if "published" in tables:
        costs, sweep = tables["published"], tables["sweep"]
        for network in NETWORKS:
            if network.name in set(costs.network):
                lines += saving(costs[costs.network == network.name], network)
        lines += [*check(sweep), *break_even(costs, sweep), *batching(costs)]
    return "\n".join(lines) + "\n"


def target(arms: pd.DataFrame) -> Iterator[str]:
    """Whether STAS keeps the baseline's accuracy with fewer tokens on MNIST-5k."""
    mnist = arms[arms.task == "mnist"]
    names = set(mnist.arm)
    if not {"baseline_t4", "two_dim"} <= names:
        return
    both = paired(mnist, "two_dim", "baseline_t4")
    difference = 100 * (both.test_top1_x - both.test_top1_y)
    tokens = both.active_tokens_x
    kept = difference.mean() >= -TARGET_POINTS and tokens.mean() <= TARGET_TOKENS
    yield (
        f"- **Accuracy.** On MNIST-5k, STAS (I-SPS B, two-dimensional halting) is {signed(difference)} points from "
        f"the baseline at T = 4, with {spread(tokens, 100)} % of its active tokens ({len(both)} seeds, "
        f"{int(both.test_images_x.iloc[0])} held-out digits). The target, within {TARGET_POINTS} points at no more than "
        f"{percent(TARGET_TOKENS)}, is {'met' if kept else 'missed'}. Made by {TRAIN.format(tasks='mnist')}."
    )


def controls(arms: pd.DataFrame) -> Iterator[str]:
    """What learned halting is worth against random tokens and against fewer timesteps."""
    for task, title in (("mnist", "MNIST-5k"), ("digits", "the digits")):
        of_task = arms[arms.task == task]
        parts = []
        for name, words in (
            ("random", "random tokens at its budget"),
            ("importance", "TP-Spikformer's score at its budget"),
            ("isps_early", "no halting at all"),
            ("baseline_t1", "one timestep"),
        ):
            both = paired(of_task, "two_dim", name)
            if len(both):
                difference = 100 * (both.test_top1_x - both.test_top1_y)
                parts.append(f"{signed(difference)} points against {words}")
        if parts:
            yield (
                f"- **Against controls.** On {title}, STAS's accuracy is {'; '.join(parts)} (mean over paired seeds, "
                f"± their standard deviation). Made by {TRAIN.format(tasks=task)}."
            )


def in_time(arms: pd.DataFrame) -> Iterator[str]:
    """What I-SPS does to inputs that change from timestep to timestep."""
    for task, words in (
        ("rows", "Digits shown a band of rows at a time"),
        ("order", "Which of two digits came first, which a plain sum over time must guess"),
    ):
        of_task = arms[arms.task == task]
        parts = [
            f"{title} {spread(group.test_top1, 100)} %"
            for name, title in (
                ("baseline_t4", "without I-SPS"),
                ("isps_late_sum", "form A"),
                ("isps_early", "form B"),
                ("isps_single", "form C"),
            )
            if len(group := of_task[of_task.arm == name])
        ]
        if parts:
            yield (
                f"- **Inputs that change in time.** {words}: {', '.join(parts)} right, no token halting. "
                f"Made by {TRAIN.format(tasks=task)}."
            )


def arithmetic(savings: pd.DataFrame) -> Iterator[str]:
    """I-SPS alone, by the field's count from published rates."""
    names = " / ".join(name.split("_imagenet")[0].replace("_", "-") for name in savings.network)
    listed = {
        column: " / ".join(percent(value, 1) for value in savings[column])
        for column in ("of_convolutions", "early_as_acs", "early_as_macs")
    }
    yield (
        f"- **I-SPS alone, by the field's count.** Running the patch splitting once saves {listed['of_convolutions']} of the "
        f"convolution energy that {names} publish, with no halting: more than the 30.1 % that STAS claims on ImageNet. "
        "That holds where every layer of the patch splitting still reads spikes (form C). Early "
        f"integration (B) hands the second convolution a graded map: {listed['early_as_acs']} are left if its values count "
        f"as ACs, and {listed['early_as_macs']} if they count as MACs. Made by {PUBLISHED}, from rates alone."
    )


def saving(costs: pd.DataFrame, network: Network) -> Iterator[str]:
    """How a saving divides between I-SPS and halting on every machine."""
    parts = []
    for machine in MACHINES:
        found = {
            arm: one(costs, arm=arm, machine=machine, dataflow=SERIAL)
            for arm in ("baseline", "isps", "stas")
        }
        shares = []
        for column, word in (("latency_cycles", "time"), ("energy_pj", "energy")):
            base, isps, stas = (getattr(found[arm], column) for arm in ("baseline", "isps", "stas"))
            alone, added = change(isps, base), change(stas, isps, base)
            shares.append(f"{word} {change(stas, base)} (I-SPS alone {alone}, halting {added})")
        parts.append(f"{machine}: {', '.join(shares)}")
    yield (
        f"- **Where the saving comes from: {network.title}**, calibrated, run timestep by timestep, against the baseline's: {'; '.join(parts)}. Made by {PUBLISHED}."
    )


def check(sweep: pd.DataFrame) -> Iterator[str]:
    """What the serial check costs when nobody halts."""
    whole = sweep[sweep.share == 1.0]
    parts = []
    for network in NETWORKS:
        rows = whole[whole.network == network.name]
        if len(rows):
            listed = ", ".join(
                f"{row.latency_cycles - row.latency_cycles / row.latency_cycles_ratio:.0f} cycles "
                f"({percent(row.latency_cycles_ratio - 1, 2)}) on {row.machine}"
                for row in rows_of(rows)
            )
            parts.append(f"{network.title}: {listed}")
    if parts:
        yield (
            "- **The serial check** of A-SSA, with all tokens kept so that it is paid and saves nothing, adds an image: "
            f"{'; '.join(parts)}. Made by {PUBLISHED}."
        )


def break_even(costs: pd.DataFrame, sweep: pd.DataFrame) -> Iterator[str]:
    """At which share of active tokens halting pays, against both ways to run without it."""
    for network in NETWORKS:
        of_network = sweep[sweep.network == network.name]
        if not len(of_network):
            continue
        parts = []
        for machine in MACHINES:
            line = of_network[of_network.machine == machine]
            told = []
            for dataflow in (SERIAL, BATCHED):
                still = one(
                    costs, network=network.name, arm="isps", machine=machine, dataflow=dataflow
                )
                for column, word in (("latency_cycles", "time"), ("energy_pj", "energy")):
                    found = crossing(line, column, (1.0 - LEAST_GAIN) * getattr(still, column))
                    told.append(f"{word} {'never' if found is None else 'under ' + percent(found)}")
            parts.append(
                f"{machine}: {told[0]}, {told[1]}; against tick-batching {told[2]}, {told[3]}"
            )
        yield (
            f"- **When halting pays, {network.title}.** Below which share of active tokens it saves at least {percent(LEAST_GAIN)} over I-SPS "
            f"without halting, run timestep by timestep, and over the same tick-batched: {'. '.join(parts)}. "
            f"Looked at from {percent(of_network.active_tokens.min())} on. Made by {PUBLISHED}."
        )


def batching(costs: pd.DataFrame) -> Iterator[str]:
    """What temporal halting gives up: running all timesteps on one weight fetch."""
    parts = []
    for network in NETWORKS:
        rows = costs[(costs.network == network.name) & (costs.machine == "sparse_pe")]
        if not len(rows):
            continue
        stas = one(rows, arm="stas", dataflow=SERIAL)
        isps = one(rows, arm="isps", dataflow=BATCHED)
        parts.append(
            f"{network.title}: time x {isps.latency_cycles / stas.latency_cycles:.2f}, energy x "
            f"{isps.energy_pj / stas.energy_pj:.2f}"
        )
    if parts:
        yield (
            "- **What halting in time gives up.** Who runs at t + 1 is known only after t, so a machine cannot fetch weights "
            "once for all timesteps. On sparse_pe, I-SPS without halting but tick-batched takes, of STAS: "
            f"{'; '.join(parts)}. Made by {PUBLISHED}."
        )


def paired(arms: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The seeds that two arms share, columns of the first _x, of the second _y."""
    return arms[arms.arm == first].merge(arms[arms.arm == second], on="seed")
