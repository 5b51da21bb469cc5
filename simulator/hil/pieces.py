"""How a run is cut into pieces of work: what every image pays, then a block at a timestep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.hil.base import Work
from simulator.operations import read_network
from simulator.trace import Image, Outline, Trace


class Piece(NamedTuple):
    """Layers that run together, and the stored tensors that they or what follows them read.

    `block`: None for what is outside the blocks, the stem and the head.
    """

    block: int | None
    layers: tuple[str, ...]
    tensors: tuple[str, ...]


def cut(trace: Trace | Outline) -> tuple[Piece, ...]:
    """The piece outside the blocks, then each block's."""
    network = read_network(trace)
    found = []
    for block in (None, *range(network.blocks)):
        own = {layer.index for layer in network.layers if layer.block == block}
        layers = tuple(network.layers[index].name for index in sorted(own))
        tensors = (name for name in network.tensors if own & set(network.consumers.get(name, ())))
        found.append(Piece(block, layers, tuple(tensors)))
    return tuple(found)


def work_of(
    piece: Piece,
    timestep: int,
    tensors: Mapping[str, npt.NDArray[np.uint8]],
    live: npt.NDArray[np.bool_] | None,
) -> Work:
    """The work of a piece: a block at one `timestep`, whose tokens `live` (token,) run there.

    `tensors`: as in an image, or this timestep of them alone.
    """
    active = {} if piece.block is None or live is None else {str(piece.block): live[None]}
    given = {name: tensors[name] for name in piece.tensors}
    if piece.block is not None:
        given = {
            name: bits if len(bits) == 1 else bits[timestep : timestep + 1]
            for name, bits in given.items()
        }
    return Work(piece.layers, timestep, given, active)


def works_of(trace: Trace, image: Image) -> Iterator[Work]:
    """The work of a whole image in the order in which a live run would ask for its cost."""
    outside, *blocks = cut(trace)
    yield work_of(outside, 0, image.tensors, None)
    for timestep in range(len(image.active["0"])):
        for piece in blocks:
            live = image.active[str(piece.block)][timestep]
            if live.any():
                yield work_of(piece, timestep, image.tensors, live)
