"""Fine-tune for one machine or another and compare."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.files import write_csv
from models.threads import keep_freed_memory, use_threads
from simulator.command import check_counts, check_target, command

if TYPE_CHECKING:
    from models.data.images import Images
    from models.halting.machine_ponder import StepPrices
    from models.networks.arms import Prepared
    from models.networks.stas import STAS
    from simulator.hil.simulated import SimulatedDevice

ROOT = Path(__file__).parents[2]
MODEL, DATASET = "stas_spikformer_2_128", "mnist"
WEIGHTS = ROOT / "models/weights" / f"{MODEL}_{DATASET}.safetensors"
RECIPE = ROOT / "models/recipes" / "mnist5k.yaml"
TABLE_IMAGES = 8
NEVER = -30.0
"""An offset of the halting score with which no token halts."""

EXAMPLE = """example:
  python -m experiments.live.hardware_aware --machine streaming=arch_configs/sparse_pe.yaml \\
      --machine resident=arch_configs/sparse_pe_resident.yaml --out docs/live/hardware_aware.csv

For each machine a cost table is measured and the shipped network is fine-tuned under a ponder cost
in that machine's prices; each network is then run on every machine. `steps` is the control: every
step of a token costs 1, as in A-ViT.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.live.hardware_aware",
        description="Fine-tune the shipped digits network for machines and run it on all of them.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--machine", action="append", required=True, metavar="NAME=FILE", dest="machines",
        help="a name and an architecture file; give two or more")  # fmt: skip
    add("--out", required=True, type=Path, help="the table to write (.csv)")
    add("--cost", default="energy", help="energy (default) or latency")
    add("--ponder", type=float, default=0.3, help="weight of the ponder cost (default 0.3)")
    add("--gradient", choices=("last", "survival"), default="last",
        help="through the score at which a token halts (default), or through the probability "
        "that it runs each step")  # fmt: skip
    add("--seeds", type=int, default=3, help="runs for each machine (default 3)")
    add("--epochs", type=int, default=1, help="default 1")
    add("--batch", type=int, default=30, help="images at a time in training (default 30)")
    add("--learning-rate", type=float, default=5e-4, help="of the weights (default 5e-4)")
    add("--halting-rate", type=float, default=0.03,
        help="learning rate of the score's slope and offset (default 0.03)")  # fmt: skip
    add("--train-images", type=int, default=600, help="default 600, of 4000")
    add("--test-images", type=int, default=1000, help="default 1000, all held out")
    add("--cost-images", type=int, default=60, help="of these, to simulate (default 60)")
    add("--threads", type=int, default=1, help="of torch (default 1)")
    return made


@command("experiments.live.hardware_aware")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Train, measure, write the table. Raises SimulatorError for bad input."""
    machines = _machines(options)
    use_threads(options.threads)
    keep_freed_memory()
    write_csv(options.out, list(study(options, machines)))
    print(options.out)


def _machines(options: argparse.Namespace) -> dict[str, str]:
    """Architecture files by name. Raises ModelError for options that make no comparison."""
    machines = dict(text.partition("=")[::2] for text in options.machines)
    if len(machines) < 2 or not all(machines.values()) or "steps" in machines:
        raise ModelError(
            f"--machine {' '.join(options.machines)}: must be two or more of NAME=FILE, each with "
            "a name of its own other than steps"
        )
    counts = ("seeds", "epochs", "batch", "train_images", "test_images", "cost_images", "threads")
    check_counts(options, *counts)
    if options.ponder < 0:
        raise ModelError(f"--ponder is {options.ponder}; it must be at least 0")
    check_target(options.out, "--out")
    return machines


def study(options: argparse.Namespace, machines: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each network on each machine: as shipped, then each seed of each training."""
    from models.data.images import mnist_digits

    training, held_out = mnist_digits()
    training = training.first(options.train_images)
    held_out = held_out.first(options.test_images)
    devices = _devices(shipped(), held_out, machines)
    prices: dict[str, StepPrices | None] = {"steps": None}
    prices |= _prices(devices, training, options.cost)
    yield from _logged(_rows(shipped(), "as shipped", "", held_out, devices, options))
    for seed in range(options.seeds):
        for name, price in prices.items():
            arm = shipped()
            fine_tune(arm.model, training, price, seed, options)
            yield from _logged(_rows(arm, name, seed, held_out, devices, options))


def shipped() -> Prepared:
    """The network as shipped, fresh from its file."""
    from models.data.images import mnist_digits
    from models.networks.arms import Setup, prepare
    from models.networks.config import named_config

    setup = Setup(named_config(MODEL, DATASET), DATASET, str(WEIGHTS), 0, 1.0, False, None)
    return prepare(setup, mnist_digits()[0].first(1))


def _devices(arm: Prepared, images: Images, machines: dict[str, str]) -> dict[str, SimulatedDevice]:
    from models.live.running import LiveRun
    from simulator.hil.simulated import simulated_device

    outline = LiveRun(arm, images, DATASET).outline
    return {name: simulated_device(outline, file) for name, file in machines.items()}


def _prices(
    devices: dict[str, SimulatedDevice], images: Images, cost: str
) -> dict[str, StepPrices | None]:
    """Each machine's prices for the network with its halting turned off."""
    import torch

    from models.halting.machine_ponder import step_prices
    from models.operations.writing import write_trace
    from simulator.hil.cost_table import cost_table
    from simulator.trace import Trace

    arm = shipped()
    assert arm.model.halting is not None
    with torch.no_grad():
        arm.model.halting.beta.fill_(NEVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all_tokens.npz"
        write_trace(path, arm, images.first(TABLE_IMAGES), DATASET, TABLE_IMAGES)
        with Trace.open(path) as trace:
            count, tokens = trace.images, arm.model.config.tokens
            return {
                name: step_prices(cost_table(device, trace, range(count)), cost, tokens)
                for name, device in devices.items()
            }


def fine_tune(
    model: STAS,
    images: Images,
    prices: StepPrices | None,
    seed: int,
    options: argparse.Namespace,
) -> None:
    """Train on from where the network is; `prices` None: every step of a token costs 1."""
    import torch
    import torch.nn.functional as F

    from experiments.live.ponder import machine_ponder, machine_survival
    from models.evaluate import pixels_of
    from models.halting.losses import ponder_cost
    from models.networks.layers import Norm
    from models.networks.norms import settle_norms
    from models.networks.weights import round_weights
    from models.training import augment
    from models.training.recipe import load_recipe

    recipe = load_recipe(RECIPE)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, Norm):
            module.from_running = True
    assert recipe.halting is not None
    halting = [value for name, value in model.named_parameters() if name.startswith("halting.")]
    weights = [value for name, value in model.named_parameters() if not name.startswith("halting.")]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": recipe.halting.weight_decay},
            {"params": halting, "lr": options.halting_rate, "weight_decay": 0.0},
        ],
        options.learning_rate,
    )
    model.train()
    for _ in range(options.epochs):
        order = torch.randperm(len(images.labels), generator=generator)
        for batch in order.split(options.batch):
            drawn = augment.draw(recipe.augmentation, len(batch), generator)
            part = images.take(batch.numpy())
            pixels = augment.apply(recipe.augmentation, pixels_of(part), drawn)
            output = model(pixels)
            labels = torch.from_numpy(part.labels)
            loss = F.cross_entropy(output.logits, labels, label_smoothing=recipe.smoothing)
            if prices is None:
                cost = ponder_cost(output.ponder, model.config)
            else:
                of_machine = machine_survival if options.gradient == "survival" else machine_ponder
                cost = of_machine(output, prices)
            optimizer.zero_grad()
            (loss + options.ponder * cost).backward()
            optimizer.step()
    round_weights(model)
    settle_norms(model, images)
    model.eval()


def _rows(
    arm: Prepared,
    trained_for: str,
    seed: int | str,
    held_out: Images,
    devices: dict[str, SimulatedDevice],
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """A network on every machine."""
    import numpy as np

    from experiments.live.replaying import replayed
    from models.evaluate import evaluate
    from models.live.running import LiveRun

    accuracy = evaluate(arm.model, held_out).accuracy
    live = LiveRun(arm, held_out.first(options.cost_images), DATASET)
    found = list(replayed(live, devices, 1.0 - live.halting.config.eps))
    for name, device in devices.items():
        totals = [each.totals[name] for each in found]
        clock = device.architecture.clock_mhz * 1e3
        yield {
            "trained_for": trained_for,
            "seed": seed,
            "machine": name,
            "cost": options.cost,
            "ponder": options.ponder,
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
