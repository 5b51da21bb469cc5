"""Training: the same twice, stored exactly, told truly; and the weights that are shipped."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from models import data, train
from models.arms import Wish, prepare
from models.config import named_config
from models.data import Images, mnist_digits
from models.evaluate import evaluate
from models.stas import STAS
from models.training import augmented
from models.weights import load_weights, read_weights, round_weights

SHIPPED = Path(train.__file__).parent / "weights" / "stas_spikformer_2_128_mnist.safetensors"
OPTIONS = ["--epochs", "2", "--halting-epochs", "1", "--batch", "16", "--threads", "1"]


def few_digits() -> tuple[Images, Images]:
    training, held_out = mnist_digits()
    return training.first(48), held_out.first(16)


def loaded(path: Path) -> STAS:
    wish = Wish(named_config(train.MODEL, train.DATASET), "mnist", str(path), 0, 0.5, False, None)
    return prepare(wish, few_digits()[1]).model


def test_two_runs_give_one_file_and_the_file_tells_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = few_digits()
    monkeypatch.setattr(data, "mnist_digits", lambda: digits)
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        words = ["--out", str(path), "--metrics", str(path.with_suffix(".csv")), *OPTIONS]
        assert train.main(words) == 0
    (first, told), (second, _) = map(read_weights, paths)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    model = loaded(paths[0])
    metrics = evaluate(model, digits[1])
    assert told["accuracy"]["test_top1"] == metrics.accuracy
    assert told["accuracy"]["active_tokens"] == pytest.approx(metrics.active_tokens, abs=1e-6)
    assert told["accuracy"]["test_images"] == 16
    assert (told["recipe"]["epochs"], told["seed"]) == (2, 0)
    assert model.config.halting.learned
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    round_weights(model)  # they were on their grids already
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    rows = list(csv.DictReader(paths[0].with_suffix(".csv").open()))
    assert [row["halting"] for row in rows] == ["0", "1"]
    assert "test_top1" in capsys.readouterr().out


def test_augmented_digits_are_pixels_and_differ() -> None:
    digits = torch.from_numpy(few_digits()[0].pixels).float()
    moved = augmented(digits, torch.Generator().manual_seed(0))
    assert torch.equal(moved, moved.round())
    assert float(moved.min()) >= 0.0
    assert float(moved.max()) <= 255.0
    assert not torch.equal(moved, digits)
    assert float(moved.mean()) == pytest.approx(float(digits.mean()), rel=0.1)


def test_the_shipped_weights_are_as_good_as_they_say() -> None:
    state, told = read_weights(SHIPPED)
    assert SHIPPED.stat().st_size < 3_000_000
    model = loaded(SHIPPED)
    metrics = evaluate(model, mnist_digits()[1])
    # Exact where it was trained; elsewhere a rounded sigmoid may let a token go a step later.
    assert metrics.accuracy == pytest.approx(told["accuracy"]["test_top1"], abs=0.002)
    assert metrics.active_tokens == pytest.approx(told["accuracy"]["active_tokens"], abs=0.002)
    assert metrics.accuracy > 0.97
    assert 0.3 < metrics.active_tokens < 0.7
    assert told["train_images"] == 4000
    load_weights(model, state, SHIPPED)
