"""The page's part on the stream: whether halting follows the image, fronts, plans of machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from experiments.study.arms import BY_NAME, STAS_CONTROLS
from experiments.study.hardware import KINDS
from experiments.study.numbers import (
    Tables,
    fastest,
    grid,
    interval,
    paired,
    percent,
    priced,
    rows_of,
    signed,
    spread,
)
from experiments.study.plan_table import own_over_other, plan_table

TASK = "stream"
BEYOND = (
    "readout",
    "gate",
    "gate_exit",
    "entropy_long",
    "event_exit",
    "event_exit_long",
    "block_exit",
)


def made_by(seeds: pd.Series) -> str:
    """Return the command that makes figures of these seeds."""
    return f"`python -m experiments.study --tasks stream --seeds {seeds.nunique()} --stages train simulate page`"


def answers(tables: Tables) -> Iterator[str]:
    """What the stream says of STAS, for the page's opening."""
    arms = _of_stream(tables, "arms")
    if min(len(paired(arms, "stas", name)) for name in ("baseline_t4", "entropy")) < 2:
        return  # one seed has no interval
    controls = {
        "baseline_t4": "its static network",
        "random_stas": "random tokens at its budget",
        "entropy": "an entropy exit that nobody trained",
    }
    tokens = {name: arms[arms.arm == name].active_tokens for name in ("stas", "entropy")}
    yield (
        f"- **A task that needs time.** On the stream, STAS as reconstructed is {against(arms, 'stas', controls)} "
        f"(95 % intervals), with {percent(tokens['stas'].mean())} of the tokens where the "
        f"entropy exit keeps {percent(tokens['entropy'].mean())}. {clock(tables)} Made by {made_by(arms.seed)}."
    )
    yield from reconstruction(tables)
    yield from beyond(tables)
    yield from fronts(tables)
    yield from interaction(tables)


def clock(tables: Tables, arm: str = "stas") -> str:
    """By how much halting follows the frame that decides."""
    cues = _of_stream(tables, "cues")
    shares = cues[cues.arm == arm].pivot(index="seed", columns="cue", values="active_tokens")
    if not len(shares):
        return ""
    apart = 100 * (shares.iloc[:, -1] - shares.iloc[:, 0])
    return (
        f"Between images decided by the first and by the last frame its active tokens differ by {signed(apart)} points, "
        "where the optimum in time differs by 75."
    )


def reconstruction(tables: Tables) -> Iterator[str]:
    """Whether one changed part of STAS repairs it."""
    arms = _of_stream(tables, "arms")
    parts = [
        f"{title.removeprefix('STAS, ')} {points(arms, name, 'stas')} points, and "
        f"{points(arms, name, 'baseline_t4')} against the static network "
        f"({percent(paired(arms, name, 'stas').active_tokens_x.mean())} of the tokens, STAS "
        f"{percent(paired(arms, name, 'stas').active_tokens_y.mean())}; least accurate of "
        f"{len(paired(arms, name, 'stas'))} seeds {percent(arms[arms.arm == name].test_top1.min(), 1)}, "
        f"of STAS's {percent(paired(arms, 'stas', name).test_top1_x.min(), 1)})"
        for name, (title, _, _) in STAS_CONTROLS.items()
        if len(paired(arms, name, "stas")) > 1
    ]
    searched = paired(arms, "stas_thresholds", "stas")
    if len(searched) > 1:
        parts.append(
            "nothing trained but a threshold for each check searched, for the fewest tokens within a point, "
            f"{points(arms, 'stas_thresholds', 'stas')} points at "
            f"{percent(searched.active_tokens_x.mean())} of the tokens, where STAS has {percent(searched.active_tokens_y.mean())} "
            f"({len(searched)} seeds)"
        )
    if parts:
        follows = clock(tables, "stas_mean")
        yield (
            f"- **The reconstruction or the method.** One part changed at a time, against STAS as reconstructed: "
            f"{'; '.join(parts)}. {f'With that score, {follows[0].lower()}{follows[1:]} ' if follows else ''}Made by {made_by(arms.seed)}."
        )


def beyond(tables: Tables) -> Iterator[str]:
    """What the ways of halting that go beyond STAS keep, follow and cost."""
    machines, arms = _of_stream(tables, "machines"), _of_stream(tables, "arms")
    for name in BEYOND:
        both = paired(arms, name, "baseline_t4")
        if len(both) < 2:
            continue
        controls = {
            "baseline_t4": "the static network",
            "static_long": "the static network trained as long",
            "entropy": "the entropy exit",
            "entropy_long": "an entropy exit of weights trained as long",
            "stas": "STAS",
            f"random_{name}": "random tokens at its budget",
        }
        costs = [
            f"{found} of {words}"
            for other, words in (
                ("stas", "STAS"),
                ("baseline_t1", "T = 1"),
                ("entropy", "the entropy exit"),
            )
            if (found := _ratios(machines, name, other, "sparse_pe")) is not None
        ]
        priced_as = f" On sparse_pe it takes {'; '.join(costs)}." if costs else ""
        follows = clock(tables, name)
        yield (
            f"- **Beyond STAS: {BY_NAME[name].title}** (`{name}`). {against(arms, name, controls)}, with "
            f"{spread(both.active_tokens_x, 100)} % of the tokens (95 % intervals).{priced_as} {follows}".rstrip()
            + f" Made by {made_by(arms.seed)}."
        )


def fronts(tables: Tables) -> Iterator[str]:
    """Where STAS lies against its controls in accuracy, time and energy."""
    machines, arms = _of_stream(tables, "machines"), _of_stream(tables, "arms")
    ran = machines[machines.arm == "stas"].seed.unique()
    of_all, arms = arms, arms[arms.seed.isin(ran)]
    parts = []
    for name, words in (
        ("baseline_t1", "T = 1"),
        ("random_stas", "random tokens"),
        ("entropy", "entropy exit"),
    ):
        found = _ratios(machines, "stas", name, "sparse_pe")
        if found is not None and len(paired(arms, "stas", name)) > 1:
            seeds = len(paired(arms, "stas", name))
            parts.append(
                f"of {words} at {points(arms, 'stas', name)} points of accuracy {found} ({seeds} seeds)"
            )
    if parts:
        yield (
            f"- **Fronts.** On sparse_pe STAS takes, on the stream, {'; '.join(parts)}. "
            f"{priced(machines)} Made by {made_by(of_all.seed)}."
        )


def interaction(tables: Tables) -> Iterator[str]:
    """Whether machines ask for plans of their own."""
    plans = tables.get("plans")
    if plans is None:
        return
    energy = plans[plans.cost == "energy_pj"]
    parts = []
    for own, other in (
        ("streaming", "resident"),
        ("a third off chip", "resident"),
        ("4 images together", "streaming"),
        ("tick-batched", "resident"),
        ("resident", "tick-batched"),
    ):
        if own not in set(energy.run_on):
            continue
        ratio, accuracy = own_over_other(energy[energy.given_up == 1.0], own, other)
        parts.append(
            f"{own} {signed(100 * (ratio - 1))} % at {signed(100 * accuracy)} points against the plan for {other} "
            f"({len(ratio)} seeds)"
        )
    yield (
        "- **Machines that ask for halting of their own.** Plans of how many tokens of a frame run and how sure an image "
        "must be to end, chosen by each machine's energy within 1 point on training composites, cost on held-out images, "
        f"own over other: {'; '.join(parts)} (95 % intervals). Made by {made_by(plans.seed)}."
    )


def section(tables: Tables, folder: str) -> str:
    """What the page says after the arms' table."""
    arms, machines = _of_stream(tables, "arms"), _of_stream(tables, "machines")
    parts = []
    if len(cues := _of_stream(tables, "cues")):
        parts += [by_frame(cues), score(_of_stream(tables, "scores"))]
    if len(machines):
        slow = machines[machines.machine == "slow decisions"]
        parts.append(
            f"On simulated machines, each under its faster dataflow (b: tick-batched, else timestep by timestep), 16 images "
            f"an arm and seed. `small weight buffer` is sparse_pe with 16 KiB for weights, `16 images together` shares each "
            f"fetched weight over them, so an image waits for the others; `a third of weights off chip` has 112 KiB for them and "
            f"a searched mapping; on `slow decisions` a check of tokens takes 2,048 cycles, as if something off the chip decided"
            f"{'' if slow.arm.eq('stas').any() else ' (STAS was not run there)'}. Not priced are counting ink and what an exit of images "
            f"computes and waits for, but that behind a block, as a check of tokens; where masks are imposed (count of "
            f"events, optimum) rows that run keep the spikes that they have with all tokens. The interval of an energy is that of its prices "
            f"(low to high), of an accuracy that of seeds. **Front**: no arm of the table has a higher mean accuracy at no "
            f"more time (t), or energy (e). {priced(machines)} All rows: [machines.csv]({folder}/machines.csv).\n"
        )
        for machine in KINDS:
            parts += [f"**{machine}**\n", front_table(arms, machines[machines.machine == machine])]
    if (plans := tables.get("plans")) is not None:
        parts.append(plan_table(plans))
    return "\n".join(parts)


def by_frame(cues: pd.DataFrame) -> str:
    """Accuracy and active tokens by the frame that decides."""
    rows = []
    for name in (each for each in BY_NAME if each in set(cues.arm)):
        of_arm = cues[cues.arm == name].groupby("cue")[["test_top1", "active_tokens"]].mean()
        rows.append(
            [
                BY_NAME[name].title,
                *(
                    f"{100 * each.test_top1:.1f} @ {100 * each.active_tokens:.0f}"
                    for each in rows_of(of_arm)
                ),
            ]
        )
    frames = [f"frame {cue + 1} decides" for cue in sorted(cues.cue.unique())]
    return (
        "Accuracy % @ active tokens %, by the frame with the square, mean over seeds. The optimum in time is 25, 50, 75, 100.\n\n"
        + grid(("arm", *frames), rows)
    )


def score(scores: pd.DataFrame) -> str:
    """The score of tokens that go on, by check."""
    rows = []
    for name in (each for each in BY_NAME if each in set(scores.arm)):
        of_arm = scores[scores.arm == name].groupby(["timestep", "block"])
        means = of_arm[["score_mean", "score_deviation"]].mean().reset_index()
        listed = [
            f"{row.score_mean:.3f} ± {row.score_deviation:.3f} (t{row.timestep + 1} b{row.block})"
            for row in rows_of(means)
        ]
        rows.append([BY_NAME[name].title, ", ".join(listed)])
    return (
        "The score h of tokens that go on, mean ± deviation over images and tokens at each check, mean over seeds. A constant "
        "score halts every token after a fixed number of checks, whatever is shown.\n\n"
        + grid(("arm", "h (timestep, block)"), rows)
    )


def front_table(arms: pd.DataFrame, machines: pd.DataFrame) -> str:
    """The arms on one machine, cheapest first."""
    points_found = []
    for name in (each for each in BY_NAME if each in set(machines.arm)):
        rows = fastest(machines[machines.arm == name], ["seed"])
        top1 = arms[arms.arm == name].test_top1
        points_found.append((name, top1, rows))
    points_found.sort(key=lambda each: each[2].energy_pj.mean())
    means = {
        name: (top1.mean(), rows.latency_ms.mean(), rows.energy_pj.mean())
        for name, top1, rows in points_found
    }

    def on_front(name: str, column: int) -> bool:
        top1, cost = means[name][0], means[name][column]
        return not any(other[0] > top1 and other[column] <= cost for other in means.values())

    lines = []
    for name, top1, rows in points_found:
        marks = [mark for mark, column in (("t", 1), ("e", 2)) if on_front(name, column)]
        batched = " b" if (rows.dataflow == "tick_batched").all() else ""
        reach = [rows[column].mean() * 1e-6 for column in ("energy_low_pj", "energy_high_pj")]
        low, high = interval(100 * top1)
        lines.append(
            [
                BY_NAME[name].title + batched,
                f"{100 * top1.mean():.1f} [{low:.1f}, {high:.1f}]",
                spread(rows.active_tokens, 100),
                spread(rows.latency_ms * 1e3),
                f"{rows.energy_pj.mean() * 1e-6:.1f} [{reach[0]:.1f}, {reach[1]:.1f}]",
                ", ".join(marks),
            ]
        )
    head = ("arm", "accuracy %", "active tokens %", "µs an image", "µJ an image", "front")
    return grid(head, lines)


def against(arms: pd.DataFrame, arm: str, others: Mapping[str, str]) -> str:
    """An arm's accuracy less that of others, named in words, where seeds are shared."""
    return "; ".join(
        f"{points(arms, arm, other)} points against {words} ({seeds} seeds)"
        for other, words in others.items()
        if other != arm and (seeds := len(paired(arms, arm, other))) > 1
    )


def points(arms: pd.DataFrame, first: str, second: str) -> str:
    """The difference of two arms' accuracies over seeds, with its interval."""
    both = paired(arms, first, second)
    return signed(100 * (both.test_top1_x - both.test_top1_y))


def _ratios(machines: pd.DataFrame, first: str, second: str, machine: str) -> str | None:
    """Time and energy of the first arm over the second's on a machine, with their intervals."""
    costs = fastest(machines[machines.machine == machine], ["arm", "seed"])
    both = paired(costs, first, second)
    if len(both) < 2:
        return None
    time, energy = (
        both[f"{name}_x"] / both[f"{name}_y"] for name in ("latency_cycles", "energy_pj")
    )
    return f"{_share(time)} of the time and {_share(energy)} of the energy"


def _share(ratios: pd.Series) -> str:
    """A mean ratio in percent, with its interval over seeds."""
    if len(ratios) < 2:
        return percent(ratios.mean())
    low, high = interval(ratios)
    return f"{percent(ratios.mean())} [{percent(low)}, {percent(high)}]"


def _of_stream(tables: Tables, name: str) -> pd.DataFrame:
    table = tables.get(name, pd.DataFrame({"task": [], "arm": [], "seed": []}))
    return table[table.task == TASK]
