"""Batches, prepared ahead by worker processes where a recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.data.sources import Source
from models.evaluate import pixels_of
from models.networks.config import ModelConfig
from models.training import augment
from models.training.recipe import Recipe
from models.training.sharding import RankGroup, share_of


class TrainingBatch(NamedTuple):
    """Hold this process's share of a global batch.

    pixels: as the network takes them, uint8, of mixed events float32.
    labels: int64 (image,), or class probabilities (image, class).
    portion: what the share's mean loss counts in the mean over processes.
    """

    pixels: Tensor
    labels: Tensor
    portion: float


class Batches(Dataset[TrainingBatch]):
    """Hold the batches of one epoch.

    What is drawn for a batch depends on the recipe's seed, the epoch and the step alone, so that
    the number of workers, or going on from a checkpoint, changes nothing.
    """

    def __init__(
        self, recipe: Recipe, source: Source, config: ModelConfig, group: RankGroup, order: Tensor
    ) -> None:
        self.recipe, self.source, self.config, self.group = recipe, source, config, group
        self.places = order.split(recipe.batch)
        self.epoch, self.mixes = 0, True
        self.images = source.training

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, step: int) -> TrainingBatch:
        """Prepare one batch."""
        place, recipe = self.places[step], self.recipe.augmentation
        generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, self.epoch, step))
        drawn = augment.draw(recipe, len(place), generator)
        share = share_of(len(place), self.group)
        part = self.images.take(place[share].numpy())
        ours = {name: values[share] for name, values in drawn.items()}
        pixels = augment.apply(recipe, pixels_of(part), ours, self.config.image_mean)
        labels = torch.from_numpy(part.labels)
        if self.mixes and (recipe.mixup or recipe.cutmix):
            from timm.data.mixup import mixup_target

            mixing = augment.draw_mixing(recipe, pixels.shape[-1], generator)
            pixels = augment.mixed(pixels, mixing)
            labels = mixup_target(labels, self.config.dataset.classes, mixing.weight)
        counts = pixels if pixels.ndim == 5 else pixels.to(torch.uint8)  # events mix in parts
        pixels_of_part = part._replace(pixels=counts.numpy())
        shown = self.source.shown(pixels_of_part, self.config.timesteps).pixels
        # Gradients are averaged over processes, whose shares may differ in size.
        portion = len(share) * self.group.size / len(place)
        return TrainingBatch(torch.from_numpy(shown), labels, portion)


def seed_of(*numbers: int) -> int:
    """Return a seed of its own for a recipe's seed, an epoch and a step."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def load(batches: Batches, first: int, device: torch.device) -> Iterator[TrainingBatch]:
    """Return the batches from `first` on; two a worker are prepared ahead."""
    workers = batches.recipe.workers
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=range(first, len(batches)),
            num_workers=workers,
            pin_memory=device.type == "cuda",
            multiprocessing_context="fork" if workers else None,
        )
    )
