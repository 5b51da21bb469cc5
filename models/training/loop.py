"""The training loop: a phase without halting, layer by layer, then one with it.

A run is a folder. Its weights end on 8-bit grids with batch-norm statistics re-estimated, once for
the last epoch and once for the best one of the last phase. Best by the held-out images: there are
no others, so its accuracy flatters; the last epoch's does not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from models.data.images import Images
from models.data.sources import Source
from models.errors import ModelError
from models.evaluate import fit_beta, metrics_of, tally
from models.halting.losses import LossConfig, total_loss
from models.networks.config import HaltingConfig, ModelConfig, named_config
from models.networks.layers import Norm
from models.networks.norms import settle_norms
from models.networks.stas import STAS
from models.networks.weights import load_weights, read_weights, round_weights
from models.neurons.base import fused_kernels
from models.training.checkpoint import (
    CHECKPOINT,
    Parts,
    Position,
    ResumeState,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from models.training.curves import draw_curves, write_metrics
from models.training.loading import Batches, TrainingBatch, load, seed_of
from models.training.recipe import HaltingPhase, Phase, Recipe
from models.training.schedule import check_schedule, make_optimizer, make_schedule
from models.training.sharding import RankGroup, share_norms, summed
from models.training.similarity import timestep_similarity

HALTING_SAMPLE = 250
SETTLING_IMAGES = 4000
CURVES = "curves.png"


class RunPlace(NamedTuple):
    """Describe where a run runs: folder, device, processes; `start`: weights to begin from."""

    folder: Path
    device: torch.device
    group: RankGroup = RankGroup()
    start: Path | None = None


class Trained(NamedTuple):
    """Hold both networks in evaluation mode, on their grids, and the epoch of the better one."""

    last: STAS
    best: STAS
    best_epoch: int
    rows: tuple[dict[str, Any], ...]


def config_of(recipe: Recipe, dataset: str) -> ModelConfig:
    """Return the network of a recipe; raises ModelError for switches that do not exist."""
    network = recipe.network
    config = named_config(network.name, dataset, network.timesteps)
    try:
        halting = dataclasses.replace(config.halting, **network.halting)
        switches: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value  # YAML knows no tuples
            for name, value in network.switches.items()
        }
        return dataclasses.replace(config, halting=halting, **switches)
    except TypeError as error:
        kinds = (ModelConfig, HaltingConfig)
        known = [field.name for kind in kinds for field in fields(kind)]
        raise ModelError(
            "network", "unknown switch", f"{error}; known are {', '.join(known)}"
        ) from error


class TrainingRun:
    """Hold a training run in progress."""

    def __init__(self, recipe: Recipe, source: Source, place: RunPlace) -> None:
        self.recipe, self.source, self.place = recipe, source, place
        self.config = config_of(recipe, source.dataset)
        if recipe.halting is not None and not self.config.halts:
            raise ModelError("the recipe has a phase halting, but its network does not halt")
        for phase in recipe.phases:
            check_schedule(phase, self.steps)
        torch.manual_seed(recipe.seed)
        self.model = STAS(self.config)
        if place.start is not None:
            load_weights(self.model, read_weights(place.start)[0], place.start)
        self.model.to(device=place.device, memory_format=torch.channels_last)
        if place.group.size > 1:
            share_norms(self.model)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.position = Position()
        self.kept = ResumeState(torch.zeros(0, dtype=torch.int64), {})
        self.on_save: Callable[[TrainingRun], None] = lambda run: None

    @property
    def steps(self) -> int:
        """Count the batches of an epoch."""
        return math.ceil(len(self.source.training.labels) / self.recipe.batch)

    @property
    def phase(self) -> Phase:
        """Return the phase of the epoch at hand."""
        first = self.recipe.phases[0]
        return first if self.position.epoch < first.length else self.recipe.phases[-1]

    @property
    def halts(self) -> bool:
        """Return whether tokens halt at the epoch at hand."""
        return isinstance(self.phase, HaltingPhase)

    def train(self, resume: bool, report: Callable[[dict[str, Any]], None]) -> Trained:
        """Train to the end, from the folder's checkpoint if `resume`; `report` gets each epoch."""
        if resume:
            self._resume()
        while self.position.epoch < sum(phase.length for phase in self.recipe.phases):
            if self._at_phase_start:
                self._begin_phase(fresh=True)
            self._epoch(report)
        return self._finished()

    @property
    def _at_phase_start(self) -> bool:
        starts = (0, self.recipe.phases[0].length)
        return self.position.step == 0 and self.position.epoch in starts

    def _resume(self) -> None:
        """Go back to where the folder's checkpoint was written."""
        path = self.place.folder / CHECKPOINT
        saved = read_checkpoint(path, self.recipe.content_hash)
        position = saved[1]["position"]
        self.position = Position(**position | {"rows": tuple(position["rows"])})
        self._begin_phase(fresh=False)
        # At the start of a phase the checkpoint has the optimizer of the phase before.
        self.kept = restore(path, self.parts, saved, optimizer=not self._at_phase_start)

    def _begin_phase(self, fresh: bool) -> None:
        """Make optimizer and schedule; where tokens begin to halt, a beta that meets the budget."""
        if isinstance(self.phase, HaltingPhase):
            # Timesteps run one after another now: see layers.Norm.
            for module in self.model.modules():
                if isinstance(module, Norm):
                    module.from_running = True
            if fresh and self.config.fits_beta:
                sample = self._shown(self.source.training.first(HALTING_SAMPLE))
                fit_beta(self.model, sample, self.phase.active_tokens)
        optimizer = make_optimizer(self.model, self.phase)
        schedule = make_schedule(optimizer, self.phase, self.steps)
        average = None
        if self.recipe.average:
            # Not timm's ModelEmaV3: it takes the first step's weights for one part of many, and its
            # state lacks the count that checkpoints hold.
            update = get_ema_multi_avg_fn(self.recipe.average)
            average = AveragedModel(self.model, multi_avg_fn=update, use_buffers=True)
        self.parts = Parts(self.model, optimizer, schedule, self.generator, average)
        self.network: nn.Module = self.model
        if self.place.group.size > 1:
            # gamma and beta have no gradient before tokens halt.
            self.network = nn.parallel.DistributedDataParallel(
                self.model, forward_sync_buffers=False, find_unused_parameters=not self.halts
            )
        if self.recipe.compile and not self.halts:  # halting branches on data
            self.network = torch.compile(self.network)

    def _epoch(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Train an epoch, or the rest of one."""
        began = time.monotonic()
        if self.position.step == 0:
            images = len(self.source.training.labels)
            order = torch.randperm(images, generator=self.generator)
            order = order.repeat_interleave(self.recipe.repeats)[:images]
            self.kept = self.kept._replace(order=order)
        batches = Batches(self.recipe, self.source, self.config, self.place.group, self.kept.order)
        batches.epoch, batches.mixes = self.position.epoch, self._mixes
        batches.images = self.source.at(self.recipe.seed, self.position.epoch)
        for batch in self._bar(load(batches, self.position.step, self.place.device)):
            loss = self._step(batch)
            done = self.position.step + 1
            self.position = self.position._replace(step=done, loss=self.position.loss + loss)
            if done % self.recipe.checkpoint_steps == 0 and done < self.steps:
                self._save()
        row = self._row(time.monotonic() - began)
        self._keep_best(row)
        epoch, rows = self.position.epoch + 1, (*self.position.rows, row)
        self.position = Position(epoch, 0, 0.0, rows, self.position.best_epoch)
        if self.place.group.leads:
            report(row)
            write_metrics(self.place.folder, rows, self.recipe.tensorboard)
        self._save()

    @property
    def _mixes(self) -> bool:
        """Return whether images are mixed at the epoch at hand."""
        first, off = self.recipe.phases[0], self.recipe.augmentation.mix_off_epoch
        begun = 0 if self.phase is first else first.length
        return not off or self.position.epoch - begun < off

    def _step(self, batch: TrainingBatch) -> float:
        """Step the optimizer; return the global batch's loss. Raises ModelError if it is none."""
        recipe, device, group = self.recipe, self.place.device, self.place.group
        self.parts.optimizer.zero_grad()
        self.model.train()
        # Gates draw: from what the step alone decides, so that a run that goes on draws the same.
        torch.manual_seed(seed_of(recipe.seed, self.position.epoch, self.position.step))
        total = torch.zeros((), device=device)
        pixels, labels = (
            values.to(device, non_blocking=True).chunk(recipe.accumulate)
            for values in (batch.pixels, batch.labels)
        )
        for at, (shown, chunk_labels) in enumerate(zip(pixels, labels, strict=True)):
            share = batch.portion * len(chunk_labels) / len(batch.labels)
            with self._between(at + 1 < len(pixels)), self._precision(), self._kernels():
                output = self.network(shown.float(), path="halting" if self.halts else "layers")
                loss = total_loss(output, chunk_labels, self.config, self._losses()) * share
            loss.backward()
            total += loss.detach()
        loss_of_all = float(summed(total / group.size, group))
        if not math.isfinite(loss_of_all):
            raise ModelError(
                f"the loss is {loss_of_all} at epoch {self.position.epoch + 1}, step "
                f"{self.position.step + 1}; the last checkpoint is from before"
            )
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        self.parts.optimizer.step()
        self.parts.schedule.step()
        if self.parts.average is not None:
            self.parts.average.update_parameters(self.model)
        return loss_of_all

    def _between(self, more: bool) -> contextlib.AbstractContextManager[Any]:
        """Share gradients among processes after the last part of a batch alone."""
        waits = more and isinstance(self.network, nn.parallel.DistributedDataParallel)
        return self.network.no_sync() if waits else contextlib.nullcontext()

    def _losses(self) -> LossConfig:
        """Return the weights of the losses in this phase: those of its fields that are any."""
        weights = self.phase.model_dump(include={each.name for each in fields(LossConfig)})
        return LossConfig(**weights, smoothing=self.recipe.smoothing)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        """Take bfloat16 products on a GPU if the recipe says so; they need no loss scaling."""
        kind = self.place.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.recipe.amp and kind == "cuda")

    def _kernels(self) -> contextlib.AbstractContextManager[Any]:
        """Take fused kernels of neurons where the recipe asks for them."""
        wanted = self.recipe.fused_neurons
        return fused_kernels(self.config.neurons) if wanted else contextlib.nullcontext()

    def _row(self, seconds: float) -> dict[str, Any]:
        """Measure the epoch at hand; each process evaluates its share of the images."""
        held_out, group = self._shown(self.source.held_out), self.place.group
        ours = np.arange(group.rank, len(held_out.labels), group.size)
        counts = tally(self.shown_model, held_out.take(ours), "halting" if self.halts else "layers")
        metrics = metrics_of(summed(counts.to(self.place.device), group).cpu())
        alike = timestep_similarity(self.shown_model, held_out) if group.leads else ()
        return {
            "epoch": self.position.epoch + 1,
            "halting": int(self.halts),
            "train_loss": round(self.position.loss / self.steps, 5),
            "test_top1": metrics.accuracy,
            "active_tokens": round(metrics.active_tokens, 5),
            **{f"similarity_block_{index}": round(s, 5) for index, s in enumerate(alike)},
            "wall_seconds": round(seconds, 1),
        }

    @property
    def shown_model(self) -> STAS:
        """Return the network that is evaluated and kept: the moving average if there is one."""
        average = self.parts.average
        return self.model if average is None else average.module

    def _keep_best(self, row: dict[str, Any]) -> None:
        """Keep the weights of the epoch if none of the last phase was better."""
        before = self.position.rows[self.position.best_epoch - 1] if self.kept.best else None
        last_phase = self.phase is self.recipe.phases[-1]
        if last_phase and (before is None or row["test_top1"] > before["test_top1"]):
            state = {name: tensor.clone() for name, tensor in self.shown_model.state_dict().items()}
            self.kept = self.kept._replace(best=state)
            self.position = self.position._replace(best_epoch=row["epoch"])

    def _save(self) -> None:
        """Write the checkpoint, and the weights as they are now and as they were best."""
        if not self.place.group.leads:
            return
        path = self.place.folder / CHECKPOINT
        save_checkpoint(path, self.recipe.content_hash, self.parts, self.position, self.kept)
        self.on_save(self)

    def _finished(self) -> Trained:
        """Return last and best epoch on their grids, norms settled; draw the curves."""
        if self.place.group.leads:
            draw_curves(self.place.folder / CURVES, self.position.rows)
        last = best = self._settled(self.shown_model.state_dict())
        if self.position.best_epoch != self.position.epoch:
            best = self._settled(self.kept.best)
        return Trained(last, best, self.position.best_epoch, self.position.rows)

    def on_grid(self, state: dict[str, Tensor]) -> STAS:
        """Return the network of a state with its weights on 8-bit grids, in evaluation mode."""
        model = STAS(self.config)
        model.load_state_dict({name: tensor.cpu() for name, tensor in state.items()})
        round_weights(model)
        return model.eval()

    def _settled(self, state: dict[str, Tensor]) -> STAS:
        model = self.on_grid(state).to(memory_format=torch.channels_last)
        settle_norms(model, self._shown(spread(self.source.training, SETTLING_IMAGES)))
        return model.eval()

    def _shown(self, images: Images) -> Images:
        """Return the images as the network takes them."""
        return self.source.shown(images, self.config.timesteps)

    def _bar(self, batches: Iterator[TrainingBatch]) -> Iterator[TrainingBatch]:
        hidden = not (self.place.group.leads and sys.stderr.isatty())
        label, left = f"epoch {self.position.epoch + 1}", self.steps - self.position.step
        yield from tqdm(batches, label, left, unit="batch", disable=hidden, leave=False)


def spread(images: Images, count: int) -> Images:
    """Return at most `count` images, evenly spaced."""
    found = len(images.labels)
    count = min(count, found)
    return images.take((torch.arange(count) * found // count).numpy())
