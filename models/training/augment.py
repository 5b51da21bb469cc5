"""Augmentation, in two steps: draw for a whole global batch, apply to the images at hand.

Drawing is cheap and happens alike in every process; so several processes, each with its share of
a batch, train on the very images that one process would.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.recipe import Affine, Augmentation

Drawn = dict[str, Tensor]
"""Parameters by name, one entry an image (image, ...)."""

LARGEST_SEED = 2**62


def draw(recipe: Augmentation, images: int, generator: torch.Generator) -> Drawn:
    """What happens to each of `images` images."""
    drawn: Drawn = {}
    if recipe.affine is not None:
        reaches = _reaches(recipe.affine)
        drawn["affine"] = torch.stack(
            [(torch.rand(images, generator=generator) * 2.0 - 1.0) * reach for reach in reaches], 1
        )
    if recipe.crop_padding:
        most = 2 * recipe.crop_padding + 1
        drawn["crop"] = torch.randint(most, (images, 2), generator=generator)
    if recipe.flip:
        drawn["flip"] = torch.rand(images, generator=generator) < 0.5
    if recipe.rand_augment is not None or recipe.erasing or recipe.resized_crop:
        drawn["seed"] = torch.randint(LARGEST_SEED, (images,), generator=generator)
    return drawn


def draw_mixing(alpha: float, generator: torch.Generator) -> float:
    """Mixup's weight of an image against its partner, one a batch (Zhang et al., ICLR 2018).

    From Beta(alpha, alpha), as a ratio of two Gamma(alpha) variables.
    """
    first, second = torch._standard_gamma(
        torch.full((2,), alpha, dtype=torch.float64), generator=generator
    ).tolist()
    return first / (first + second) if first + second > 0.0 else 1.0


def apply(recipe: Augmentation, pixels: Tensor, drawn: Drawn) -> Tensor:
    """The augmented images (image, channel, h, w); pixels stay whole numbers 0..255."""
    if "affine" in drawn:
        pixels = _affine(pixels, drawn["affine"])
    if "crop" in drawn:
        pixels = _cropped(pixels, drawn["crop"], recipe.crop_padding)
    if "flip" in drawn:
        pixels = torch.where(drawn["flip"].view(-1, 1, 1, 1), pixels.flip(3), pixels)
    if "seed" in drawn:
        transform = _transform(recipe, pixels.shape[-1])
        pixels = _by_image(pixels, drawn["seed"], transform)
    return pixels


def mixed(pixels: Tensor, weight: float) -> Tensor:
    """Each image blended with its partner, the one as far from the batch's other end."""
    return (weight * pixels + (1.0 - weight) * pixels.flip(0)).round()


def mixed_labels(labels: Tensor, weight: float, classes: int) -> Tensor:
    """The class probabilities (image, class) that belong to `mixed`."""
    own = F.one_hot(labels, classes).float()
    return weight * own + (1.0 - weight) * own.flip(0)


def _reaches(affine: Affine) -> tuple[float, ...]:
    """Largest angle, scaling, shear and shift (twice), in the order they are drawn."""
    return (
        math.radians(affine.rotation_degrees),
        affine.scaling,
        affine.shear,
        affine.shift_pixels,
        affine.shift_pixels,
    )


def _affine(pixels: Tensor, drawn: Tensor) -> Tensor:
    angle, scaling, shear, right, down = drawn.unbind(1)
    scale = 1.0 + scaling
    to_grid = 2.0 / pixels.shape[-1]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cos, shear - sin, right * to_grid], 1)
    second = torch.stack([sin, cos, down * to_grid], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False).round()


def _cropped(pixels: Tensor, corners: Tensor, padding: int) -> Tensor:
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (padding,) * 4)
    crops = [
        image[:, top : top + height, left : left + width]
        for image, (top, left) in zip(padded, corners.tolist(), strict=True)
    ]
    return torch.stack(crops)


def _transform(recipe: Augmentation, side: int) -> Callable[[Tensor], Tensor]:
    """Resized crop, RandAugment and random erasing of one 8-bit image."""
    from torchvision.transforms import v2

    steps: list[Callable[[Tensor], Tensor]] = []
    if recipe.resized_crop:
        steps.append(v2.RandomResizedCrop(side, (recipe.resized_crop, 1.0), antialias=True))
    if recipe.rand_augment is not None:
        steps.append(v2.RandAugment(recipe.rand_augment.operations, recipe.rand_augment.magnitude))
    if recipe.erasing:
        steps.append(v2.RandomErasing(recipe.erasing))
    return v2.Compose(steps)


def _by_image(pixels: Tensor, seeds: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Each image transformed under its own seed; torch's global generator is left as it was."""
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(pixels.to(torch.uint8), seeds.tolist(), strict=True):
            torch.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed).to(pixels.dtype)
