"""Augmentation: whole pixels, an own draw for every image, the same in any share of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.data.images import mnist_digits, sample_images
from models.evaluate import pixels_of
from models.training import augment
from models.training.augment import Mixing
from models.training.recipe import Affine, Augmentation
from models.training.sharding import RankGroup, share_of

AFFINE = Affine(rotation_degrees=12.0, scaling=0.12, shear=0.15, shift_pixels=2.5)
EVERYTHING = Augmentation(
    affine=AFFINE,
    resized_crop=0.5,
    crop_padding=4,
    flip=True,
    rand_augment="rand-m9-n2-mstd0.5-inc1",
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
    blended = augment.mixed(whole, Mixing(0.3))
    drawn = augment.draw(EVERYTHING, 11, torch.Generator().manual_seed(0))
    seen = torch.zeros(11, dtype=torch.int64)
    for rank in range(size):
        share = share_of(11, RankGroup(rank, size))
        ours = {name: values[share] for name, values in drawn.items()}
        part = augment.apply(EVERYTHING, pictures[share], ours)
        assert torch.equal(part, whole[share])
        assert torch.equal(augment.mixed(part, Mixing(0.3)), blended[share])
        seen[share] += 1
    assert seen.tolist() == [1] * 11
    assert torch.equal(torch.get_rng_state(), before)


def test_mixing_weights_follow_a_beta() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([augment.draw_weight(0.5, generator) for _ in range(2000)])
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(0.125, abs=0.01)  # 1 / (4 (2 alpha + 1))


def test_cutmix_weighs_labels_by_the_area_it_leaves() -> None:
    recipe, generator = Augmentation(cutmix=1.0), torch.Generator().manual_seed(0)
    pixels = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8).contiguous()
    areas = set()
    for _ in range(50):
        mixing = augment.draw_mixing(recipe, 8, generator)
        cut = augment.mixed(pixels, mixing)
        kept = (cut == pixels).double().mean((1, 2, 3))
        assert kept.tolist() == [mixing.weight] * 4
        areas.add(mixing.weight)
    assert len(areas) > 10


def test_a_share_of_batches_is_mixed_and_a_share_of_those_cut() -> None:
    recipe = Augmentation(mixup=0.8, cutmix=1.0, mix_probability=0.6, mix_switch=0.25)
    generator = torch.Generator().manual_seed(0)
    drawn = [augment.draw_mixing(recipe, 32, generator) for _ in range(2000)]
    mixed = [each for each in drawn if each != Mixing()]
    assert len(mixed) / 2000 == pytest.approx(0.6, abs=0.04)
    cut = [each for each in mixed if each.box is not None]
    assert len(cut) / len(mixed) == pytest.approx(0.25, abs=0.04)


def test_erasing_leaves_the_mean_pixel() -> None:
    pixels = torch.full((20, 3, 16, 16), 7.0)
    drawn = augment.draw(Augmentation(erasing=1.0), 20, torch.Generator().manual_seed(0))
    erased = augment.apply(Augmentation(erasing=1.0), pixels, drawn, (0.2, 0.4, 0.6))
    for channel, value in enumerate((51.0, 102.0, 153.0)):
        assert set(erased[:, channel].unique().tolist()) == {7.0, value}


def test_global_generators_are_left_as_they_were() -> None:
    import random

    import numpy as np

    def states() -> tuple[object, ...]:
        arrays = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        return random.getstate(), arrays["pos"], arrays["key"].tolist()

    before = states()
    augmented(EVERYTHING, pixels_of(sample_images("cifar10", 2)))
    assert states() == before
