"""Accuracy against a deadline: steered image by image, and at fixed halting thresholds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.live.networks import DATASET, MODEL, sequences, shipped
from models.files import write_csv
from models.threads import use_threads
from simulator.command import check_counts, check_target, command
from simulator.streams.statistics import independent_mean

if TYPE_CHECKING:
    from models.data.images import Images
    from models.live.running import LiveRun
    from simulator.hil.simulated import SimulatedDevice

THRESHOLDS = (0.99, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
SHARES = {"ms": (0.96, 0.91, 0.86, 0.8), "uj": (0.92, 0.82)}
"""Deadlines and budgets, as parts of what the dearest image takes at its own threshold."""

EXAMPLE = """example:
  python -m experiments.live.curve --arch arch_configs/sparse_pe.yaml --out docs/live/curve.csv
"""


class Ran(NamedTuple):
    """Images under one setting: whether each was classified right, what it took, what ran."""

    right: np.ndarray[Any, np.dtype[np.bool_]]
    latency_ms: np.ndarray[Any, np.dtype[np.float64]]
    energy_uj: np.ndarray[Any, np.dtype[np.float64]]
    active_tokens: np.ndarray[Any, np.dtype[np.float64]]

    def cost(self, unit: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Latencies or energies."""
        return self.latency_ms if unit == "ms" else self.energy_uj


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.live.curve",
        description=f"Run held-out sequences of the task {DATASET} through {MODEL} with A-SSA "
        "under deadlines and budgets of energy in the live loop, and at fixed halting "
        "thresholds; write a row for each setting.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--arch", required=True, help="architecture file (YAML)")
    made.add_argument("--out", required=True, type=Path, help="the table to write (.csv)")
    made.add_argument("--images", type=int, default=1000, help="default 1000, all held out")
    made.add_argument("--margin-images", type=int, default=100,
        help="training sequences that say what a deadline keeps free (default 100)")  # fmt: skip
    made.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    return made


@command("experiments.live.curve")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the table. Raises SimulatorError for bad input."""
    check_counts(options, "images", "margin_images", "threads")
    check_target(options.out, "--out")
    write_csv(options.out, list(curve(options)))
    print(options.out)


def curve(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each threshold, then two for each limit: as the budget, and with a margin free."""
    use_threads(options.threads)
    from simulator.hil.simulated import simulated_device

    training, images = sequences(options.margin_images, options.images)
    live = live_run(images)
    device = simulated_device(live.outline, options.arch)
    fixed = {threshold: at_fixed(live, device, threshold) for threshold in THRESHOLDS}
    for threshold, ran in fixed.items():
        yield logged({"kind": "fixed", "threshold": threshold, **figures(ran)} | UNSTEERED)
    calibration = live_run(training)
    for unit, shares in SHARES.items():
        most = float(fixed[THRESHOLDS[0]].cost(unit).max())
        for share in shares:
            limit = round(share * most, 4)
            over = within_budget(calibration, device, limit, unit).cost(unit) - limit
            for kind, margin in (("live", 0.0), ("margin", max(0.0, float(over.max())))):
                ran = within_budget(live, device, limit - margin, unit)
                yield logged(
                    {"kind": kind, "threshold": "", **figures(ran)}
                    | against_fixed(ran, fixed, limit, unit)
                    | {"limit": limit, "unit": unit, "margin": round(margin, 6)}
                )


UNSTEERED: dict[str, Any] = dict.fromkeys(
    (
        *("misses", "over_by_most", "fixed_threshold", "fixed_accuracy", "fixed_misses"),
        *("points", "points_low", "points_high", "limit", "unit", "margin"),
    ),
    "",
)


def live_run(images: Images) -> LiveRun:
    """The shipped network, ready to fly over the images."""
    from models.live.running import LiveRun

    return LiveRun(shipped(images), images, DATASET)


def logged(row: dict[str, Any]) -> dict[str, Any]:
    """The row, shown on stderr as it comes."""
    print(", ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)
    return row


def at_fixed(live: LiveRun, device: SimulatedDevice, threshold: float) -> Ran:
    """All images at one threshold; each is replayed whole."""
    from experiments.live.replaying import replayed

    found = list(replayed(live, {"": device}, threshold))
    totals = [each.totals[""] for each in found]
    return Ran(
        np.array([each.right for each in found]),
        np.array([total.cycles for total in totals]) / (device.architecture.clock_mhz * 1e3),
        np.array([total.energy_pj for total in totals]) * 1e-6,
        np.array([each.active_tokens for each in found]),
    )


def within_budget(live: LiveRun, device: SimulatedDevice, budget: float, unit: str) -> Ran:
    """All images in the live loop under one budget."""
    from models.live.control import Budget

    rows = [flown.row for flown in live.fly(device, Budget(budget, unit))]
    if live.failure is not None:
        raise live.failure
    return Ran(
        np.array([row["label"] == row["prediction"] for row in rows]),
        *(
            np.array([row[name] for row in rows])
            for name in ("latency_ms", "energy_uj", "active_tokens")
        ),
    )


def against_fixed(ran: Ran, fixed: dict[float, Ran], limit: float, unit: str) -> dict[str, Any]:
    """Misses of the limit, and the fixed threshold to compare with: chosen knowing the answer.

    It is the most accurate one that misses the limit no more often, or, where all do, the one that
    misses it least. `points`: accuracy less its accuracy, paired, with a 95 % interval.
    """
    over = ran.cost(unit) - limit
    misses = int((over > 0).sum())
    missed = {each: int((row.cost(unit) > limit).sum()) for each, row in fixed.items()}
    allowed = max(misses, min(missed.values()))
    best = max(
        (each for each in fixed if missed[each] <= allowed),
        key=lambda each: (float(fixed[each].right.mean()), -missed[each]),
    )
    points = independent_mean(100.0 * (ran.right.astype(float) - fixed[best].right))
    return {
        "misses": misses,
        "over_by_most": round(max(0.0, float(over.max())), 6),
        "fixed_threshold": best,
        "fixed_accuracy": round(float(fixed[best].right.mean()), 4),
        "fixed_misses": missed[best],
        "points": round(points.value, 3),
        "points_low": "" if points.low is None else round(points.low, 3),
        "points_high": "" if points.high is None else round(points.high, 3),
    }


def figures(ran: Ran) -> dict[str, Any]:
    """Accuracy and the spread of costs over images."""
    found: dict[str, Any] = {
        "images": len(ran.right),
        "accuracy": round(float(ran.right.mean()), 4),
        "active_tokens": round(float(ran.active_tokens.mean()), 5),
    }
    for name, values in (("latency_ms", ran.latency_ms), ("energy_uj", ran.energy_uj)):
        found[f"{name}_mean"] = round(float(values.mean()), 5)
        found[f"{name}_p99"] = round(float(np.quantile(values, 0.99)), 5)
        found[f"{name}_max"] = round(float(values.max()), 5)
    return found


if __name__ == "__main__":
    sys.exit(main())
