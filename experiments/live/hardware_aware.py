"""Fine-tune for one machine or another and compare."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.live.networks import DATASET, sequences, shipped
from models.errors import ModelError
from models.files import write_csv
from models.threads import keep_freed_memory, use_threads
from simulator.command import check_counts, check_target, command

if TYPE_CHECKING:
    from torch import Tensor

    from models.data.images import Images
    from models.halting.machine_ponder import StepPrices
    from models.networks.arms import Prepared
    from models.networks.stas import STAS, Output
    from simulator.hil.cost_table import StepCost
    from simulator.hil.simulated import SimulatedDevice

TABLES = ("hardware_aware.csv", "agreement.csv")
PLAIN = "steps"
TABLE_IMAGES = 8
GRADIENT_BATCHES = 10
SMOOTHING = 0.05
WEIGHT_DECAY = 0.02
NEVER = -30.0
"""An offset of the halting score with which no token halts."""

EXAMPLE = """example:
  python -m experiments.live.hardware_aware \\
      --machine streaming=arch_configs/sparse_pe.yaml,cores.0.buffers.weights.size_kib=16 \\
      --machine resident=arch_configs/sparse_pe.yaml --out docs/live

For each machine a cost table is measured and the shipped network is fine-tuned under the expected
cost in that machine's prices; each network is then run on every machine. `steps` is the control:
every step of a token costs the same.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.live.hardware_aware",
        description=f"Fine-tune the shipped network of the task {DATASET} for machines and run it "
        f"on all of them; write {' and '.join(TABLES)}.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--machine", action="append", required=True, metavar="NAME=FILE[,PATH=VALUE...]",
        dest="machines", help="a name and an architecture file; give two or more")  # fmt: skip
    add("--out", required=True, type=Path, help="the folder of the tables")
    add("--cost", default="energy", help="energy (default) or latency")
    add("--ponder", type=float, nargs="+", default=[0.1, 0.2, 0.4, 0.8, 1.6],
        help="weights of the cost in the loss (default 0.1 0.2 0.4 0.8 1.6)")  # fmt: skip
    add("--gradient", choices=("survival", "last"), default="survival",
        help="through the probability that a token runs each step (default), or through the "
        "score at which it halts")  # fmt: skip
    add("--seeds", type=int, default=10, help="runs for each machine (default 10)")
    add("--epochs", type=int, default=1, help="default 1")
    add("--batch", type=int, default=30, help="images at a time in training (default 30)")
    add("--learning-rate", type=float, default=5e-4, help="of the weights (default 5e-4)")
    add("--halting-rate", type=float, default=0.03,
        help="learning rate of the score's slope and offset (default 0.03)")  # fmt: skip
    add("--train-images", type=int, default=600, help="default 600, of 4000")
    add("--test-images", type=int, default=500, help="default 500, of 1000 held out")
    add("--cost-images", type=int, default=20, help="of these, to simulate (default 20)")
    add("--threads", type=int, default=1, help="of torch (default 1)")
    return made


class Priced(NamedTuple):
    """A machine in the loop, and what its steps cost; `steps` has no machine."""

    device: SimulatedDevice | None
    prices: StepPrices


@command("experiments.live.hardware_aware")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Train, measure, write the tables. Raises SimulatorError for bad input."""
    machines = _machines(options)
    use_threads(options.threads)
    keep_freed_memory()
    training, held_out = sequences(options.train_images, options.test_images)
    priced = _priced(machines, training, held_out, options.cost)
    agreement = list(agreements(priced, training, options))
    rows = list(study(priced, training, held_out, options))
    for name, table in zip(TABLES, (rows, agreement), strict=True):
        write_csv(options.out / name, table)
        print(options.out / name)


def _machines(options: argparse.Namespace) -> dict[str, str]:
    """Architecture files by name. Raises ModelError for options that make no comparison."""
    machines = dict(text.partition("=")[::2] for text in options.machines)
    if len(machines) < 2 or not all(machines.values()) or PLAIN in machines:
        raise ModelError(
            f"--machine {' '.join(options.machines)}: must be two or more of NAME=FILE, each with "
            f"a name of its own other than {PLAIN}"
        )
    counts = ("seeds", "epochs", "batch", "train_images", "test_images", "cost_images", "threads")
    check_counts(options, *counts)
    if min(options.ponder) < 0:
        raise ModelError(f"--ponder is {min(options.ponder)}; it must be at least 0")
    for name in TABLES:
        check_target(options.out / name, "--out")
    return machines


def study(
    priced: Mapping[str, Priced], training: Images, held_out: Images, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """A row for each network on each machine: as shipped, then each seed of each training."""
    yield from _logged(_rows(shipped(training), ("as shipped", "", 0.0), held_out, priced, options))
    for seed, ponder, name in itertools.product(range(options.seeds), options.ponder, priced):
        arm = shipped(training)
        fine_tune(arm.model, training, priced[name].prices, seed, ponder, options)
        yield from _logged(_rows(arm, (name, seed, ponder), held_out, priced, options))


def _priced(
    machines: Mapping[str, str], training: Images, held_out: Images, cost: str
) -> dict[str, Priced]:
    """Each machine and its prices for the network with its halting turned off, and `steps`."""
    import torch

    from models.halting.machine_ponder import step_prices
    from models.live.running import LiveRun
    from models.operations.writing import write_trace
    from simulator.hil.cost_table import cost_table
    from simulator.hil.simulated import simulated_device
    from simulator.trace import Trace

    outline = LiveRun(shipped(training), held_out, DATASET).outline
    devices = {}
    for name, text in machines.items():
        file, *fields = text.split(",")
        devices[name] = simulated_device(outline, file, fields)
    arm = shipped(training)
    assert arm.model.halting is not None
    with torch.no_grad():
        arm.model.halting.beta.fill_(NEVER)
    tokens = arm.model.config.tokens
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all_tokens.npz"
        write_trace(path, arm, training.first(TABLE_IMAGES), DATASET, TABLE_IMAGES)
        with Trace.open(path) as trace:
            tables = {
                name: cost_table(device, trace, range(trace.images))
                for name, device in devices.items()
            }
    priced: dict[str, Priced] = {PLAIN: Priced(None, equal_prices(tables, tokens))}
    return priced | {
        name: Priced(devices[name], step_prices(table, cost, tokens))
        for name, table in tables.items()
    }


def equal_prices(tables: Mapping[str, tuple[StepCost, ...]], tokens: int) -> StepPrices:
    """The control: every step of a token costs the same, in the unit that machines' prices have."""
    import torch

    from models.halting.machine_ponder import StepPrices

    checks = len(next(iter(tables.values())))
    return StepPrices(torch.full((checks,), 1.0 / (tokens * (checks - 1))), torch.zeros(checks), 1)


def agreements(
    priced: Mapping[str, Priced], training: Images, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """How alike two machines push the shipped network, a row for each pair.

    Rank correlations are Spearman's, over (timestep, block), of what a token and what a step costs;
    `cosine` is that of the costs' gradients over all weights, its mean over batches of training
    images, `cosine_least` the least of them.
    """
    import numpy as np
    import torch
    from scipy.stats import spearmanr

    from models.evaluate import batches

    model = _trainable(shipped(training).model)
    vectors: dict[str, list[Tensor]] = {name: [] for name in priced}
    shown = training.first(GRADIENT_BATCHES * options.batch)
    for pixels, _ in batches(shown, options.batch):
        for name, machine in priced.items():
            model.zero_grad()
            _cost(model(pixels), machine.prices, options).backward()
            grown = [each.grad for each in model.parameters() if each.grad is not None]
            vectors[name].append(torch.cat([each.flatten() for each in grown]))
    for one, other in itertools.combinations(priced, 2):
        pairs = zip(vectors[one], vectors[other], strict=True)
        cosines = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in pairs]
        row: dict[str, Any] = {"one": one, "other": other, "cost": options.cost}
        for part in ("token", "step"):
            a, b = (getattr(priced[name].prices, part).numpy()[1:] for name in (one, other))
            varied = np.ptp(a) > 0 and np.ptp(b) > 0
            row[f"{part}_rank"] = round(float(spearmanr(a, b).statistic), 4) if varied else ""
        yield row | {
            "cosine": round(float(np.mean(cosines)), 5),
            "cosine_least": round(min(cosines), 5),
            "batches": len(cosines),
        }


def _cost(output: Output, prices: StepPrices, options: argparse.Namespace) -> Tensor:
    from experiments.live.ponder import machine_ponder, machine_survival

    of_machine = machine_survival if options.gradient == "survival" else machine_ponder
    return of_machine(output, prices)


def _trainable(model: STAS) -> STAS:
    """The network in training mode, batch-norms by the moments that it was trained to."""
    from models.networks.layers import Norm

    for module in model.modules():
        if isinstance(module, Norm):
            module.from_running = True
    model.train()
    return model


def fine_tune(
    model: STAS,
    images: Images,
    prices: StepPrices,
    seed: int,
    ponder: float,
    options: argparse.Namespace,
) -> None:
    """Train on from where the network is, its cost weighed by `ponder`."""
    import torch
    import torch.nn.functional as F

    from models.evaluate import pixels_of
    from models.networks.norms import settle_norms
    from models.networks.weights import round_weights

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    halting = [value for name, value in model.named_parameters() if name.startswith("halting.")]
    weights = [value for name, value in model.named_parameters() if not name.startswith("halting.")]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": WEIGHT_DECAY},
            {"params": halting, "lr": options.halting_rate, "weight_decay": 0.0},
        ],
        options.learning_rate,
    )
    _trainable(model)
    for _ in range(options.epochs):
        order = torch.randperm(len(images.labels), generator=generator)
        for batch in order.split(options.batch):
            part = images.take(batch.numpy())
            output = model(pixels_of(part))
            labels = torch.from_numpy(part.labels)
            loss = F.cross_entropy(output.logits, labels, label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            (loss + ponder * _cost(output, prices, options)).backward()
            optimizer.step()
    round_weights(model)
    settle_norms(model, images)
    model.eval()


def _rows(
    arm: Prepared,
    training: tuple[str, int | str, float],
    held_out: Images,
    priced: Mapping[str, Priced],
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """A network on every machine; `training`: for whom, the seed, the weight of the cost."""
    import numpy as np

    from experiments.live.replaying import replayed
    from models.evaluate import evaluate
    from models.live.running import LiveRun

    accuracy = evaluate(arm.model, held_out).accuracy
    live = LiveRun(arm, held_out.first(options.cost_images), DATASET)
    devices = {name: each.device for name, each in priced.items() if each.device is not None}
    found = list(replayed(live, devices, 1.0 - live.halting.config.eps))
    for name, device in devices.items():
        totals = [each.totals[name] for each in found]
        clock = device.architecture.clock_mhz * 1e3
        yield {
            **dict(zip(("trained_for", "seed", "ponder"), training, strict=True)),
            "machine": name,
            "cost": options.cost,
            "gradient": options.gradient,
            "epochs": options.epochs,
            "batch": options.batch,
            "train_images": options.train_images,
            "test_images": len(held_out.labels),
            "cost_images": len(found),
            "accuracy": round(accuracy, 4),
            "active_tokens": round(float(np.mean([each.active_tokens for each in found])), 5),
            "steps": round(float(np.mean([each.steps for each in found])), 4),
            "energy_uj": round(float(np.mean([total.energy_pj for total in totals])) * 1e-6, 4),
            "latency_ms": round(float(np.mean([total.cycles for total in totals])) / clock, 5),
        }


def _logged(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, shown on stderr as they come."""
    for row in rows:
        text = ", ".join(f"{name} {value}" for name, value in row.items())
        print(text, file=sys.stderr, flush=True)
        yield row


if __name__ == "__main__":
    sys.exit(main())
