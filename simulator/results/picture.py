"""The picture that a network looked at, out of its trace: small, as a PNG.

So that a report can draw over an image which of its patches halted when.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Floats
from simulator.operations import Network
from simulator.results.columns import Table, text
from simulator.trace import Image, pack_bits, unpack_bits

LARGEST_PX = 112
"""A side longer than this is reduced, by averaging whole blocks of pixels."""

Pixels = npt.NDArray[np.uint8]


def picture_tables(network: Network, images: Sequence[Image]) -> dict[str, Table]:
    """Return what the network saw in these images, and which of its tokens were computed where."""
    steps = [
        (image, timestep, block)
        for image in images
        for timestep in range(network.timesteps)
        for block in range(network.blocks)
    ]
    masks = [pack_bits(image.active[str(block)][step]).tobytes() for image, step, block in steps]
    pixels = [(image.index, thumbnail(network, image)) for image in images]
    seen = {index: png(each) for index, each in pixels if each is not None}
    return {
        "token_masks": {
            "image": np.array([image.index for image, _, _ in steps], np.int64),
            "timestep": np.array([timestep for _, timestep, _ in steps], np.int64),
            "block": np.array([block for _, _, block in steps], np.int64),
            "active_hex": text([mask.hex() for mask in masks]),
        },
        "pictures": {
            "image": np.array(list(seen), np.int64),
            "png_base64": text([base64.b64encode(each).decode("ascii") for each in seen.values()]),
        },
    }


def thumbnail(network: Network, image: Image) -> Pixels | None:
    """Return pixels (height, width, 3), or (height, width) in grey; None: no picture.

    A picture is what the first convolution reads. Its bit-planes give 0 to 255; of several
    timesteps the mean is shown, and of other than three channels their mean, in grey.
    """
    first = network.layers[0]
    if first.kind != "conv2d" or first.operand is None:
        return None
    _, height, width = first.window.in_grid
    tensor = network.tensors[first.operand]
    bits = unpack_bits(image.tensors[first.operand], tensor.channels)
    if bits.shape[2] != height * width:
        return None
    weight = 2.0 ** np.arange(tensor.planes) * 255 / (2**tensor.planes - 1)
    values = np.einsum("tprc,p->rc", bits, weight) / len(bits)
    if tensor.channels != 3:
        values = values.mean(axis=1, keepdims=True)
    picture = _reduced(values.reshape(height, width, -1))
    return np.rint(picture).astype(np.uint8).squeeze(axis=2 if tensor.channels != 3 else ())


def _reduced(values: Floats) -> Floats:
    """Blocks averaged by the smallest whole factor that fits LARGEST_PX and divides both sides."""
    height, width, channels = values.shape
    common = math.gcd(height, width)
    fitting = (n for n in range(1, common + 1) if common % n == 0)
    factor = next((n for n in fitting if max(height, width) // n <= LARGEST_PX), common)
    blocks = values.reshape(height // factor, factor, width // factor, factor, channels)
    reduced: Floats = blocks.mean(axis=(1, 3))
    return reduced


def png(pixels: Pixels) -> bytes:
    """Encode pixels as a PNG file (RFC 2083): a filter byte a row, one deflated piece."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels.size // height), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    colour_type = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">2I5B", width, height, 8, colour_type, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
