"""docs/live.md and its plot, from the tables beside them."""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from models.errors import ModelError
from models.files import write_staged
from simulator.command import command
from simulator.streams.statistics import Estimate, independent_mean

TABLES = CURVE, HARDWARE_AWARE, AGREEMENT = "curve.csv", "hardware_aware.csv", "agreement.csv"
PLOT = "curve.png"
TEMPLATE = Path(__file__).parents[1] / "templates/live.md.j2"
Row = dict[str, str]
LEVELS = 11
"""At how many accuracies, from the least to the most of two networks, costs are compared."""

PANELS = (
    ("ms", "latency_ms", "latency of an image, ms"),
    ("uj", "energy_uj", "energy of an image, µJ"),
)


@command("experiments.live.page")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.live.page",
        description=f"Write the page of the live loop and {PLOT} from {', '.join(TABLES)}.",
        epilog="example: python -m experiments.live.page --tables docs/live --write docs/live.md",
    )
    parser.add_argument("--tables", required=True, type=Path, help="the folder of the tables")
    parser.add_argument("--write", required=True, type=Path, help="the page (.md)")
    options = parser.parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the plot and the page. Raises SimulatorError for bad input."""
    for path in (options.tables / name for name in TABLES):
        if not path.is_file():
            raise ModelError(f"{path} does not exist; it is a table that the page shows")
    write_staged(options.tables / PLOT, plot(_rows(options.tables / CURVE)))
    write_staged(options.write, page(options.tables).encode())
    print(options.write)


def page(tables: Path) -> str:
    """The page's text; every figure in it comes from the tables."""
    curve, aware, agreement = (_rows(tables / name) for name in TABLES)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    live = [row for row in curve if row["kind"] != "fixed"]
    margined = [row for row in live if row["kind"] == "margin"]
    found = verdicts(aware)
    return template.render(
        fixed=[row for row in curve if row["kind"] == "fixed"],
        by_unit={unit: [row for row in live if row["unit"] == unit] for unit, _, _ in PANELS},
        images=curve[0]["images"],
        margined=margined,
        margin_misses=sum(int(row["misses"]) for row in margined),
        margin_flown=sum(int(row["images"]) for row in margined),
        gained=[row for row in margined if float(row["points_low"]) > 0],
        lost=[row for row in margined if float(row["points_high"]) < 0],
        aware=aware_table(aware),
        machines=list(dict.fromkeys(row["machine"] for row in aware)),
        verdicts=found,
        interaction=interaction(found),
        differs=[row for row in found if row["differs"]],
        agreement=agreement,
        ponders=" ".join(dict.fromkeys(row["ponder"] for row in aware if row["seed"])),
        seeds=len({row["seed"] for row in aware if row["seed"]}),
        first=aware[0],
    )


def _rows(path: Path) -> list[Row]:
    """Return the rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def aware_table(aware: list[Row]) -> list[dict[str, str]]:
    """Mean and spread over seeds, a row for each training on each machine."""
    rows = []
    settings = dict.fromkeys((row["trained_for"], row["ponder"], row["machine"]) for row in aware)
    for setting in settings:
        named = dict(zip(("trained_for", "ponder", "machine"), setting, strict=True))
        own = [row for row in aware if named.items() <= row.items()]
        names = ("accuracy", "active_tokens", "steps", "energy_uj", "latency_ms")
        rows.append(named | {name: spread([float(row[name]) for row in own]) for name in names})
    return rows


def spread(values: list[float]) -> str:
    """Mean ± deviation, or the one value."""
    mean = f"{statistics.mean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"


def verdicts(aware: list[Row]) -> list[dict[str, Any]]:
    """For each machine and each other network: what its own costs more, paired by seed."""
    machines = list(dict.fromkeys(row["machine"] for row in aware))
    cost = "energy_uj" if aware[0]["cost"] == "energy" else "latency_ms"
    found = []
    for machine in machines:
        on = [row for row in aware if row["machine"] == machine]
        trained = dict.fromkeys(row["trained_for"] for row in on if row["seed"])
        for other in (name for name in trained if name != machine):
            by_seed = []
            for seed in dict.fromkeys(row["seed"] for row in on if row["seed"]):
                own, theirs = (
                    [r for r in on if r["trained_for"] == name and r["seed"] == seed]
                    for name in (machine, other)
                )
                start = [row for row in on if not row["seed"]]
                by_seed.append(
                    (
                        100 * _mean(own, theirs, cost, lambda a, b: a / b - 1),
                        100 * _mean(own, theirs, "accuracy", lambda a, b: a - b),
                        at_equal_accuracy(start + own, start + theirs, cost),
                    )
                )
            dearer, points, at_equal = map(independent_mean, zip(*by_seed, strict=True))
            found.append(
                {
                    "machine": machine,
                    "other": other,
                    "dearer": stated(dearer),
                    "points": stated(points),
                    "at_equal_accuracy": stated(at_equal),
                    "differs": (at_equal.low or -1) > 0 or (at_equal.high or 1) < 0,
                    "by_seed": [each[2] for each in by_seed],
                }
            )
    return found


def _mean(
    own: list[Row], other: list[Row], name: str, apart: Callable[[float, float], float]
) -> float:
    """How far two networks are apart in a figure, mean over the weights of the cost."""
    return statistics.mean(
        apart(float(a[name]), float(b[name])) for a, b in zip(own, other, strict=True)
    )


def interaction(found: list[dict[str, Any]]) -> str:
    """What a machine's own network costs more there than another machine's, mean over machines."""
    machines = {row["machine"] for row in found}
    pairs = [row["by_seed"] for row in found if row["other"] in machines]
    return stated(independent_mean([statistics.mean(each) for each in zip(*pairs, strict=True)]))


def at_equal_accuracy(own: list[Row], other: list[Row], cost: str) -> float:
    """What `own` costs more than `other` in percent, mean over accuracies that both reach.

    Between two networks of one training, cost is linear in accuracy; one that is dearer and no more
    accurate than another of the same training is left out.
    """
    import numpy as np

    fronts = []
    for rows in (own, other):
        points: list[tuple[float, float]] = []
        for price, accuracy in sorted((float(r[cost]), float(r["accuracy"])) for r in rows):
            if not points or accuracy > points[-1][0]:
                points.append((accuracy, price))
        fronts.append(np.array(points).T)
    low = max(front[0].min() for front in fronts)
    high = min(front[0].max() for front in fronts)
    costs = [np.interp(np.linspace(low, high, LEVELS), *front) for front in fronts]
    return float(100.0 * np.mean(costs[0] / costs[1] - 1.0))


def stated(estimate: Estimate) -> str:
    """Mean and its interval, which one value does not have."""
    low, high = (f"{end:+.2f}" if end is not None else "..." for end in estimate[1:])
    return f"{estimate.value:+.2f} [{low}, {high}]"


def plot(curve: list[Row]) -> bytes:
    """Accuracy against the dearest image's cost, and against the mean, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True)
    fixed = [row for row in curve if row["kind"] == "fixed"]
    for (unit, name, label), axes in zip(PANELS, panels, strict=True):
        live, kept = (
            [row for row in curve if (row["kind"], row["unit"]) == (kind, unit)]
            for kind in ("live", "margin")
        )
        for panel, what in zip(axes, ("max", "mean"), strict=True):
            for rows, style, legend in (
                (live, "o", "steered to a limit"),
                (kept, "^", "steered, a margin kept free"),
                (fixed, "s--", "fixed threshold"),
            ):
                pairs = sorted((float(r[f"{name}_{what}"]), float(r["accuracy"])) for r in rows)
                panel.plot(*zip(*pairs, strict=True), style, label=legend, markersize=4)
            panel.set_xlabel(f"{label}: {'dearest of all' if what == 'max' else what}")
            panel.set_ylabel("accuracy")
            panel.set_ylim(0.0, 1.0)
            panel.grid(alpha=0.3)
            panel.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80)
    return image.getvalue()


if __name__ == "__main__":
    sys.exit(main())
