"""Augmentation, in two steps: draw for a whole global batch, apply to the images at hand.

Drawing is cheap and happens alike in every process; so several processes, each with its share of
a batch, train on the very images that one process would.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.recipe import Augmentation

Drawn = dict[str, Tensor]
"""Parameters by name, one entry an image (image, ...)."""

LARGEST_SEED = 2**62


def draw(recipe: Augmentation, images: int, generator: torch.Generator) -> Drawn:
    """Return what happens to each of `images` images."""
    drawn: Drawn = {}
    if (most := recipe.affine) is not None:
        reaches = [math.radians(most.rotation_degrees), most.scaling, most.shear]
        reaches += 2 * [most.shift_pixels]
        drawn["affine"] = torch.stack(
            [(torch.rand(images, generator=generator) * 2.0 - 1.0) * reach for reach in reaches], 1
        )
    if recipe.crop_padding:
        places = 2 * recipe.crop_padding + 1
        drawn["crop"] = torch.randint(places, (images, 2), generator=generator)
    if recipe.flip:
        drawn["flip"] = torch.rand(images, generator=generator) < 0.5
    if recipe.rand_augment or recipe.erasing or recipe.resized_crop or recipe.event_moves:
        drawn["seed"] = torch.randint(LARGEST_SEED, (images,), generator=generator)
    return drawn


class Mixing(NamedTuple):
    """Describe how a batch is mixed.

    weight: of an image against its partner.
    box: (top, bottom, left, right) where cutmix takes the partner's pixels, None for mixup.
    """

    weight: float = 1.0
    box: tuple[int, int, int, int] | None = None


def draw_mixing(recipe: Augmentation, side: int, generator: torch.Generator) -> Mixing:
    """Draw a batch's mixing: mixup (Zhang et al., ICLR 2018) or cutmix (Yun et al., ICCV 2019)."""
    # timm's Mixup draws from numpy's global generator, so its weights would be others; it wants an
    # even batch and blends pixels that are no longer integers.

    def chance() -> float:
        return float(torch.rand((), generator=generator))

    if not (recipe.mixup or recipe.cutmix) or chance() >= recipe.mix_probability:
        return Mixing()
    if recipe.cutmix and (not recipe.mixup or chance() < recipe.mix_switch):
        cut = side * math.sqrt(1.0 - draw_weight(recipe.cutmix, generator))
        ends = []
        for _ in range(2):
            centre = int(chance() * side)
            ends += [max(0, centre - int(cut) // 2), min(side, centre + (int(cut) + 1) // 2)]
        top, bottom, left, right = ends
        # Cut off at a border, the box is smaller than drawn: its true share counts.
        return Mixing(1.0 - (bottom - top) * (right - left) / side**2, (top, bottom, left, right))
    return Mixing(draw_weight(recipe.mixup, generator))


def draw_weight(alpha: float, generator: torch.Generator) -> float:
    """Return a weight from Beta(alpha, alpha), as a ratio of two Gamma(alpha) variables."""
    # The public Gamma and Beta of torch.distributions draw from the default generator only.
    first, second = torch._standard_gamma(
        torch.full((2,), alpha, dtype=torch.float64), generator=generator
    ).tolist()
    return first / (first + second) if first + second > 0.0 else 1.0


def apply(
    recipe: Augmentation, pixels: Tensor, drawn: Drawn, mean: tuple[float, ...] = ()
) -> Tensor:
    """Return the augmented images (image, channel, h, w); pixels stay integers 0..255.

    `mean`: of the pixels by channel, 0..1, which fills what an operation leaves blank.
    """
    if "affine" in drawn:
        pixels = _affine(pixels, drawn["affine"])
    if "crop" in drawn:
        pixels = _cropped(pixels, drawn["crop"], recipe.crop_padding)
    if "flip" in drawn:
        flipped = drawn["flip"].view(-1, *[1] * (pixels.ndim - 1))
        pixels = torch.where(flipped, pixels.flip(-1), pixels)
    if "seed" in drawn:
        transform = _transform(recipe, pixels.shape[-1], mean)
        pixels = _by_image(pixels, drawn["seed"], transform)
    return pixels


def mixed(pixels: Tensor, mixing: Mixing) -> Tensor:
    """Return each image mixed with its partner, the one as far from the batch's other end."""
    if mixing.box is None:
        mix = mixing.weight * pixels + (1.0 - mixing.weight) * pixels.flip(0)
        # Rounded, most counts of events would be lost: they are few.
        return mix.round() if pixels.ndim == 4 else mix
    top, bottom, left, right = mixing.box
    pixels, partner = pixels.clone(), pixels.flip(0)
    pixels[..., top:bottom, left:right] = partner[..., top:bottom, left:right]
    return pixels


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
    places = zip(F.pad(pixels, (padding,) * 4), corners.tolist(), strict=True)
    return torch.stack([each[:, y : y + height, x : x + width] for each, (y, x) in places])


def _transform(
    recipe: Augmentation, side: int, mean: tuple[float, ...]
) -> Callable[[Tensor], Tensor]:
    """Return moves of events, resized crop, RandAugment and random erasing of one 8-bit image."""
    from torchvision.transforms import v2

    fill = [round(255.0 * value) for value in mean] or [0]
    steps: list[Callable[[Tensor], Tensor]] = [moved_events] if recipe.event_moves else []
    if recipe.resized_crop:
        steps.append(v2.RandomResizedCrop(side, (recipe.resized_crop, 1.0), antialias=True))
    if recipe.rand_augment:
        # timm itself: its policies are what the field's recipes name.
        from timm.data.auto_augment import rand_augment_transform

        # As timm's create_transform sets them.
        blank = tuple(fill) if len(fill) > 1 else fill[0]
        settings = {"img_mean": blank, "translate_const": int(side * 0.45)}
        chosen = rand_augment_transform(recipe.rand_augment, settings)
        steps += [v2.ToPILImage(), chosen, v2.PILToTensor()]
    if recipe.erasing:
        steps.append(v2.RandomErasing(recipe.erasing, value=fill))
    return v2.Compose(steps)


def moved_events(counts: Tensor) -> Tensor:
    """Return counts (timestep, polarity, h, w) after one of six moves, the same at every timestep.

    Nothing, a shear, a shift to a side or down, a turn, or a square without events, each as likely,
    with 31 strengths; Spikformer's for CIFAR10-DVS (ZK-Zhou/spikformer, cifar10dvs/autoaugment.py).
    """
    from torchvision.transforms import v2

    move = int(torch.randint(6, ()))
    strength = float(torch.linspace(-1.0, 1.0, 31)[torch.randint(31, ())])
    if move == 5:
        return v2.RandomErasing(1.0, scale=(0.001, 0.11), ratio=(1.0, 1.0))(counts)
    shear, right, down, turn = (strength * (move == number) for number in (1, 2, 3, 4))
    return v2.functional.affine(
        counts,
        angle=30.0 * turn,
        translate=[int(5.0 * right), int(5.0 * down)],
        scale=1.0,
        shear=[math.degrees(0.3 * shear), 0.0],
    )


def _by_image(pixels: Tensor, seeds: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Transform each image under its own seed; global generators are left as they were.

    torchvision draws from torch's, timm from Python's and numpy's.
    """
    changed = []
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            for image, seed in zip(pixels.to(torch.uint8), seeds.tolist(), strict=True):
                torch.manual_seed(seed)
                random.seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                changed.append(transform(image))
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
    return torch.stack(changed).to(pixels.dtype)
