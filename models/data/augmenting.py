"""More images than a set holds: turned and shifted copies, each of which says what it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.images import Images

MOST_DEGREES = 10.0
MOST_PIXELS = 2


def stretched(images: Images, count: int, seed: int) -> Images:
    """Return the images, then copies of them in turn, until there are `count`.

    A copy is turned by up to MOST_DEGREES and shifted by up to MOST_PIXELS, drawn by `seed`; its id
    tells by how much. Its label is that of the original.
    """
    rng = np.random.default_rng(seed)
    have = len(images.labels)
    order = np.arange(count) % have
    pixels, ids = images.pixels[order].copy(), [images.ids[place] for place in order]
    for place in range(have, count):
        degrees = round(float(rng.uniform(-MOST_DEGREES, MOST_DEGREES)), 1)
        right, down = rng.integers(-MOST_PIXELS, MOST_PIXELS + 1, 2).tolist()
        pixels[place] = _moved(pixels[place], degrees, (right, down))
        ids[place] += f" turned {degrees:+.1f} shifted {right:+d},{down:+d}"
    source = f"{images.source}; from the {have + 1}th on turned and shifted copies, seed {seed}"
    return Images(pixels, images.labels[order], tuple(ids), images.split, source)


def _moved(
    pixels: npt.NDArray[np.uint8], degrees: float, shift: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Each channel of (channel, h, w) turned about its centre and shifted; black comes in."""
    turned = [
        Image.fromarray(channel).rotate(
            degrees, resample=Image.Resampling.BILINEAR, translate=shift
        )
        for channel in pixels
    ]
    return np.stack([np.asarray(channel, dtype=np.uint8) for channel in turned])
