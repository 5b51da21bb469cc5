"""Toggles and switching energy of the RTL's units as gates, fed with what a trace holds.

The results of the gates are checked against the same references as those of the RTL, so that a
figure of energy never comes from gates that do something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.calibration.cells import Library
from experiments.calibration.gates import Energy, Gates, GateSimulation, synthesize
from experiments.calibration.reference import lif_step, wrapped
from experiments.calibration.units import lif_design
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.token_skip.compact import Compact
from simulator.components.vector_units.simd import Simd
from simulator.config.arrays import Bools, Ints
from simulator.errors import DeviceError
from simulator.hil.benches import ARRAY_SOURCES, array_parameters, skip_design
from simulator.hil.jobs import FRACTION_BITS, Job
from simulator.hil.verilator import RtlDesign


class UnitActivity(NamedTuple):
    """One unit: its gates, what it did (counts by the model's action names) and what that took."""

    unit: str
    gates: Gates
    counts: dict[str, int]
    energy: Energy


def row_activity(
    array: SpikeSkip, job: Job, port_inputs: int, library: Library, liberty: Path
) -> UnitActivity:
    """A PE row that walks the words of a job's first chunk one after another."""
    more = {"PORT_INPUTS": port_inputs, "TAG_BITS": 12, "LOCAL_CHUNKS": 2}
    parameters = array_parameters(array, **more)
    del parameters["ROWS"]
    gates = synthesize(RtlDesign("pe_row", ARRAY_SOURCES, "", parameters), library, liberty)
    simulation = GateSimulation(gates, library)
    inputs = job.chunks[0]
    words = np.zeros((len(job.live), array.word_inputs), np.bool_)
    words[:, :inputs] = job.operand[job.live, 0, :inputs]
    words = words[words.any(axis=1)]
    weights = np.zeros((array.word_inputs, array.columns), np.int64)
    weights[:inputs, : min(array.columns, job.weights.shape[1])] = job.weights[
        :inputs, : array.columns
    ]
    memory = [
        _number(group, array.weight_bits)
        for group in weights.reshape(-1, port_inputs * array.columns)
    ]
    sums = _walk(simulation, words, memory, array)
    expected = wrapped(words.astype(np.int64) @ weights, array.sum_bits)
    _must_equal("pe_row", sums, expected)
    ones = int(words.sum())
    counts = {
        "accumulate": ones * array.columns,
        "fifo_word": len(words),
        "result_word": len(words),
    }
    return UnitActivity("PE row", gates, counts, simulation.energy())


def _walk(
    simulation: GateSimulation, words: Bools, memory: Sequence[int], array: SpikeSkip
) -> Ints:
    """Push words as long as there is room, answer reads of weights, take results at once."""
    _reset(simulation)
    pushed, results = 0, []
    columns = array.columns
    for _ in range(int(words.sum()) + 4 * len(words) + 100):
        simulation.put("push", 0)
        simulation.put("result_pop", 0)
        simulation.settle()
        if pushed < len(words) and not simulation.get("full"):
            simulation.put("push", 1)
            simulation.put("push_word", _number(words[pushed], 1))
            pushed += 1
        if simulation.get("result_valid"):
            results.append(_fields(simulation.get("result_sums"), columns, array.sum_bits))
            simulation.put("result_pop", 1)
        simulation.settle()
        read = simulation.get("memory.read")
        address = simulation.get("memory.read_address")
        simulation.clock()
        if read:
            simulation.put("memory.read_data", memory[address])
        if len(results) == len(words):
            break
    return np.array(results, np.int64)


def lif_activity(
    vector: Simd, array: SpikeSkip, job: Job, library: Library, liberty: Path
) -> UnitActivity:
    """The LIF unit on the sums of a job's first columns, a vector a cycle."""
    lanes, bits = vector.lanes, array.sum_bits
    design = lif_design(lanes, bits, vector.membrane_bits, FRACTION_BITS)
    gates = synthesize(design, library, liberty)
    simulation = GateSimulation(gates, library)
    planes = 1 << np.arange(job.operand.shape[1], dtype=np.int64)
    values = np.einsum("rpi,p->ri", job.operand[job.live].astype(np.int64), planes)
    sums = wrapped(values @ job.weights[:, :lanes], bits)
    bias = job.bias[:lanes]
    membrane = np.zeros_like(sums)
    membrane[1:] = lif_step(
        sums[:-1] + bias, membrane[1:], job.threshold, vector.membrane_bits, FRACTION_BITS
    )[1]
    _reset(simulation)
    simulation.put("threshold", job.threshold)
    simulation.put("bias", _number(bias, bits))
    spikes = []
    for cycle in range(len(sums) + 3):
        simulation.put("sums_valid", int(cycle < len(sums)))
        if cycle < len(sums):
            simulation.put("sums", _number(sums[cycle], bits))
        if 0 < cycle <= len(sums):
            simulation.put("membrane", _number(membrane[cycle - 1], vector.membrane_bits))
        simulation.settle()
        if simulation.get("spikes_valid"):
            spikes.append(_fields(simulation.get("spikes"), lanes, 1))
        simulation.clock()
    right = lif_step(sums + bias, membrane, job.threshold, vector.membrane_bits, FRACTION_BITS)
    _must_equal("lif_unit", np.array(spikes, np.int64), right[0].astype(np.int64))
    counts = {"lif_update": len(sums) * lanes}
    return UnitActivity("LIF unit", gates, counts, simulation.energy())


def skip_activity(
    skip: Compact, masks: Sequence[Bools], library: Library, liberty: Path
) -> UnitActivity:
    """The token-skip unit on masks, each scanned and its list read once."""
    design = skip_design(skip)
    # A list needs no more bits for a token than its count has.
    narrow = dict(design.parameters) | {"TOKEN_BITS": skip.queue_tokens.bit_length()}
    gates = synthesize(design._replace(parameters=narrow), library, liberty)
    simulation = GateSimulation(gates, library)
    _reset(simulation)
    simulation.put("keep", 1)
    scan = skip.scan_tokens_per_cycle
    for mask in masks:
        _must_equal("token_skip", _scan(simulation, mask, scan), np.flatnonzero(mask))
    live = sum(int(mask.sum()) for mask in masks)
    counts = {"scan_token": sum(map(len, masks)), "queue_token": live}
    return UnitActivity("token skip", gates, counts, simulation.energy())


def _scan(simulation: GateSimulation, mask: Bools, scan: int) -> Ints:
    """Scan a mask and read its list."""
    padded = np.zeros(-(-len(mask) // scan) * scan, np.bool_)
    padded[: len(mask)] = mask
    groups = [_number(group, 1) for group in padded.reshape(-1, scan)]
    simulation.put("tokens", len(mask))
    for cycle in range(len(groups) + 100):
        simulation.put("scan", int(cycle == 0))
        simulation.settle()
        if cycle > 0 and simulation.get("ready"):
            break
        read, address = simulation.get("mask_read"), simulation.get("mask_address")
        simulation.clock()
        if read:
            simulation.put("mask", groups[address])
    listed = []
    for position in range(simulation.get("live")):
        simulation.put("list_read", 1)
        simulation.put("list_position", position)
        simulation.settle()
        simulation.clock()
        simulation.settle()
        listed.append(simulation.get("list_token"))
    simulation.put("list_read", 0)
    return np.array(listed, np.int64)


def _reset(simulation: GateSimulation) -> None:
    """Two cycles of reset, which are not counted."""
    simulation.put("reset", 1)
    for _ in range(2):
        simulation.settle()
        simulation.clock()
    simulation.put("reset", 0)
    simulation.settle()
    simulation.forget()


def _number(values: npt.NDArray[np.generic], bits: int) -> int:
    """Fields of so many bits each as one whole number, the first one lowest."""
    digits = (values.astype(np.int64)[:, None] >> np.arange(bits)) & 1
    packed = np.packbits(digits.astype(np.uint8).reshape(-1), bitorder="little")
    return int.from_bytes(packed.tobytes(), "little")


def _fields(number: int, count: int, bits: int) -> list[int]:
    """The inverse: signed, if wider than one bit."""
    fields = [(number >> (index * bits)) & ((1 << bits) - 1) for index in range(count)]
    if bits == 1:
        return fields
    return [field - ((field >> (bits - 1)) << bits) for field in fields]


def _must_equal(unit: str, found: Ints, right: Ints) -> None:
    if not np.array_equal(found, right):
        raise DeviceError("gates", unit, "the gates do not give what the RTL gives")
