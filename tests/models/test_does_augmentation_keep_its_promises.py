"""Augmentation: whole pixels, an own draw for every image, the same in any share of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.data.images import mnist_digits, sample_images
from models.evaluate import pixels_of
from models.training import augment
from models.training.recipe import Affine, Augmentation, RandAugment
from models.training.sharding import Group, share_of

AFFINE = Affine(rotation_degrees=12.0, scaling=0.12, shear=0.15, shift_pixels=2.5)
EVERYTHING = Augmentation(
    affine=AFFINE,
    resized_crop=0.5,
    crop_padding=4,
    flip=True,
    rand_augment=RandAugment(operations=2, magnitude=9),
    erasing=0.5,
)


def augmented(recipe: Augmentation, pixels: Tensor, seed: int = 0) -> Tensor:
    drawn = augment.draw(recipe, len(pixels), torch.Generator().manual_seed(seed))
    return augment.apply(recipe, pixels, drawn)


@pytest.mark.parametrize("recipe", [Augmentation(affine=AFFINE), EVERYTHING], ids=["affine", "all"])
def test_pixels_stay_pixels_and_move(recipe: Augmentation) -> None:
    digits = pixels_of(mnist_digits()[0].first(48))
    moved = augmented(recipe, digits)
    assert torch.equal(moved, moved.round())
    assert float(moved.min()) >= 0.0
    assert float(moved.max()) <= 255.0
    assert not torch.equal(moved, digits)
    if recipe is not EVERYTHING:
        assert float(moved.mean()) == pytest.approx(float(digits.mean()), rel=0.1)
    assert torch.equal(augmented(recipe, digits), moved)
    assert not torch.equal(augmented(recipe, digits, 1), moved)


def test_nothing_asked_nothing_done() -> None:
    pictures = pixels_of(sample_images("cifar10", 4))
    assert torch.equal(augmented(Augmentation(), pictures), pictures)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_the_batch(size: int) -> None:
    """Whatever the processes, the same images come out, and the same mixtures."""
    pictures = pixels_of(sample_images("cifar10", 11))
    before = torch.get_rng_state()
    whole = augmented(EVERYTHING, pictures)
    blended = augment.mixed(whole, 0.3)
    drawn = augment.draw(EVERYTHING, 11, torch.Generator().manual_seed(0))
    seen = torch.zeros(11, dtype=torch.int64)
    for rank in range(size):
        share = share_of(11, Group(rank, size))
        ours = {name: values[share] for name, values in drawn.items()}
        part = augment.apply(EVERYTHING, pictures[share], ours)
        assert torch.equal(part, whole[share])
        assert torch.equal(augment.mixed(part, 0.3), blended[share])
        seen[share] += 1
    assert seen.tolist() == [1] * 11
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_labels_are_probabilities() -> None:
    labels = augment.mixed_labels(torch.tensor([0, 1, 2]), 0.25, 3)
    assert labels.tolist() == [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0], [0.75, 0.0, 0.25]]


def test_mixing_weights_follow_a_beta() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([augment.draw_mixing(0.5, generator) for _ in range(2000)])
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(0.125, abs=0.01)  # 1 / (4 (2 alpha + 1))
