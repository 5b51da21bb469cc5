"""Compiles a fixed-point network for the network engine: its program and what it needs in DRAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import DeviceError
from simulator.hil.benches import pack_instruction
from simulator.hil.network.blocks import write_block
from simulator.hil.network.contents import pixel_shift
from simulator.hil.network.fixed import SCORE_BITS, FixedNetwork
from simulator.hil.network.instructions import FIELDS
from simulator.hil.network.stem import TAPS, write_stem
from simulator.hil.network.writer import Writer, WrittenLayer

Words = npt.NDArray[np.int32]
MOST_STREAM_VALUE = 15
MOST_LINE = 256
IMAGE_CHANNELS = 4


class Compiled(NamedTuple):
    """Hold a network for the engine.

    program: instructions as fields. made: of each instruction. loop: the first one of a timestep.
    configuration, weights: words of DRAM, weights a chunk after another. beat_words: of the DRAM
    port. settings: registers, from that of the program's size on.
    """

    network: FixedNetwork
    program: list[dict[str, int]]
    made: list[WrittenLayer]
    loop: int
    configuration: Words
    weights: Words
    beat_words: int
    settings: list[int]

    def instruction(self, issued: int) -> tuple[int, int]:
        """Return number and timestep of an instruction by its place in the order of issue."""
        if issued < self.loop:
            return issued, 0
        timestep, place = divmod(issued - self.loop, len(self.program) - self.loop)
        return self.loop + place, timestep


def compile_network(network: FixedNetwork, parameters: Mapping[str, int]) -> Compiled:
    """Write the program of a network. Raises DeviceError for one that the engine cannot run."""
    writer = Writer(network, parameters)
    _check(writer)
    rows = write_stem(writer)
    loop = len(writer.program)
    for block in range(len(network.blocks)):
        rows = write_block(writer, block, rows)
    writer.program[loop]["section"] = 1
    writer.program[-1]["loop_end"] = 1
    constants = len(writer.contents.constants)
    writer.limit("instructions", len(writer.program), parameters["PROGRAM_DEPTH"])
    writer.limit("constants", constants, parameters["CONSTANT_DEPTH"])
    instructions = [pack_instruction(each, FIELDS) for each in writer.program]
    return Compiled(
        network,
        writer.program,
        writer.made,
        loop,
        writer.contents.configuration(network, instructions, parameters["CLASSES"]),
        np.concatenate(writer.contents.chunks),
        writer.contents.beat_words,
        _settings(writer, constants),
    )


def _check(writer: Writer) -> None:
    """Raise DeviceError for a network that the engine's sizes do not hold."""
    network, parameters = writer.network, writer.parameters
    head_dim = network.dim // network.heads
    keys = -(-network.dim // writer.key_channels) * (parameters["TOKENS"] // writer.columns)
    for what, count, most in (
        ("tokens", network.tokens, min(parameters["TOKENS"], writer.word)),
        ("timesteps", network.timesteps, MOST_STREAM_VALUE),
        ("largest value of the stream", 2 + 2 * len(network.blocks), MOST_STREAM_VALUE),
        # Their logits are a beat.
        ("classes", len(network.head), min(parameters["CLASSES"], writer.contents.beat_words // 2)),
        ("channels of a token", network.dim, parameters["TILES"] * writer.columns),
        # As many as a score may count (scores are read as weights), in one word.
        (
            "channels of a head",
            head_dim,
            min((1 << (parameters["WEIGHT_BITS"] - 1)) - 1, writer.word),
        ),
        ("channels of the image", len(network.stages[0].layer.weights) // TAPS, IMAGE_CHANNELS),
        ("pixels of a line", network.side, min(parameters["MAP_WIDTH"], MOST_LINE)),
        ("entries of scores", network.heads * writer.score_room, parameters["SCORE_DEPTH"]),
        ("entries of keys", keys, parameters["KEY_DEPTH"]),
        ("entries of the head", len(network.head) * writer.tiles, parameters["HEAD_DEPTH"]),
    ):
        writer.limit(what, count, most)
    if head_dim % writer.key_channels:
        raise DeviceError(
            f"network engine: {network.name}: channels of a head {head_dim}: "
            f"must be a multiple of those in a beat of keys, {writer.key_channels}"
        )
    if network.side & (network.side - 1):
        raise DeviceError(
            f"network engine: {network.name}: pixels of a line {network.side}: "
            "must be a power of two"
        )


def _settings(writer: Writer, constants: int) -> list[int]:
    """The registers that describe the network, in order of their addresses."""
    network = writer.network
    shift = pixel_shift(network.stages[0].layer.weights.shape[0] // TAPS)
    pixels, classes = network.side * network.side, len(network.head)
    return [
        len(writer.program),
        constants,
        classes * writer.tiles,
        network.timesteps | classes << 8 | writer.tiles << 16,
        network.tokens,
        pixels | network.side << 16 | shift << 24,
        -(-(pixels << shift) // (4 * writer.contents.beat_words)),
        network.limit,
        (1 << SCORE_BITS) // network.timesteps,
        int(network.scores is not None),
    ]
