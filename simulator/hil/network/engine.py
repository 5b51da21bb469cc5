"""Runs images of a fixed-point network on the compiled RTL, and reads what happened in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.config.arrays import Bools, Ints
from simulator.errors import DeviceError
from simulator.hil.benches import ARRAY_SOURCES
from simulator.hil.layer_design import engine_design
from simulator.hil.network.board import RtlBoard
from simulator.hil.network.driver import BoardOutcome, Driver
from simulator.hil.network.program import Compiled
from simulator.hil.verilator import SOURCES as FOLDER
from simulator.hil.verilator import RtlDesign, Words

SOURCES = (
    "network_pkg.sv",
    "network_top.sv",
    "sequencer.sv",
    "registers.sv",
    "dram_port.sv",
    "weight_port.sv",
    "word_feeder.sv",
    "map_memory.sv",
    "token_memory.sv",
    "bit_columns.sv",
    "score_memory.sv",
    "list_memory.sv",
    "image_loader.sv",
    "vector_engine.sv",
    "neuron_unit.sv",
    "spike_counter.sv",
    "halting_unit.sv",
    "head_unit.sv",
    "result_writer.sv",
    "token_skip.sv",
    *ARRAY_SOURCES,
)
SIZES = {
    "STREAM_BITS": 4,
    "TOKENS": 64,
    "TILES": 4,
    "CLASSES": 16,
    "MAP_DEPTH": 1024,
    "TOKEN_DEPTH": 2048,
    "VALUE_DEPTH": 8,
    "KEY_DEPTH": 16,
    "SCORE_DEPTH": 256,
    "STREAM_DEPTH": 4096,
    "MEMBRANE_DEPTH": 8192,
    "ATTENTION_CHANNELS": 512,
    "CONSTANT_DEPTH": 512,
    "HEAD_DEPTH": 256,
    "PROGRAM_DEPTH": 256,
    "MAP_WIDTH": 64,
    "IMAGE_BEATS": 32,
}
"""The largest network that the engine takes, and the memories for it."""
LARGER = SIZES | {
    "TILES": 12,
    "TOKEN_DEPTH": 8192,
    "VALUE_DEPTH": 16,
    "KEY_DEPTH": 32,
    "SCORE_DEPTH": 512,
    "STREAM_DEPTH": 8192,
    "MEMBRANE_DEPTH": 32768,
    "ATTENTION_CHANNELS": 2048,
}
"""Those of an engine for four blocks of 384 channels."""
COLUMNS = (16, 32)
"""That the engine is made for."""
CHUNK_BEATS = 32
_RESULT, _STEP, _END, _HEAD, _MASK = range(1, 6)
"""Kinds of entries of the log (network_bench.cpp)."""


class Results(NamedTuple):
    """Hold vectors that the engine wrote, in order.

    issued, tile, token, row: int (vector,): instruction in the order of issue, column tile, and
    row: of a head's channels where columns are places in the list. spikes: bool (vector, column).
    values: int (vector, column), counts of early integration, or the stream with the spikes added.
    """

    issued: Ints
    tile: Ints
    token: Ints
    row: Ints
    spikes: Bools
    values: Ints


class BoardRun(NamedTuple):
    """Hold what the engine did with an image.

    steps: the single steps of early integration. ended: cycle at which each issued instruction had
    ended. masks: bool (decision, token), live behind each decision. head_cycle: at which the logits
    were there.
    """

    logits: Ints
    counters: dict[str, int]
    results: Results
    steps: Results
    ended: Ints
    masks: Bools
    head_cycle: int


def network_design(architecture: Architecture, sizes: Mapping[str, int] = SIZES) -> RtlDesign:
    """Return the network engine of a machine. Raises DeviceError for one that the RTL cannot be."""
    layers = engine_design(architecture).parameters
    array, weights = architecture.core.pe_array, architecture.core.buffers.weights
    assert isinstance(array, SpikeSkip)
    own = re.findall(r"parameter int (\w+)", (FOLDER / "network_top.sv").read_text("utf-8"))
    parameters = {name: value for name, value in layers.items() if name in own}
    needed = {"COLUMNS": COLUMNS, "WEIGHT_BITS": (8,), "PORT_INPUTS": (4,), "SUM_BITS": (16,)}
    for name, values in (needed | {"MEMBRANE_BITS": (16,)}).items():
        if parameters[name] not in values:
            raise DeviceError(
                f"network engine: {architecture.name}: {name} {parameters[name]}: "
                f"must be {' or '.join(map(str, values))}"
            )
    slots = weights.capacity_bits // (array.word_inputs * array.columns * array.weight_bits)
    if slots & (slots - 1):
        raise DeviceError(
            f"network engine: {architecture.name}: buffers.weights holds {slots} chunks: "
            "must be a power of two"
        )
    parameters |= {"WEIGHT_SLOTS": slots, **sizes}
    return RtlDesign("network_top", SOURCES, "network_bench.cpp", parameters)


def dram_latency_cycles(architecture: Architecture) -> int:
    """Return the cycles from a request of the machine's DRAM to its first data."""
    dram, weights = architecture.memories.dram, architecture.core.buffers.weights
    bits = CHUNK_BEATS * int(weights.bits_per_cycle(architecture.clock_mhz))
    chunk = dram.read(bits, architecture.clock_mhz)
    if chunk.busy_cycles != CHUNK_BEATS:
        raise DeviceError(
            f"network engine: {architecture.name}: memories.dram: {bits} bits "
            f"take {chunk.busy_cycles} cycles: the RTL's port needs {CHUNK_BEATS}"
        )
    return chunk.latency_cycles


def run_images(
    architecture: Architecture,
    compiled: Compiled,
    images: Sequence[npt.NDArray[np.uint8]],
    sizes: Mapping[str, int] = SIZES,
) -> Iterator[BoardRun]:
    """Classify images (y, x) one after another. Raises DeviceError if the engine fails or hangs."""
    design = network_design(architecture, sizes)
    with closing(RtlBoard(design, dram_latency_cycles(architecture))) as board:
        driver = Driver(board, compiled)
        for image in images:
            outcome = driver.classify(image)
            yield _read_log(board.log(), design, outcome)


def _read_log(log: Words, design: RtlDesign, outcome: BoardOutcome) -> BoardRun:
    data = log.astype(np.int64) & 0xFFFFFFFF
    kind = data[:, 0]
    masks = _bits(data[kind == _MASK, 2:4]).astype(np.bool_)
    columns, stream_bits = design.parameters["COLUMNS"], design.parameters["STREAM_BITS"]
    return BoardRun(
        outcome.logits,
        outcome.counters,
        _read_results(data[kind == _RESULT], columns, stream_bits),
        _read_results(data[kind == _STEP], columns, stream_bits),
        data[kind == _END, 1],
        masks[:, : design.parameters["TOKENS"]],
        int(data[kind == _HEAD, 1][0]),
    )


def _read_results(entries: Ints, columns: int, stream_bits: int) -> Results:
    planes = _bits(entries[:, 7:11])[:, : stream_bits * columns]
    planes = planes.reshape(len(entries), stream_bits, columns)
    values = (planes << np.arange(stream_bits)[:, None]).sum(axis=1)
    spikes = _bits(entries[:, 6:7])[:, :columns].astype(np.bool_)
    issued, tile, token, row = entries[:, 2:6].T
    return Results(issued, tile, token, row, spikes, values)


def _bits(words: Ints) -> Ints:
    """Bits int (entry, bit) of words (entry, word), the lowest first."""
    digits: Ints = (words[:, :, None] >> np.arange(32)) & 1
    return digits.reshape(len(words), -1)
