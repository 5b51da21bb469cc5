"""docs/joint.md and its figure, from the tables beside them: no figure in it is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined

from experiments.joint.search import MACHINE, METRICS
from experiments.joint.variants import TRAINED_SO
from experiments.study.figures import COLOURS, blank, packed, panels
from experiments.study.numbers import grid, interval, signed
from models.errors import ModelError
from models.files import write_staged

TEMPLATE = Path(__file__).parents[1] / "templates/joint.md.j2"
FIGURE = "front.png"
GIVEN_UP = 0.01
ALL_TOKENS = 0.9995
"""The mean share of active tokens from which on a design does not halt, whatever it checks."""
HELD_OUT = {"digits": 355, "stream": 1000}
"""Images on which an accuracy is measured, with each seed."""
TITLES = {"digits": "digits at 16 x 16", "stream": "a stream of four digits"}
SHORT = {
    "isps": "I-SPS",
    "granularity": "halting",
    "halting": "halting",
    "timesteps": "T",
    "halting_threshold": "threshold",
    "dataflow.kind": "dataflow",
    "dataflow.images_together": "images together",
    "cores.0.buffers.weights.size_kib": "weights KiB",
    "cores.0.buffers.membranes.size_kib": "membranes KiB",
}

WORDS = {
    "isps": "I-SPS {}",
    "granularity": "halting by {}",
    "halting": "{}",
    "timesteps": "T = {}",
    "halting_threshold": "threshold {}",
    "dataflow.kind": "{}",
    "dataflow.images_together": "{} images together",
    "cores.0.buffers.weights.size_kib": "{} KiB for weights",
    "cores.0.buffers.membranes.size_kib": "{} KiB for membranes",
}
ABSENT = {
    ("isps", "none"): "no I-SPS",
    ("granularity", "none"): "no halting",
    ("granularity", TRAINED_SO): "no halting, trained at T",
    ("halting", "none"): "no halting",
    ("dataflow.images_together", 1): "one image at a time",
}


class Designs(NamedTuple):
    """A task's designs: `runs` a row a seed, `means` a row a design, indexed by its parameters."""

    task: str
    axes: list[str]
    runs: pd.DataFrame
    means: pd.DataFrame

    @property
    def halts(self) -> str:
        """The axis that says who halts."""
        return "granularity" if "granularity" in self.axes else "halting"

    def cheapest(self, cost: str, *, halting: bool | None = None) -> Any:
        """The cheapest design within GIVEN_UP of the most accurate; of those that halt, or not."""
        of_all = self.means.reset_index()
        fine = of_all[of_all.accuracy >= of_all.accuracy.max() - GIVEN_UP]
        if halting is not None:
            fine = fine[(fine.active_tokens < ALL_TOKENS) == halting]
        return fine.iloc[int(fine[cost].argmin())] if len(fine) else None

    def most_accurate(self) -> Any:
        """The design with the highest mean accuracy, the cheapest one of equals."""
        order = self.means.reset_index().sort_values("energy_uj")
        return order.iloc[int(order.accuracy.argmax())]

    def of(self, design: Any) -> pd.DataFrame:
        """A design's runs, by seed."""
        names = [*self.axes, *MACHINE]
        same = (self.runs[names] == design[names]).all(axis=1)
        return self.runs[same].drop_duplicates("seed").set_index("seed")


def read(path: Path, by: str) -> Designs:
    """A task's designs from its table; raises ModelError where it does not exist."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: run the stage search first")
    table = pd.read_csv(path, keep_default_na=False)
    axes = [name for name in table.columns if name not in {"seed", "by", *MACHINE, *METRICS}]
    runs = table[table.by == by]
    if "halting_threshold" in axes:
        # Where nothing is checked, every threshold is the same design.
        still = runs.granularity.isin(("none", TRAINED_SO))
        runs = runs.assign(halting_threshold=runs.halting_threshold.astype(str))
        runs.loc[still, "halting_threshold"] = ""
        runs = runs.drop_duplicates(["seed", *axes, *MACHINE])
    means = runs.groupby([*axes, *MACHINE], sort=False)[list(METRICS)].mean()
    return Designs(path.stem, axes, runs, means)


def front(found: Designs, cost: str) -> pd.DataFrame:
    """The designs than which none is more accurate at no more cost, cheapest first."""
    order = found.means.reset_index().sort_values([cost, "accuracy"], ascending=[True, False])
    best = order.accuracy.cummax().shift(fill_value=-1.0)
    return order[order.accuracy > best]


def front_table(found: Designs, cost: str) -> str:
    """The front as a table, with intervals over seeds and the distance to the most accurate."""
    most = found.of(found.most_accurate())
    rows = []
    for _, design in front(found, cost).iterrows():
        runs = found.of(design)
        low, high = interval(100 * runs.accuracy)
        rows.append(
            [
                *(str(design[name]) for name in (*found.axes, *MACHINE)),
                f"{100 * design.accuracy:.1f}"
                + (f" [{low:.1f}, {high:.1f}]" if low > -math.inf else ""),
                signed(100 * (runs.accuracy - most.accuracy)),
                f"{100 * design.active_tokens:.0f}",
                f"{design.energy_uj:.2f}",
                f"{1e3 * design.latency_ms:.1f}",
            ]
        )
    head = [SHORT[name] for name in (*found.axes, *MACHINE)]
    return grid(
        [*head, "accuracy %", "points from the best", "active tokens %", "µJ an image", "µs"], rows
    )


def against(found: Designs, first: Any, second: Any) -> dict[str, str]:
    """One design against another, paired by seed: points, energy and time in percent."""
    a, b = found.of(first), found.of(second)
    return {
        "points": signed(100 * (a.accuracy - b.accuracy)),
        "energy": signed(100 * (a.energy_uj / b.energy_uj - 1)),
        "time": signed(100 * (a.latency_ms / b.latency_ms - 1)),
    }


def described(found: Designs, design: Any) -> str:
    """A design in words."""
    words = []
    for name in (*found.axes, *MACHINE):
        value = design[name]
        if value != "":
            words.append(ABSENT.get((name, value)) or WORDS[name].format(value))
    return ", ".join(words)


def sentences(found: Designs) -> str:
    """What to build, what halting would add, and what sparing accuracy gives: three sentences."""
    built, most = found.cheapest("energy_uj"), found.most_accurate()
    runs = found.of(built)
    first = (
        f"We would build {described(found, built)}: {100 * runs.accuracy.mean():.1f} % right at "
        f"{runs.energy_uj.mean():.2f} µJ and {1e3 * runs.latency_ms.mean():.1f} µs an image, "
    )
    if built.equals(most):
        first += "which no other design exceeds in accuracy."
    else:
        over = against(found, built, most)
        first += (
            f"{over['points']} points and {over['energy']} % of energy from the most accurate "
            f"design ({described(found, most)})."
        )
    halts = found.cheapest("energy_uj", halting=True)
    stays = found.cheapest("energy_uj", halting=False)
    if halts is None or stays is None:
        second = f"No design {'that halts' if halts is None else 'without halting'} comes as near."
    else:
        over = against(found, halts, stays)
        second = (
            f"The cheapest design that halts as accurately ({described(found, halts)}) takes "
            f"{over['energy']} % of energy and {over['time']} % of latency against the cheapest "
            f"that does not ({described(found, stays)}), at {over['points']} points."
        )
    cheap = front(found, "energy_uj").iloc[0]
    over = against(found, cheap, built)
    third = (
        f"The least energy is that of {described(found, cheap)}: {over['energy']} % against what "
        f"we would build, at {over['points']} points."
    )
    return " ".join((first, second, third))


def answer(found: Designs) -> dict[str, Any]:
    """What the template says of a task."""
    best = float(found.means.accuracy.max())
    return {
        "title": TITLES[found.task],
        "task": found.task,
        "networks": len(found.means.reset_index()[found.axes].drop_duplicates()),
        "machines": math.prod(len(each["choices"]) for each in MACHINE.values()),
        "seeds": found.runs.seed.nunique(),
        "held_out": HELD_OUT[found.task],
        "apart": 196 * math.sqrt(2 * best * (1 - best) / HELD_OUT[found.task]),
        "answer": sentences(found),
        "front": front_table(found, "energy_uj"),
    }


def figure(tasks: Sequence[Designs]) -> Any:
    """Accuracy over energy, a panel a task: each network on its cheapest machine, and the front."""
    drawn = blank(5.0 * len(tasks), 4.2)
    for axes, found in zip(panels(drawn, len(tasks)), tasks, strict=True):
        means = found.means.reset_index()
        kinds = means[found.halts].str.rsplit(",", n=1).str[0]
        for place, kind in enumerate(dict.fromkeys(kinds)):
            own = means[kinds == kind]
            full = bool((own.active_tokens >= ALL_TOKENS).all())
            axes.plot(
                own.energy_uj,
                100 * own.accuracy,
                "ospDv^"[place % 6],
                color=COLOURS[place % len(COLOURS)],
                label=kind,
                markersize=4,
                markerfacecolor="none" if full else None,
            )
        best = front(found, "energy_uj")
        reach = [interval(100 * found.of(design).accuracy) for _, design in best.iterrows()]
        middle = 100 * best.accuracy
        if found.runs.seed.nunique() > 1:
            bars = [
                [m - low for m, (low, _) in zip(middle, reach, strict=True)],
                [high - m for m, (_, high) in zip(middle, reach, strict=True)],
            ]
            axes.errorbar(best.energy_uj, middle, yerr=bars, fmt="none", ecolor="0.6", zorder=0)
        axes.plot(best.energy_uj, middle, "-", color="0.4", linewidth=1, zorder=0)
        axes.set_ylim(max(0.0, 100 * means.accuracy.min() - 10), 100.0)
        axes.set_title(TITLES[found.task], fontsize=9)
        axes.set_xlabel("energy of an image, µJ")
        axes.set_ylabel("accuracy, %")
        axes.legend(frameon=False, fontsize=7)
    return drawn


def write_page(out: Path, page: Path) -> None:
    """Draw the figure and write the page from the tables that are there."""
    tables = [out / f"{task}.csv" for task in TITLES if (out / f"{task}.csv").is_file()]
    found = [read(table, "energy") for table in tables]
    if not found:
        raise ModelError(f"{out} holds no table of a task: run the stage search first")
    write_staged(out / FIGURE, packed(figure(found)))
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        folder=out.name,
        figure=FIGURE,
        given_up=100 * GIVEN_UP,
        tasks=[
            answer(by_energy) | {"front_by_time": front_table(read(table, "time"), "latency_ms")}
            for table, by_energy in zip(tables, found, strict=True)
        ],
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    write_staged(page, text.encode())
