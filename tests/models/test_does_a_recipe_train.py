"""A recipe's two phases as training runs them: half precision, parts, averages, broken losses."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch

from models.data.images import small_digits
from models.data.sources import Source
from models.errors import ModelError
from models.networks.layers import Norm
from models.train import store
from models.training import loop
from models.training.loading import Batches, load
from models.training.loop import RunPlace, Trained, TrainingRun
from models.training.recipe import HaltingPhase, NetworkRecipe, Phase, Recipe
from models.training.sharding import RankGroup
from simulator.errors import SimulatorError
from simulator.results.verification import verify
from tests.messages import cases, refused, said

PHASES: dict[str, Any] = {
    "static": Phase(epochs=1, learning_rate=1e-3),
    "halting": HaltingPhase(epochs=1, learning_rate=1e-3, ponder=0.1, active_tokens=0.6),
}


@pytest.fixture(scope="module")
def source() -> Source:
    training, held_out = small_digits()
    return Source("digits", training.first(24), held_out.first(8))


def recipe(**more: Any) -> Recipe:
    network = NetworkRecipe(name="stas_spikformer_2_32", timesteps=2, halting={"learned": True})
    return Recipe(dataset="digits", network=network, batch=8, **(PHASES | more))


def run(folder: Path, source: Source, asked: Recipe) -> tuple[TrainingRun, Trained]:
    job = TrainingRun(asked, source, RunPlace(folder, torch.device("cpu")))
    return job, job.train(False, lambda row: None)


def halves(self: TrainingRun) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16)


def test_both_phases_train_in_half_precision(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Norms use running statistics from the halting phase on: they must stay float32 there."""
    monkeypatch.setattr(TrainingRun, "_precision", halves)
    job, trained = run(tmp_path, source, recipe(amp=True))
    assert [row["halting"] for row in trained.rows] == [0, 1]
    norms = [module for module in job.model.modules() if isinstance(module, Norm)]
    assert all(norm.from_running for norm in norms)
    assert {norm.running_mean.dtype for norm in norms} == {torch.float32}
    for name, tensor in job.model.state_dict().items():
        assert not tensor.is_floating_point() or bool(tensor.isfinite().all()), name


def test_workers_prepare_the_batches_of_the_main_process(source: Source) -> None:
    mixes = recipe().augmentation.model_copy(update={"flip": True, "mixup": 0.5})
    order, found = torch.arange(24), []
    for workers in (0, 2):
        asked = recipe(augmentation=mixes, workers=workers)
        config = loop.config_of(asked, "digits")
        batches = Batches(asked, source, config, RankGroup(), order)
        found.append(list(load(batches, 1, torch.device("cpu"))))
    assert len(found[0]) == len(found[1]) == 2
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)
        assert torch.equal(ours.labels, theirs.labels)


def test_labels_are_mixed_as_their_images(source: Source) -> None:
    asked = recipe(augmentation=recipe().augmentation.model_copy(update={"mixup": 0.5}))
    batches = Batches(asked, source, loop.config_of(asked, "digits"), RankGroup(), torch.arange(24))
    batch, own = batches[0], source.training.first(8)
    assert own.labels[0] != own.labels[7]
    weight = float(batch.labels[0, own.labels[0]])
    hot = torch.eye(10)[own.labels]
    assert torch.allclose(batch.labels, weight * hot + (1.0 - weight) * hot.flip(0))
    pixels = torch.from_numpy(own.pixels).float()
    mixed = (weight * pixels + (1.0 - weight) * pixels.flip(0)).round()
    assert torch.equal(batch.pixels, mixed.to(torch.uint8))


def test_the_average_of_the_weights_is_what_is_kept(tmp_path: Path, source: Source) -> None:
    job, _ = run(tmp_path, source, recipe(average=0.5, halting=None))
    mean, now = job.shown_model.head.weight, job.model.head.weight
    assert not torch.equal(mean, now)
    assert torch.equal(job.kept.best["head.weight"], mean)


def test_a_batch_in_parts_gives_the_gradient_of_the_batch(tmp_path: Path, source: Source) -> None:
    """Where norms do not look at the batch: a first step from the same weights, by its loss."""
    losses, gradients = [], []
    for parts in (1, 2):
        job = TrainingRun(recipe(accumulate=parts), source, RunPlace(tmp_path, torch.device("cpu")))
        job.position = job.position._replace(epoch=1)
        job._begin_phase(fresh=False)
        monkey = [module for module in job.model.modules() if isinstance(module, Norm)]
        for norm in monkey:
            norm.momentum = 0.0
        batch = Batches(job.recipe, source, job.config, RankGroup(), torch.arange(24))[0]
        losses.append(job._step(batch))
        gradient = job.model.head.weight.grad
        assert gradient is not None
        gradients.append(gradient.clone())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_a_clipped_gradient_is_as_long_as_it_may(tmp_path: Path, source: Source) -> None:
    job = TrainingRun(recipe(clip_norm=1e-3), source, RunPlace(tmp_path, torch.device("cpu")))
    job._begin_phase(fresh=False)
    job._step(Batches(job.recipe, source, job.config, RankGroup(), torch.arange(24))[0])
    squares = [p.grad.square().sum() for p in job.model.parameters() if p.grad is not None]
    assert float(torch.stack(squares).sum().sqrt()) == pytest.approx(1e-3, rel=1e-2)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, source: Source) -> None:
    job = TrainingRun(recipe(), source, RunPlace(tmp_path, torch.device("cpu")))
    with torch.no_grad():
        job.model.head.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match=said("a loss that is no number")):
        job.train(False, lambda row: None)


@cases("a_rate_without_its_schedule_is_refused")
def test_a_rate_without_its_schedule_is_refused(phase: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Phase(epochs=1, learning_rate=1e-3, **phase)


def test_a_changed_file_of_a_training_is_found(tmp_path: Path, source: Source) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    asked = recipe()
    job, trained = run(folder, source, asked)
    store(job, trained, asked, 1.0)
    found = verify(folder)
    assert (found.holds, list(found.problems)) == (f"a training of {len(trained.rows)} epochs", [])
    for name in ("metrics.csv", "recipe.json", "last.safetensors", "checkpoint.safetensors"):
        kept = (folder / name).read_bytes()
        changed = kept.replace(b"2", b"7") if not name.endswith("tensors") else kept[:-1] + b"~"
        assert changed != kept, name
        (folder / name).write_bytes(changed)
        assert any(name in problem for problem in verify(folder).problems), name
        (folder / name).write_bytes(kept)
    (folder / "metrics.csv").unlink()
    with refused(SimulatorError, folder / "metrics.csv"):
        verify(folder)
