"""What the units of the RTL take: parameters, and values as words of ports."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.token_skip.compact import Compact
from simulator.config.arrays import Bools, Ints
from simulator.errors import DeviceError
from simulator.hil.verilator import SOURCES, RtlDesign, Words

ARRAY_SOURCES = ("spike_skip_tile.sv", "merge.sv", "pe_row.sv", "fifo.sv", "sram_1r1w.sv")
PLANE_BITS = 3
_ARRAY_LATENCY_CYCLES = (3, 4)
"""Of the array's RTL: a fourth is a stage between the walk to the next set bit and its encoding."""
_SCAN_LATENCY_CYCLES = 2


def array_parameters(array: SpikeSkip, **more: int) -> dict[str, int]:
    """Return the parameters of an array's RTL. Raises DeviceError where there is none."""
    shortest, longest = _ARRAY_LATENCY_CYCLES
    problem = ""
    if not shortest <= array.latency_cycles <= longest:
        problem = f"latency_cycles: {array.latency_cycles}: the RTL has {shortest} or {longest}"
    elif array.weight_bits & (array.weight_bits - 1):
        problem = f"weight_bits: {array.weight_bits}: must be a power of two"
    if problem:
        raise DeviceError("device rtl", f"pe_array.{problem}")
    more["ENCODE_STAGE"] = array.latency_cycles - shortest
    names = ("rows", "columns", "lanes", "word_inputs", "fifo_words", "weight_bits", "sum_bits")
    return {name.upper(): getattr(array, name) for name in names} | more


def skip_design(skip: Compact) -> RtlDesign:
    """Return the token-skip unit alone. Raises DeviceError for one that the RTL cannot be."""
    scan, queue = skip.scan_tokens_per_cycle, skip.queue_tokens
    problem = ""
    if scan < 2 or scan & (scan - 1) or scan > 32:
        problem = f"scan_tokens_per_cycle: {scan}: must be 2, 4, 8, 16 or 32"
    elif queue % scan:
        problem = f"queue_tokens: {queue}: must be a multiple of scan_tokens_per_cycle, {scan}"
    elif skip.latency_cycles != _SCAN_LATENCY_CYCLES:
        problem = f"latency_cycles: {skip.latency_cycles}: the RTL has {_SCAN_LATENCY_CYCLES}"
    if problem:
        raise DeviceError("device rtl", f"token_skip.{problem}")
    parameters = {"SCAN": scan, "QUEUE": queue, "TOKEN_BITS": 16, "MASK_BITS": 16}
    return RtlDesign("token_skip", ("token_skip.sv",), "skip_bench.cpp", parameters)


def bit_words(bits: Bools) -> Words:
    """Pack bits (row, bit) into 32-bit words, the first bit lowest; 64-bit ports take two."""
    bytes_ = np.packbits(bits, axis=1, bitorder="little")
    width = -(-bits.shape[1] // 32) * 4
    padded = np.zeros((len(bits), width), np.uint8)
    padded[:, : bytes_.shape[1]] = bytes_
    words: Words = padded.view("<i4").astype(np.int32)
    return words


def field_words(values: Ints, bits: int) -> Words:
    """Pack integers (row, field) as a port of fields of `bits` bits each."""
    shifts = np.arange(bits)
    digits = (values[..., None] >> shifts) & 1
    return bit_words(digits.reshape(len(values), -1).astype(np.bool_))


def instruction_fields(package: str) -> dict[str, int]:
    """Return the bits of an instruction's fields as a package of the RTL states them, in order."""
    text = (SOURCES / package).read_text("utf-8").partition("} instruction_t;")[0]
    fields = re.findall(r"(?m)^ +logic +(?:\[(\d+):0\] +)?(\w+);", text)
    return {name: int(highest or 0) + 1 for highest, name in fields}


def pack_instruction(fields: Mapping[str, int], widths: Mapping[str, int]) -> Words:
    """Pack fields as a struct of the RTL, the last one lowest, in 32-bit words.

    Raises DeviceError for one that its width in bits does not hold.
    """
    value = 0
    for name, bits in widths.items():
        if not 0 <= fields[name] < 1 << bits:
            raise DeviceError("device rtl", f"{name} {fields[name]}", f"must fit {bits} bits")
        value = value << bits | fields[name]
    data = value.to_bytes(-(-sum(widths.values()) // 32) * 4, "little")
    words: Words = np.frombuffer(data, "<i4")
    return words


def unpack_fields(words: Words, bits: int, fields: int) -> Ints:
    """Return the inverse of `field_words`: int64 (row, field), signed if wider than one bit."""
    contiguous = np.ascontiguousarray(words.astype("<i4"))
    digits = np.unpackbits(contiguous.view(np.uint8), axis=1, bitorder="little")
    digits = digits[:, : bits * fields].reshape(len(words), fields, bits)
    values: Ints = (digits.astype(np.int64) << np.arange(bits)).sum(axis=2)
    if bits > 1:
        values = values - ((values >> (bits - 1)) << bits)
    return values


def port_words(weights: Ints, array: SpikeSkip, port_inputs: int, one_bit: bool) -> Words:
    """Return weights (input, column) as words of the weight port, (word, 32-bit word)."""
    inputs, columns = weights.shape
    full = np.zeros((inputs, array.columns), np.int64)
    full[:, :columns] = weights
    per_vector = array.weight_bits if one_bit else 1
    bits = 1 if one_bit else array.weight_bits
    vectors = -(-inputs // per_vector)
    words = -(-vectors // port_inputs)
    padded = np.zeros((words * port_inputs * per_vector, array.columns), np.int64)
    padded[:inputs] = full
    return field_words(padded.reshape(words, -1), bits)
