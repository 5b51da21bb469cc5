"""The layer engine of the RTL as a machine describes it: its sources and parameters."""

from __future__ import annotations

from simulator.architecture import Architecture
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.token_skip.compact import Compact
from simulator.components.vector_units.simd import Simd
from simulator.errors import DeviceError
from simulator.hil.benches import ARRAY_SOURCES, PLANE_BITS, array_parameters, skip_design
from simulator.hil.jobs import FRACTION_BITS
from simulator.hil.verilator import RtlDesign

STREAM_BITS = 4
SOURCES = (
    "layer_pkg.sv",
    "layer_top.sv",
    "host_memory.sv",
    "weight_loader.sv",
    "word_source.sv",
    "vector_drain.sv",
    "lif_unit.sv",
    "token_skip.sv",
    *ARRAY_SOURCES,
)
_DEPTHS = {"WORD_DEPTH": 1 << 16, "WEIGHT_DEPTH": 1 << 15, "MASK_DEPTH": 1 << 8}
_DEPTHS |= {"BIAS_DEPTH": 1 << 10, "VECTOR_DEPTH": 1 << 16}
LAYER_BITS = 8


def engine_design(architecture: Architecture) -> RtlDesign:
    """Return the layer engine of a machine. Raises DeviceError where the RTL cannot be it."""
    if len(architecture.cores) > 1 or architecture.core.engines is not None:
        raise DeviceError(
            "device rtl", architecture.name, "the layer engine is a single core with one array"
        )
    core, skip = architecture.core, architecture.token_skip
    array, vector = core.pe_array, core.vector_unit
    if not isinstance(array, SpikeSkip) or not isinstance(vector, Simd):
        raise DeviceError(
            f"device rtl: {architecture.name}: pe_array {array.kind}, vector_unit {vector.kind}: "
            "there is RTL of spike_skip and simd"
        )
    if vector.lanes != array.columns or vector.latency_cycles != 4:
        raise DeviceError(
            f"device rtl: {architecture.name}: vector_unit: {vector.lanes} lanes and "
            f"{vector.latency_cycles} latency_cycles: the RTL has as many lanes as the array has "
            f"columns, {array.columns}, and 4 cycles"
        )
    port_bits = int(core.buffers.weights.bits_per_cycle(architecture.clock_mhz))
    vector_bits = array.columns * array.weight_bits
    inputs = port_bits // vector_bits
    if inputs < 1 or port_bits % vector_bits or inputs & (inputs - 1):
        raise DeviceError(
            f"device rtl: {architecture.name}: buffers.weights: {port_bits} bits a cycle: the "
            f"RTL's port takes 1, 2, 4, ... times the weights of an input, {vector_bits} bits"
        )
    scan = skip_design(skip).parameters if isinstance(skip, Compact) else {"SCAN": 16, "QUEUE": 256}
    sums = array.columns * max(array.sum_bits, vector.membrane_bits)
    return RtlDesign(
        "layer_top",
        SOURCES,
        "layer_bench.cpp",
        array_parameters(
            array,
            PORT_INPUTS=inputs,
            LOCAL_CHUNKS=architecture.dataflow.local_weight_chunks,
            SUM_BLOCKS=architecture.dataflow.accumulator_blocks,
            BLOCK_ITEMS=256,
            PLANE_BITS=PLANE_BITS,
            MEMBRANE_BITS=vector.membrane_bits,
            FRACTION_BITS=FRACTION_BITS,
            SCAN=scan["SCAN"],
            QUEUE=scan["QUEUE"],
            LAYER_BITS=LAYER_BITS,
            STREAM_BITS=STREAM_BITS,
            HOST_BITS=max(port_bits, sums, 512),
            **_DEPTHS,
        ),
    )
