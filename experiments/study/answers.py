"""The page's opening: the answers in numbers, each with the command that makes its figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from experiments.study import gap, stream
from experiments.study.hardware import DATAFLOWS, MACHINES
from experiments.study.numbers import (
    ALWAYS_ON,
    Tables,
    change,
    crossing,
    fastest,
    grid,
    has_always_on,
    interval,
    one,
    paired,
    percent,
    priced,
    signed,
    spread,
)
from experiments.study.published import NETWORKS

SERIAL, BATCHED = DATAFLOWS
TARGET_POINTS, TARGET_TOKENS = 0.5, 0.6
LEAST_GAIN = 0.01
# Arms of the trained networks that play the parts of the calibrated ones.
SAVING = {"baseline_t4": "baseline", "isps_early": "isps", "two_dim": "stas"}
TRAIN = "`python -m experiments.study --stages train simulate page --tasks {tasks}`"
PUBLISHED = "`python -m experiments.study --stages published page`"


def section(tables: Tables) -> str:
    """The answers that the tables at hand allow."""
    lines, savings = ["## The answer\n"], []
    arms, machines = tables.get("arms"), tables.get("machines")
    costs, sweep = tables.get("published"), tables.get("sweep")
    if arms is not None:
        lines += [
            *one_timestep(arms, machines),
            *target(arms),
            *controls(arms),
            *stream.answers(tables),
            *gap.gap_sentences(arms),
        ]
        lines += in_time(arms)
    lines += arithmetic(tables["spikingformer"])
    if machines is not None and (trained := trained_costs(machines)) is not None:
        savings.append(("MNIST-5k, trained", trained))
    if costs is not None:
        found = {network.title: costs[costs.network == network.name] for network in NETWORKS}
        savings += [(f"{title}, calibrated", rows) for title, rows in found.items() if len(rows)]
    lines += batching(savings)
    if savings:
        lines += ["", saving(savings)]
    if costs is not None and sweep is not None:
        lines += [break_even(costs, sweep)]
    return "\n".join(lines)


def one_timestep(arms: pd.DataFrame, machines: pd.DataFrame | None) -> Iterator[str]:
    """What a network of a single timestep does without any halting: the first control to name."""
    for task, title in (("mnist", "MNIST-5k"), ("digits", "the digits")):
        both = paired(arms[arms.task == task], "baseline_t1", "two_dim")
        if machines is None or not len(both):
            continue
        costs = fastest(
            machines[(machines.task == task) & (machines.machine == "sparse_pe")], ["arm", "seed"]
        )
        means = costs.groupby("arm")[["latency_cycles", "energy_pj"]].mean().to_dict("index")
        if not {"baseline_t1", "two_dim"} <= set(means):
            continue
        time, energy = (
            percent(means["baseline_t1"][each] / means["two_dim"][each])
            for each in ("latency_cycles", "energy_pj")
        )
        difference = 100 * (both.test_top1_x - both.test_top1_y)
        yield (
            f"- **One timestep first.** On {title}, the network with T = 1 and no halting is {signed(difference)} points "
            f"from STAS at {time} of its time and {energy} of its energy on "
            f"sparse_pe ({len(both)} seeds): a still picture asks for no timesteps, so halting in time has nothing to win "
            f"here. {priced(costs)} Made by {TRAIN.format(tasks=task)}."
        )


def target(arms: pd.DataFrame) -> Iterator[str]:
    """Whether STAS keeps the baseline's accuracy with fewer tokens on MNIST-5k."""
    mnist = arms[arms.task == "mnist"]
    names = set(mnist.arm)
    if not {"baseline_t4", "two_dim"} <= names:
        return
    both = paired(mnist, "two_dim", "baseline_t4")
    difference = 100 * (both.test_top1_x - both.test_top1_y)
    tokens = both.active_tokens_x
    low, high = interval(difference)
    found = "shown to be met" if low >= -TARGET_POINTS else "not shown to be met"
    if high < -TARGET_POINTS or tokens.mean() > TARGET_TOKENS:
        found = "missed"
    yield (
        f"- **Accuracy.** On MNIST-5k, STAS (I-SPS B, two-dimensional halting) is {signed(difference)} points from "
        f"the baseline at T = 4, with {spread(tokens, 100)} % of its active tokens ({len(both)} seeds, "
        f"{int(both.test_images_x.iloc[0])} held-out digits). The target, within {TARGET_POINTS} points at no more than "
        f"{percent(TARGET_TOKENS)}, is {found}: it needs the 95 % interval inside the margin. Made by {TRAIN.format(tasks='mnist')}."
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
            ("early_long", "no halting, trained as long"),
            ("baseline_t4", "the baseline"),
            ("static_long", "the baseline trained as long"),
            ("baseline_t1", "one timestep"),
        ):
            both = paired(of_task, "two_dim", name)
            if len(both):
                difference = 100 * (both.test_top1_x - both.test_top1_y)
                parts.append(f"{signed(difference)} points against {words}")
        if parts:
            yield (
                f"- **Against controls.** On {title}, STAS's accuracy is {'; '.join(parts)} (mean over paired seeds, "
                f"95 % interval by Student). Made by {TRAIN.format(tasks=task)}."
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


def trained_costs(machines: pd.DataFrame) -> pd.DataFrame | None:
    """What the trained networks of MNIST-5k cost, mean over seeds; None before all are simulated."""
    found = machines[(machines.task == "mnist") & machines.arm.isin(SAVING)]
    if set(found.arm) != set(SAVING):
        return None
    keys = ["arm", "machine", "dataflow"]
    means = ["latency_cycles", "latency_ms", "energy_pj"]
    means += [ALWAYS_ON, "energy_low_pj", "energy_high_pj"] if has_always_on(found) else []
    costs = found.groupby(keys)[means].mean().reset_index()
    return costs.assign(arm=costs.arm.map(SAVING))


def saving(networks: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """How savings divide between I-SPS and halting, by network and machine."""
    rows = []
    for title, costs in networks:
        for machine in MACHINES:
            found = {
                arm: one(costs, arm=arm, machine=machine, dataflow=SERIAL)
                for arm in ("baseline", "isps", "stas")
            }
            row = [title, machine]
            for column in ("latency_cycles", "energy_pj"):
                base, isps, stas = (getattr(each, column) for each in found.values())
                row += [change(stas, base), change(isps, base), change(stas, isps, base)]
            rows.append(row)
    head = (
        "network",
        "machine",
        "time",
        "by I-SPS",
        "by halting",
        "energy",
        "by I-SPS",
        "by halting",
    )
    return "\n".join(
        [
            "### Where the saving comes from\n",
            "STAS (I-SPS B, two-dimensional halting) against the baseline, both run timestep by timestep; its two parts add "
            f"up to the whole. Means over seeds and pictures. {_priced(networks)}\n",
            grid(head, rows),
            f"Made by {TRAIN.format(tasks='mnist')} and {PUBLISHED}.\n",
        ]
    )


def break_even(costs: pd.DataFrame, sweep: pd.DataFrame) -> str:
    """At which share of active tokens halting pays, against both ways to run without it, and what
    the serial check costs when nobody halts.
    """
    rows = []
    for network in NETWORKS:
        for machine in MACHINES:
            line = sweep[(sweep.network == network.name) & (sweep.machine == machine)]
            if not len(line):
                continue
            row = [network.title, machine]
            for dataflow in (SERIAL, BATCHED):
                still = one(
                    costs, network=network.name, arm="isps", machine=machine, dataflow=dataflow
                )
                for column in ("latency_cycles", "energy_pj"):
                    found = crossing(line, column, (1.0 - LEAST_GAIN) * getattr(still, column))
                    row.append("never" if found is None else f"under {percent(found)}")
            full = one(line, share=1.0)
            paid = full.latency_cycles - full.latency_cycles / full.latency_cycles_ratio
            rows.append([*row, f"{paid:.0f} ({percent(full.latency_cycles_ratio - 1, 2)})"])
    head = (
        "network",
        "machine",
        "time",
        "energy",
        "time, tick-batched",
        "energy, tick-batched",
        "check, cycles an image",
    )
    return "\n".join(
        [
            "### When halting pays\n",
            f"The share of active tokens below which halting saves at least {percent(LEAST_GAIN)} over I-SPS without it, "
            "run timestep by timestep, and over the same tick-batched. Looked at from "
            f"{percent(sweep.active_tokens.min())} on. Last: what A-SSA's serial check adds with all tokens kept, so that it "
            f"is paid and saves nothing. {priced(sweep)}\n",
            grid(head, rows),
            f"Made by {PUBLISHED}.\n",
        ]
    )


def batching(networks: Sequence[tuple[str, pd.DataFrame]]) -> Iterator[str]:
    """What temporal halting gives up: running all timesteps on one weight fetch."""
    if networks:
        parts = [f"{title}: {batched(costs)}" for title, costs in networks]
        yield (
            "- **What halting in time gives up.** Who runs at t + 1 is known only after t, so a machine cannot fetch weights "
            "once for all timesteps. On sparse_pe, I-SPS without halting but tick-batched takes, of STAS: "
            f"{'; '.join(parts)}. {_priced(networks)} Made by {TRAIN.format(tasks='mnist')} and {PUBLISHED}."
        )


def _priced(networks: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """At which prices the energies of the networks are, as one sentence."""
    before = [title for title, costs in networks if not has_always_on(costs)]
    if len(before) in (0, len(networks)):
        return priced(networks[0][1])
    return (
        f"Energies of {', '.join(before)} are at [the prices of 0.1.0](#prices), counted actions alone; those of the other "
        "networks at the default prices, with what is always on."
    )


def batched(costs: pd.DataFrame) -> str:
    """A network's time and energy on sparse_pe, tick-batched without halting, over STAS's."""
    rows = costs[costs.machine == "sparse_pe"]
    stas = one(rows, arm="stas", dataflow=SERIAL)
    isps = one(rows, arm="isps", dataflow=BATCHED)
    return (
        f"time x {isps.latency_cycles / stas.latency_cycles:.2f}, energy x "
        f"{isps.energy_pj / stas.energy_pj:.2f} ({_reach(stas, isps)}{_turn(stas, isps)})"
    )


def _reach(stas: Any, isps: Any) -> str:
    """The ratio with all prices at their low and at their high bounds, where they were kept."""
    bounds = ("energy_low_pj", "energy_high_pj")
    ratios = [getattr(isps, name, math.nan) / getattr(stas, name, math.nan) for name in bounds]
    if any(map(math.isnan, ratios)):
        return ""
    return f"{ratios[0]:.2f} at low prices, {ratios[1]:.2f} at high ones; "


def _turn(stas: Any, isps: Any) -> str:
    """At which always-on power STAS becomes the cheaper one; pJ / ms is nW."""
    counted = [each.energy_pj - getattr(each, ALWAYS_ON, 0.0) for each in (stas, isps)]
    faster_ms = isps.latency_ms - stas.latency_ms
    if faster_ms <= 0:
        return "STAS is not faster"
    watts = (counted[0] - counted[1]) / faster_ms * 1e-9
    return (
        f"STAS is cheaper above {watts:.2g} W of always-on power"
        if watts > 0
        else "STAS is cheaper"
    )
