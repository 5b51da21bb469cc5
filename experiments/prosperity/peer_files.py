"""Files of spikes in the layout of Prosperity's simulator, and the networks that they are of.

Each tensor of NAME.npz is `np.packbits` of its flattened bits, its shape beside it. The vision
networks of its evaluation are kept as shapes, from the workload tables of
github.com/dubcyfor3/Prosperity (MIT). First layers are not in them; q, k and v are one linear
layer. Some figures are that source's own: VGG9's last neurons are 4096 though its layer has 1024
outputs, and are kept, since its cycles rest on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.prosperity.workload import Attention, Neurons, Operation, Product
from simulator.config.arrays import Bools


def _convolution(
    name: str, timesteps: int, size: int, channels: tuple[int, int], kernel: int = 3
) -> Product:
    """A convolution that keeps the map's size, so many pixels a side."""
    taps = kernel * kernel
    return Product(name, timesteps, size * size, channels[0] * taps, channels[1], taps)


def _stem(timesteps: int, dim: int, sizes: Sequence[int], last: str) -> list[Operation]:
    """The four spiking convolutions of the patch splitting of Spikformer and SDT."""
    found: list[Operation] = []
    widths = [dim // 8, dim // 4, dim // 2, dim, dim]
    for index, name in enumerate(("1", "2", "3", "rpe")):
        size, channels = sizes[index], (widths[index], widths[index + 1])
        found.append(_convolution(f"conv2d_{name}_sps", timesteps, size, channels))
        neurons = name if name != "rpe" else last
        found.append(Neurons(f"lif_{neurons}_sps", size * size * channels[1], timesteps))
    return found


def _linear(
    name: str, tag: str, timesteps: int, tokens: int, sizes: tuple[int, int]
) -> list[Operation]:
    """A linear layer and its neurons."""
    return [
        Product(f"fc_{name}_{tag}", timesteps, tokens, sizes[0], sizes[1]),
        Neurons(f"lif_{name}_{tag}", tokens * sizes[1], timesteps),
    ]


def spikformer(
    dim: int, depth: int, heads: int, timesteps: int, sizes: Sequence[int]
) -> list[Operation]:
    """Spikformer; `sizes`: pixels a side of the four spiking convolutions."""
    tokens = sizes[3] * sizes[3]
    found = _stem(timesteps, dim, sizes, "rpe")
    for block in range(depth):
        tag = f"enc_{block}"
        found += _linear("q", tag, timesteps, tokens, (dim, 3 * dim))
        found.append(
            Attention(f"attention_{tag}", "spikformer", timesteps, tokens, heads, dim // heads)
        )
        found.append(Neurons(f"lif_attn_{tag}", dim * tokens, timesteps))
        found += _linear("o", tag, timesteps, tokens, (dim, dim))
        found += _linear("1", tag, timesteps, tokens, (dim, 4 * dim))
        found += _linear("2", tag, timesteps, tokens, (4 * dim, dim))
    return found


def sdt(dim: int, depth: int, heads: int, timesteps: int, sizes: Sequence[int]) -> list[Operation]:
    """Spike-driven Transformer; its attention brings its own neurons."""
    tokens = sizes[3] * sizes[3]
    found = _stem(timesteps, dim, sizes, "sc")
    for block in range(depth):
        tag = f"enc_{block}"
        found += _linear("q", tag, timesteps, tokens, (dim, 3 * dim))
        found.append(Attention(f"attention_{tag}", "sdt", timesteps, tokens, heads, dim // heads))
        found += _linear("o", tag, timesteps, tokens, (dim, dim))
        found += _linear("1", tag, timesteps, tokens, (dim, 4 * dim))
        found += _linear("2", tag, timesteps, tokens, (4 * dim, dim))
    return found


def vgg9(timesteps: int = 4, size: int = 32) -> list[Operation]:
    """VGG9 on images of `size` pixels a side."""
    widths = [64, 64, 128, 128, 256, 256]
    sizes = [size, size // 2, size // 2, size // 4, size // 4]
    found: list[Operation] = []
    for index, side in enumerate(sizes):
        channels = (widths[index], widths[index + 1])
        found.append(_convolution(f"conv2d_{index + 1}", timesteps, side, channels))
        found.append(Neurons(f"lif_{index + 1}", side * side * channels[1], timesteps))
    found.append(Product("fc_0", timesteps, 1, (size // 8) ** 2 * 256, 1024))
    found.append(Neurons("lif_6", 4096, timesteps))
    return found


Arrays = dict[str, Bools]


def read_arrays(path: Path) -> Arrays:
    """The tensors of a file by name. Raises ValueError for a file of another layout."""
    with np.load(path, allow_pickle=False) as file:
        return {
            key: np.unpackbits(file[key], count=int(np.prod(file[f"{key}__shape"])))
            .reshape(file[f"{key}__shape"])
            .view(np.bool_)
            for key in file.files
            if not key.endswith("__shape")
        }


def network_of(arrays: Arrays) -> list[Operation]:
    """The shapes, from those of the spikes: which network it is shows in its operations."""
    if "conv2d_1_sps" not in arrays:
        timesteps, _, size, _ = arrays["conv2d_1"].shape
        return vgg9(timesteps, size)
    stem = [arrays[f"conv2d_{name}_sps"] for name in ("1", "2", "3", "rpe")]
    sizes = [maps.shape[2] for maps in stem]
    timesteps, dim = stem[3].shape[:2]
    depth = sum(key.startswith("fc_q_enc_") for key in arrays)
    # Neither heads nor the kind of attention are in a shape: those of the published networks.
    if dim == 512:
        return sdt(dim, depth, 8, timesteps, sizes)
    heads = {(384, 4): 12, (256, 16): 16}.get((dim, timesteps), dim // 32)
    return spikformer(dim, depth, heads, timesteps, sizes)
