"""How a run is cut into pieces of work: what every image pays, blocks at timesteps, an ending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.hil.base import Work
from simulator.operations import read_network
from simulator.trace import Outline, Trace


class Piece(NamedTuple):
    """Hold layers that run together, and the stored tensors that they or later ones read.

    `block`: None for what is outside the blocks.
    """

    block: int | None
    layers: tuple[str, ...]
    tensors: tuple[str, ...]


class Pieces(NamedTuple):
    """Hold a run in pieces, in the order in which they can be asked for.

    `outside`: the stem, and the head where it reads nothing that is stored; `blocks`: asked for at
    each timestep; `ending`: layers that read what the blocks have stored, such as a head behind
    neurons; None where there are none.
    """

    outside: Piece
    blocks: tuple[Piece, ...]
    ending: Piece | None


def cut(trace: Trace | Outline) -> Pieces:
    """Return the pieces of a trace's network."""
    network = read_network(trace)
    inside = {layer.index for layer in network.layers if layer.block is not None}
    last = max(inside, default=-1)
    stored = {
        index
        for name in network.tensors
        for index in network.consumers.get(name, ())
        if index > last
    }

    def piece(block: int | None, own: set[int]) -> Piece:
        layers = tuple(network.layers[index].name for index in sorted(own))
        tensors = (n for n in network.tensors if own & set(network.consumers.get(n, ())))
        return Piece(block, layers, tuple(tensors))

    blocks = tuple(
        piece(block, {layer.index for layer in network.layers if layer.block == block})
        for block in range(network.blocks)
    )
    outside = {layer.index for layer in network.layers} - inside - stored
    return Pieces(piece(None, outside), blocks, piece(None, stored) if stored else None)


def work_of(
    piece: Piece,
    timestep: int,
    tensors: Mapping[str, npt.NDArray[np.uint8]],
    live: npt.NDArray[np.bool_] | None,
) -> Work:
    """Return the work of a piece: a block at one `timestep`, with its tokens `live` (token,).

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
