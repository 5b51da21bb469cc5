"""The units of the RTL on their own: tiles, mask scans and neurons in, cycles and results out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.token_skip.compact import Compact
from simulator.config.arrays import Bools, Ints
from simulator.hil.benches import (
    ARRAY_SOURCES,
    PLANE_BITS,
    array_parameters,
    bit_words,
    field_words,
    port_words,
    skip_design,
    unpack_fields,
)
from simulator.hil.verilator import RtlDesign, run

LIF_LATENCY_CYCLES = 3
"""Of the LIF unit itself; reading its operands makes it the vector unit's four."""


class Tile(NamedTuple):
    """A stream of words: bool (word, input), and int (word,) item and plane of each.

    `weights`: int (input, column), whole numbers of `weight_bits`, signed; with `one_bit` 0 or 1.
    """

    words: Bools
    item: Ints
    plane: Ints
    weights: Ints
    one_bit: bool = False


class TileRun(NamedTuple):
    """What the array did with a tile; `sums`: int (item, column), items from 0 to the largest.

    `cycles`: from the first word to the last row's end; `drain_cycles`: from there to the last
    merge; `adding`: lane-cycles that added; the others are counts of words, and cycles in which
    the dispatcher waited.
    """

    cycles: int
    adding: int
    pushed: int
    dropped: int
    waited: int
    merged: int
    drain_cycles: int
    sums: Ints


class ScanRun(NamedTuple):
    """What the token-skip unit did: `reading` and `stalled` cycles, `cycles` to the whole list."""

    reading: int
    cycles: int
    stalled: int
    live: int
    tokens: Ints


class LifRun(NamedTuple):
    """Spikes bool and membranes int (vector, lane), and the cycles from sums to spikes."""

    latency_cycles: Ints
    spikes: Bools
    membrane: Ints


def tile_design(array: SpikeSkip, items: int = 256, port_inputs: int = 4) -> RtlDesign:
    """The array alone, with partial sums of so many items."""
    more = {"BLOCK_ITEMS": items, "PORT_INPUTS": port_inputs, "SUM_BLOCKS": 2}
    parameters = array_parameters(array, **more, PLANE_BITS=PLANE_BITS)
    return RtlDesign("spike_skip_tile", ARRAY_SOURCES, "tile_bench.cpp", parameters)


def run_tiles(array: SpikeSkip, tiles: Sequence[Tile], items: int = 256) -> list[TileRun]:
    """Run tiles on the RTL of the array, in one process. Raises DeviceError."""
    design = tile_design(array, items)
    port_inputs = design.parameters["PORT_INPUTS"]
    commands, loaded = [], None
    for tile in tiles:
        count = int(tile.item.max(initial=-1)) + 1
        same = tile.weights is loaded
        weights = np.zeros((0, 0), np.int32)
        if not same:
            weights = port_words(tile.weights, array, port_inputs, tile.one_bit)
            loaded = tile.weights
        stream = np.column_stack([bit_words(tile.words), tile.item, tile.plane]).astype(np.int32)
        head = [len(tile.words), count, int(tile.one_bit), len(weights)]
        commands += [np.array(head, np.int32), weights.reshape(-1), stream.reshape(-1)]
    answer = run(design, np.concatenate(commands))
    runs, place = [], 0
    for tile in tiles:
        count = int(tile.item.max(initial=-1)) + 1
        cycles, adding, pushed, dropped, waited, merged, drain = answer[place : place + 7].tolist()
        end = place + 7 + count * array.columns
        sums = answer[place + 7 : end].reshape(count, array.columns).astype(np.int64)
        runs.append(TileRun(cycles, adding, pushed, dropped, waited, merged, drain, sums))
        place = end
    return runs


def run_scans(
    skip: Compact, masks: Sequence[Bools], *, keep: bool = True, take_every: int = 1
) -> list[ScanRun]:
    """Scan masks, bool (token,). `keep`: the list stays; else a token is taken every so often."""
    design = skip_design(skip)
    scan = skip.scan_tokens_per_cycle
    commands = []
    for mask in masks:
        groups = -(-len(mask) // scan)
        padded = np.zeros((groups, scan), np.bool_)
        padded.reshape(-1)[: len(mask)] = mask
        head = np.array([len(mask), int(keep), take_every], np.int32)
        commands += [head, bit_words(padded).reshape(-1)]
    answer = run(design, np.concatenate(commands))
    runs, place = [], 0
    for _ in masks:
        reading, cycles, stalled, live, listed = answer[place : place + 5].tolist()
        tokens = answer[place + 5 : place + 5 + listed].astype(np.int64)
        runs.append(ScanRun(reading, cycles, stalled, live, tokens))
        place += 5 + listed
    return runs


def lif_design(lanes: int, sum_bits: int, membrane_bits: int, fraction_bits: int) -> RtlDesign:
    """The LIF unit alone."""
    parameters = {"LANES": lanes, "SUM_BITS": sum_bits, "MEMBRANE_BITS": membrane_bits}
    return RtlDesign(
        "lif_unit", ("lif_unit.sv",), "lif_bench.cpp", parameters | {"FRACTION_BITS": fraction_bits}
    )


def run_lif(
    design: RtlDesign, sums: Ints, bias: Ints, membrane: Ints, threshold: int, at_rest: Bools
) -> LifRun:
    """One step of neurons: bool `at_rest` (vector,), the other arrays int (vector, lane)."""
    lanes = design.parameters["LANES"]
    sum_bits, membrane_bits = design.parameters["SUM_BITS"], design.parameters["MEMBRANE_BITS"]
    fields = [field_words(sums, sum_bits), field_words(bias, sum_bits)]
    fields.append(field_words(membrane, membrane_bits))
    stream = np.column_stack([at_rest.astype(np.int32), *fields]).astype(np.int32)
    commands = np.concatenate([np.array([len(sums), threshold], np.int32), stream.reshape(-1)])
    answer = run(design, commands).reshape(len(sums), -1)
    spike_words = -(-lanes // 32)
    spikes = unpack_fields(answer[:, 1 : 1 + spike_words], 1, lanes).astype(np.bool_)
    values = unpack_fields(answer[:, 1 + spike_words :], membrane_bits, lanes)
    return LifRun(answer[:, 0].astype(np.int64), spikes, values)
