"""The training loop: first without halting, layer by layer, then with it.

Loss: cross-entropy, plus, with halting, A-ViT's ponder cost (steps taken and remainder, its mean
per possible step). A-ViT's prior over depth is left out: no budget per block is wanted here.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.config import ModelConfig, named_config
from models.data import Images
from models.evaluate import batches, evaluate, fit_beta
from models.layers import Norm
from models.norms import settle_norms
from models.stas import STAS
from models.train import DATASET, MODEL, Recipe
from models.weights import round_weights

ROTATION_DEGREES, SCALING, SHEAR, SHIFT_PIXELS = 12.0, 0.12, 0.15, 2.5
WARM_UP = 0.15
HALTING_SAMPLE = 250


def train(
    recipe: Recipe, data: tuple[Images, Images], report: Callable[[dict[str, Any]], None]
) -> STAS:
    """Train on `data` (training, held out), report every epoch, and put the weights on their 8-bit
    grids.

    The same recipe on the same machine and torch gives the same weights.
    """
    torch.manual_seed(recipe.seed)
    training, held_out = data
    model = STAS(config_of(recipe)).to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(recipe.seed)
    plain_epochs = recipe.epochs - recipe.halting_epochs
    steps = math.ceil(len(training.labels) / recipe.batch)
    for epoch in range(recipe.epochs):
        began = time.monotonic()
        halts = epoch >= plain_epochs
        if epoch == plain_epochs:
            start_halting(model, training, recipe)
        if epoch in (0, plain_epochs):
            optimizer, schedule = optimization(model, recipe, steps, halts)
        loss = 0.0
        for pixels, labels in shuffled(training, recipe.batch, generator):
            optimizer.zero_grad()
            batch_loss = objective(model, pixels, labels, recipe, halts)
            batch_loss.backward()
            optimizer.step()
            schedule.step()
            loss += batch_loss.item() / steps
        metrics = evaluate(model, held_out, "halting" if halts else "layers")
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
    settle_norms(model, training)
    return model


def config_of(recipe: Recipe) -> ModelConfig:
    """The network's config: gamma and beta learned."""
    config = named_config(MODEL, DATASET, recipe.timesteps)
    halting = dataclasses.replace(config.halting, learned=True, gamma=recipe.gamma)
    return dataclasses.replace(config, halting=halting)


def optimization(
    model: STAS, recipe: Recipe, steps: int, halts: bool
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW and a one-cycle schedule for either phase of so many `steps` an epoch."""
    epochs = recipe.halting_epochs if halts else recipe.epochs - recipe.halting_epochs
    rate = recipe.halting_learning_rate if halts else recipe.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * steps, pct_start=WARM_UP
    )
    return optimizer, schedule


def start_halting(model: STAS, training: Images, recipe: Recipe) -> None:
    """From now on normalise with running statistics (see layers.Norm), and open the halting at its
    budget.
    """
    for module in model.modules():
        if isinstance(module, Norm):
            module.from_running = True
    fit_beta(model, training.first(HALTING_SAMPLE), recipe.active_tokens)


def objective(model: STAS, pixels: Tensor, labels: Tensor, recipe: Recipe, halts: bool) -> Tensor:
    """The loss of one batch."""
    model.train()
    output = model(pixels, path="halting" if halts else "layers")
    loss = F.cross_entropy(output.logits, labels, label_smoothing=recipe.smoothing)
    if output.ponder is not None:
        steps = model.config.timesteps * model.config.size.blocks
        loss = loss + recipe.ponder * output.ponder.mean() / steps
    return loss


def shuffled(
    images: Images, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches in random order."""
    order = torch.randperm(len(images.labels), generator=generator).numpy().astype(np.int64)
    for pixels, labels in batches(images.take(order), size):
        yield augmented(pixels, generator), labels


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image a little turned, scaled, sheared and shifted; still whole pixel values."""

    def uniform(reach: float) -> Tensor:
        return (torch.rand(len(pixels), generator=generator) * 2.0 - 1.0) * reach

    angle = uniform(math.radians(ROTATION_DEGREES))
    scale = 1.0 + uniform(SCALING)
    shift = SHIFT_PIXELS * 2.0 / pixels.shape[-1]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cos, uniform(SHEAR) - sin, uniform(shift)], 1)
    second = torch.stack([sin, cos, uniform(shift)], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False).round()
