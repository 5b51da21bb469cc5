"""Parts of training: pictures read when asked for, schedules, similarity, mixed precision."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.data.images import fitted_picture, imagenet_folder
from models.data.sources import read_source
from models.errors import ModelError
from models.evaluate import pixels_of
from models.halting.losses import LossConfig, total_loss
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.networks.weights import weight_tensors
from models.training.recipe import Phase
from models.training.schedule import make_optimizer, make_schedule, rate_of_epoch
from models.training.similarity import timestep_similarity
from tests.messages import said
from tests.models.tiny_networks import kept_of, lively, noise, tiny_config
from tests.models.tiny_networks import pictures as sample


def imagenet(folder: Path, classes: int) -> Path:
    for split in ("train", "val"):
        for number in range(classes):
            (folder / split / f"n{number:04d}").mkdir(parents=True)
        rng = np.random.default_rng(number)
        for number in (0, classes - 1):
            picture = Image.fromarray(rng.integers(0, 256, (30, 40, 3)).astype(np.uint8))
            picture.save(folder / split / f"n{number:04d}" / "a.png")
    return folder


def test_pictures_are_read_when_a_batch_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path, dataset: str):
        read.append(path)
        return fitted_picture(path, dataset)

    monkeypatch.setattr("models.data.images.fitted_picture", counted)
    source = read_source("imagenet", imagenet(tmp_path, 1000))
    images = source.training
    chosen = source.shown(images.take(np.array([1], dtype=np.int64)), 4)
    assert images.pixels.shape == (2, 3, 224, 224)
    assert chosen.labels.tolist() == [999]
    assert not read
    pixels = pixels_of(chosen)
    assert [path.parent.name for path in read] == ["n0999"]
    assert np.array_equal(pixels.numpy()[0], fitted_picture(read[0], "imagenet"))


def test_training_refuses_a_part_of_imagenet(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said("a part of ImageNet")):
        imagenet_folder(imagenet(tmp_path, 3), "train")


@pytest.mark.parametrize("name", ["digits_rows", "digits_patches", "digits_first_of_two"])
def test_a_sequential_source_shows_parts_in_time(name: str) -> None:
    source = read_source(name, None)
    shown = source.shown(source.held_out.first(4), 4)
    assert shown.pixels.shape == (4, 4, 1, 16, 16)
    if name != "digits_first_of_two":
        assert np.array_equal(shown.pixels.sum(1), source.held_out.pixels[:4])


def rates(phase: Phase, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], phase.learning_rate)
    schedule = make_schedule(optimizer, phase, steps)
    found = []
    for _ in range(phase.epochs * steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_cosine_rises_then_falls_to_nothing() -> None:
    found = rates(Phase(epochs=10, learning_rate=2.0, warm_up=0.2), 10)
    assert found[:20] == pytest.approx([2.0 * (step + 1) / 20 for step in range(20)])
    # Slow twin of the rest: half a cosine over the 80 steps that are left.
    later = [1.0 + math.cos(math.pi * step / 80) for step in range(80)]
    assert found[20:] == pytest.approx(later)


@pytest.mark.parametrize("cool_down", [0, 3])
def test_cosine_by_epoch_is_timms(cool_down: int) -> None:
    from timm.scheduler import CosineLRScheduler

    phase = Phase(
        epochs=20,
        learning_rate=5e-4,
        schedule="cosine_by_epoch",
        warm_up=0.2,
        warm_up_rate=1e-6,
        least_rate=1e-5,
        cool_down_epochs=cool_down,
    )
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 5e-4)
    twin = CosineLRScheduler(optimizer, t_initial=20, lr_min=1e-5, warmup_t=4, warmup_lr_init=1e-6)
    wanted = []
    for epoch in range(20 + cool_down):
        twin.step(epoch)
        wanted.append(optimizer.param_groups[0]["lr"])
    assert [rate_of_epoch(phase, epoch) * 5e-4 for epoch in range(phase.length)] == pytest.approx(
        wanted
    )


def test_norms_biases_and_the_halting_do_not_decay() -> None:
    config = tiny_config(halting=True)
    halting = dataclasses.replace(config.halting, learned=True)
    model = lively(dataclasses.replace(config, halting=halting))
    optimizer = make_optimizer(model, Phase(epochs=1, learning_rate=1.0, weight_decay=0.06))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    weights = weight_tensors(model)
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.06 if name in weights else 0.0), name
    assert {"halting.gamma", "halting.beta"} <= dict(model.named_parameters()).keys()


def test_one_cycle_peaks_after_its_warm_up() -> None:
    found = rates(Phase(epochs=4, learning_rate=1.0, warm_up=0.25, schedule="one_cycle"), 10)
    assert found.index(max(found)) == 9
    assert max(found) == 1.0
    assert found[-1] < 1e-4


@pytest.mark.parametrize("isps", [True, False])
def test_similarity_is_the_cosine_of_what_blocks_read(isps: bool) -> None:
    config = tiny_config(halting=False, isps=isps)
    model, images = lively(config), sample(3)
    _, kept = kept_of(model, pixels_of(images), path="layers")
    for block, found in enumerate(timestep_similarity(model, images)):
        stream = kept[f"blocks.{block}.x"]
        steps = range(1, stream.shape[0])
        pairs = [F.cosine_similarity(stream[t], stream[t - 1], dim=-1).mean() for t in steps]
        assert found == pytest.approx(float(torch.stack(pairs).mean()) if pairs else 1.0, abs=1e-6)
    assert (timestep_similarity(model, images)[0] == 1.0) == isps


@pytest.mark.parametrize("family", ["spikingformer", "sdt"])
def test_similarity_is_that_of_potentials(family: str) -> None:
    """Whose residual stream is no stored tensor; a block hands its probe two, first its input."""
    seen: list[torch.Tensor] = []

    class Potentials(Probe):
        def potential(self, values: torch.Tensor, rows: Rows | None) -> None:
            seen.extend(() if rows is None else [rows.restore(values)])

    model, images = lively(tiny_config(halting=False, isps=False, family=family)), sample(3)
    with torch.no_grad():
        model(pixels_of(images), Potentials(), path="layers")
    wanted = [float(F.cosine_similarity(x[1:], x[:-1], dim=-1).mean()) for x in seen[::2]]
    assert timestep_similarity(model, images) == pytest.approx(wanted, abs=1e-6)
    assert wanted[0] != wanted[1]


@pytest.mark.parametrize("halting", [True, False])
def test_mixed_precision_trains(halting: bool) -> None:
    """What a GPU does, on the CPU: products in bfloat16, a loss near the exact one, gradients."""
    config = dataclasses.replace(tiny_config(halting=halting))
    labels = torch.arange(4) % 10
    losses = []
    for enabled in (False, True):
        model = lively(config).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = total_loss(model(noise(4)), labels, config, LossConfig())
        loss.backward()
        losses.append(float(loss.detach()))
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert losses[1] == pytest.approx(losses[0], rel=0.15)
