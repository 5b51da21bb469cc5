"""Accuracy against budget, steered and at fixed thresholds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.files import write_csv
from models.threads import use_threads
from simulator.command import check_counts, check_target, command

if TYPE_CHECKING:
    from models.live.running import LiveRun
    from simulator.hil.simulated import SimulatedDevice

MODEL, DATASET = "stas_spikformer_2_128", "mnist"
WEIGHTS = Path(__file__).parents[2] / "models/weights" / f"{MODEL}_{DATASET}.safetensors"
THRESHOLDS = (0.99, 0.6, 0.5, 0.35, 0.3, 0.1)
SHARES = {"ms": (0.9, 0.8, 0.7, 0.62), "uj": (0.8, 0.5)}
EXAMPLE = """example:
  python -m experiments.live.curve --arch arch_configs/sparse_pe.yaml --out docs/live/curve.csv
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.live.curve",
        description=f"Run the held-out digits through {MODEL} under budgets of time and of energy "
        "in the live loop, and at fixed halting thresholds; write a row for each setting.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--arch", required=True, help="architecture file (YAML)")
    made.add_argument("--out", required=True, type=Path, help="the table to write (.csv)")
    made.add_argument("--weights", type=Path, default=WEIGHTS, help="default: the shipped ones")
    made.add_argument("--images", type=int, default=1000, help="default 1000, all held out")
    made.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    return made


@command("experiments.live.curve")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the table. Raises SimulatorError for bad input."""
    check_counts(options, "images", "threads")
    check_target(options.out, "--out")
    write_csv(options.out, list(curve(options)))
    print(options.out)


def curve(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each threshold, then for each budget: shares of what the dearest image costs."""
    use_threads(options.threads)
    from models.data.images import mnist_digits
    from models.live.running import LiveRun
    from models.networks.arms import Setup, prepare
    from models.networks.config import named_config
    from simulator.hil.simulated import simulated_device

    images = mnist_digits()[1].first(options.images)
    setup = Setup(named_config(MODEL, DATASET), DATASET, str(options.weights), 0, 1.0, False, None)
    live = LiveRun(prepare(setup, images), images, DATASET)
    device = simulated_device(live.outline, options.arch)
    free: dict[str, Any] = {}
    for threshold in THRESHOLDS:
        row = fixed(live, device, threshold)
        free = free or row
        yield logged(row)
    for unit, most in (("ms", free["latency_ms_max"]), ("uj", free["energy_uj_max"])):
        for share in SHARES[unit]:
            yield logged(within_budget(live, device, round(share * most, 4), unit))


def logged(row: dict[str, Any]) -> dict[str, Any]:
    """The row, shown on stderr as it comes."""
    print(", ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)
    return row


def fixed(live: LiveRun, device: SimulatedDevice, threshold: float) -> dict[str, Any]:
    """All images at one threshold; each is replayed whole."""
    from experiments.live.replaying import replayed

    rows = []
    for each in replayed(live, {"": device}, threshold):
        total = each.totals[""]
        rows.append(
            {
                "right": each.right,
                "latency_ms": total.cycles / (device.architecture.clock_mhz * 1e3),
                "energy_uj": total.energy_pj * 1e-6,
                "active_tokens": each.active_tokens,
            }
        )
    return {"kind": "fixed", "threshold": threshold, "budget": "", "unit": ""} | figures(rows)


def within_budget(
    live: LiveRun, device: SimulatedDevice, limit: float, unit: str
) -> dict[str, Any]:
    """All images in the live loop under one budget."""
    from models.live.control import Budget

    rows = []
    for flown in live.fly(device, Budget(limit, unit)):
        row = dict(flown.row)
        row["right"] = int(row["label"] == row["prediction"])
        rows.append(row)
    if live.failure is not None:
        raise live.failure
    over = [row["over_budget"] for row in rows]
    return (
        {"kind": "live", "threshold": "", "budget": limit, "unit": unit}
        | figures(rows)
        | {
            "over_budget": sum(each > 0 for each in over),
            "over_budget_max": round(max(over), 6),
            "over_by_more_than_last_block": sum(not row["within_a_block"] for row in rows),
            "not_feasible": sum(not row["feasible"] for row in rows),
        }
    )


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy and the spread of costs over images."""
    import numpy as np

    found: dict[str, Any] = {
        "images": len(rows),
        "accuracy": round(float(np.mean([row["right"] for row in rows])), 4),
        "active_tokens": round(float(np.mean([row["active_tokens"] for row in rows])), 5),
    }
    for name in ("latency_ms", "energy_uj"):
        values = np.array([row[name] for row in rows])
        found[f"{name}_mean"] = round(float(values.mean()), 5)
        found[f"{name}_p99"] = round(float(np.quantile(values, 0.99)), 5)
        found[f"{name}_max"] = round(float(values.max()), 5)
    return found | dict.fromkeys(
        ("over_budget", "over_budget_max", "over_by_more_than_last_block", "not_feasible"), ""
    )


if __name__ == "__main__":
    sys.exit(main())
