"""docs/live.md and its plot, from the tables beside them."""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from models.errors import ModelError
from models.files import write_staged
from simulator.command import command

CURVE, HARDWARE_AWARE, PLOT = "curve.csv", "hardware_aware.csv", "curve.png"
TEMPLATE = Path(__file__).parents[1] / "templates/live.md.j2"
Row = dict[str, str]
LEAST_SHOWN = 0.9
"""The lower end of the accuracy axis: a digit or two must not look like a cliff."""

PANELS = (
    ("ms", "latency_ms", "latency of an image, ms"),
    ("uj", "energy_uj", "energy of an image, µJ"),
)


@command("experiments.live.page")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.live.page",
        description=f"Write the page of the live loop and {PLOT} from {CURVE} and "
        f"{HARDWARE_AWARE}.",
        epilog="example: python -m experiments.live.page --tables docs/live --write docs/live.md",
    )
    parser.add_argument("--tables", required=True, type=Path, help="the folder of the tables")
    parser.add_argument("--write", required=True, type=Path, help="the page (.md)")
    options = parser.parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the plot and the page. Raises SimulatorError for bad input."""
    for path in (options.tables / CURVE, options.tables / HARDWARE_AWARE):
        if not path.is_file():
            raise ModelError(f"{path} does not exist; it is a table that the page shows")
    write_staged(options.tables / PLOT, plot(_rows(options.tables / CURVE)))
    write_staged(options.write, page(options.tables).encode())
    print(options.write)


def page(tables: Path) -> str:
    """The page's text; every figure in it comes from the tables."""
    curve, aware = _rows(tables / CURVE), _rows(tables / HARDWARE_AWARE)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    live = [row for row in curve if row["kind"] == "live"]
    return template.render(
        fixed=[row for row in curve if row["kind"] == "fixed"],
        by_unit={unit: [row for row in live if row["unit"] == unit] for unit, _, _ in PANELS},
        cheapest_fixed=cheapest_fixed(curve),
        images=curve[0]["images"],
        beyond=sum(int(row["over_by_more_than_last_block"]) for row in live),
        runs=len(live),
        flown=sum(int(row["images"]) for row in live),
        over=sum(int(row["over_budget"]) for row in live),
        not_feasible=sum(int(row["not_feasible"]) for row in live),
        aware=aware_table(aware),
        verdicts=verdicts(aware),
        verdict=verdict(aware),
        seeds=len({row["seed"] for row in aware if row["seed"]}),
        first=aware[0],
    )


def _rows(path: Path) -> list[Row]:
    """Return the rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cheapest_fixed(curve: list[Row]) -> dict[str, dict[str, str]]:
    """For each budget, by unit and budget, the accuracy of the highest fixed threshold with which
    no image exceeds it; `-` where there is none.
    """
    fixed = [row for row in curve if row["kind"] == "fixed"]
    found: dict[str, dict[str, str]] = {}
    for unit, name, _ in PANELS:
        found[unit] = {}
        for row in curve:
            if row["unit"] != unit:
                continue
            within = [f for f in fixed if float(f[f"{name}_max"]) <= float(row["budget"])]
            best = max(within, key=lambda f: float(f["threshold"]), default=None)
            cell = "-" if best is None else f"{best['accuracy']} (at {best['threshold']})"
            found[unit][row["budget"]] = cell
    return found


def aware_table(aware: list[Row]) -> list[dict[str, str]]:
    """Mean and spread over seeds, a row for each training on each machine."""
    rows = []
    for trained, machine in dict.fromkeys((row["trained_for"], row["machine"]) for row in aware):
        own = [r for r in aware if (r["trained_for"], r["machine"]) == (trained, machine)]
        names = ("accuracy", "active_tokens", "steps", "energy_uj", "latency_ms")
        shown = {name: spread([float(row[name]) for row in own]) for name in names}
        rows.append({"trained_for": trained, "machine": machine} | shown)
    return rows


def spread(values: list[float]) -> str:
    """Mean ± deviation, or the one value."""
    mean = f"{statistics.mean(values):.5g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"


def verdicts(aware: list[Row]) -> list[dict[str, str]]:
    """For each machine and each other network: in how many seeds its own costs it less."""
    machines = list(dict.fromkeys(row["machine"] for row in aware))
    cost = "energy_uj" if aware[0]["cost"] == "energy" else "latency_ms"
    found = []
    for machine in machines:
        on = [row for row in aware if row["machine"] == machine and row["seed"]]
        own = {row["seed"]: row for row in on if row["trained_for"] == machine}
        for other in dict.fromkeys(r["trained_for"] for r in on if r["trained_for"] != machine):
            theirs = {row["seed"]: row for row in on if row["trained_for"] == other}
            less = sum(float(own[s][cost]) < float(theirs[s][cost]) for s in own)
            more = [float(own[s][cost]) / float(theirs[s][cost]) - 1.0 for s in own]
            points = [float(own[s]["accuracy"]) - float(theirs[s]["accuracy"]) for s in own]
            found.append(
                {
                    "machine": machine,
                    "other": other,
                    "less": str(less),
                    "seeds": str(len(own)),
                    "change": f"{100 * statistics.mean(more):+.2f} %",
                    "points": f"{100 * statistics.mean(points):+.2f}",
                }
            )
    return found


def verdict(aware: list[Row]) -> str:
    """Whether each network is better on its own machine than the one for the other, in words."""
    machines = {row["machine"] for row in aware}
    pairs = [row for row in verdicts(aware) if row["other"] in machines]
    won = [row for row in pairs if row["less"] == row["seeds"]]
    names = " and ".join(f"on {row['machine']}" for row in won)
    if len(won) == len(pairs):
        return (
            "**Yes**: each costs less on its own machine than the other's network, in every seed."
        )
    return (
        "**Not shown here.** The network trained for a machine costs less on it than the one "
        f"trained for the other in every seed {names or 'on neither machine'}, and the two halt "
        "almost alike. Our reading: the score of a token is a sigmoid of one small integer plus a "
        "learned offset common to all steps, and the digits hardly need depth: whatever the "
        "prices, the cheapest answer is to raise the offset and halt earlier, which is cheaper on "
        "every machine."
    )


def plot(curve: list[Row]) -> bytes:
    """Accuracy against what no image exceeds, and against the mean, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True)
    fixed = [row for row in curve if row["kind"] == "fixed"]
    for (unit, name, label), (bound, mean) in zip(PANELS, panels, strict=True):
        live = [row for row in curve if row["unit"] == unit]
        for axes, own, other, what in (
            (bound, "budget", f"{name}_max", "the budget, or the dearest image"),
            (mean, f"{name}_mean", f"{name}_mean", "mean"),
        ):
            for rows, column, style, legend in (
                (live, own, "o-", "steered within a budget"),
                (fixed, other, "s--", "fixed threshold"),
            ):
                pairs = sorted((float(row[column]), float(row["accuracy"])) for row in rows)
                axes.plot(*zip(*pairs, strict=True), style, label=legend, markersize=4)
            axes.set_xlabel(f"{label}: {what}")
            axes.set_ylabel("accuracy")
            axes.set_ylim(LEAST_SHOWN, 1.0)
            axes.grid(alpha=0.3)
            axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return image.getvalue()


if __name__ == "__main__":
    sys.exit(main())
