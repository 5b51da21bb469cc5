"""Runs of other people's RTL, recorded, and ours for the same spikes and shapes.

The recorded figures are no part of this project: a folder beside it has them, or nothing here runs.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.drawn_convolutions import Bits, ConvLayer, list_layer, list_network, write_network
from experiments.generated import RECORDED, ROOT
from models.operations.topology import Tensor
from simulator.architecture import Architecture, load_architecture
from simulator.engine.replay import replay
from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace

EXSPIKE, FPGA_ST = RECORDED / "exspike", RECORDED / "fpga_st"
ON_CHIP = (
    "{{kind: event_scatter, columns: 32, taps: 9, pairs: {pairs}, latency_cycles: 0, "
    "weights_inside: true}}"
)
CIFAR = ROOT / "traces" / "cifar10_baseline.npz"
"""Spikformer-4-384: its patch splitting and its first block have the shapes of the board's."""


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a recorded file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class LayerRun(NamedTuple):
    """A layer of ExSpike's RTL and ours, in cycles; `bound_by`: what it waits for most."""

    case: str
    bound_by: str
    measured: int
    ours: int

    @property
    def error(self) -> float:
        """Deviation of ours."""
        return self.ours / self.measured - 1


def exspike_layers(folder: Path) -> list[LayerRun]:
    """All single layers; `folder`: for traces."""
    found = []
    for row in rows(EXSPIKE / "rtl_layers.csv"):
        waits = int(row["weight_wait"]) > int(row["accumulate_cycles"])
        bound_by = "weights" if waits else "events"
        measured = int(row["layer_cycles"])
        found.append(LayerRun(row["case"], bound_by, measured, _exspike_layer(folder, row)))
    return found


def _exspike_layer(folder: Path, row: dict[str, str]) -> int:
    """A layer behind one of a single output group, as the runs had it."""
    outputs, kernel = int(row["cout"]), int(row["kernel"])
    layers = [ConvLayer("first", "given", 32), ConvLayer("second", "given", outputs, kernel)]
    pairs, side = row["group"] == "2", int(row["in_size"])
    ends = exspike_ends(folder, layers, _spikes_of(row["case"]), side, pairs=pairs)
    return ends[1] - ends[0]


@cache
def _archive() -> Any:
    return np.load(EXSPIKE / "spikes.npz", allow_pickle=False)


def _spikes_of(case: str) -> Bits:
    """(timestep, position, channel) of a run."""
    shape = _archive()[f"case{case}__shape"]
    bits = np.unpackbits(_archive()[f"case{case}"], axis=-1, bitorder="little")
    return bits[..., : shape[-1]].reshape(shape).astype(bool)


def exspike_ends(
    folder: Path, layers: list[ConvLayer], given: Bits, side: int, *, pairs: bool
) -> list[int]:
    """Cycle at which each layer has ended; what they read, `given`, is on chip before the first."""
    timesteps, _, channels = given.shape
    # One silent pixel, rearranged into the spikes: they are made on chip, in no time.
    listing = list_network([ConvLayer("pixel", "image", 1, kernel=1)], 1, 1, timesteps, planes=8)
    listing.tensors["given"] = Tensor("given", "spikes", timesteps, 1, (side, side), channels, None)
    laid_out = {"name": "laid_out", "kind": "rearrange", "input": "pixel", "output": "given"}
    laid_out |= {"parameters": {}, "input_bits": 1}  # type: ignore[dict-item]
    shapes = {"rows": side * side, "channels": channels}
    listing.operations.append({**listing.operations[-1], **laid_out, "shapes": shapes})
    for layer in layers:
        list_layer(listing, layer, timesteps)
    for operation in listing.operations:
        if operation["name"] == "first.conv":
            # The first layer of the RTL has its weights on chip, as the classifier here.
            size = {"rows": side * side, "in_features": channels, "out_features": 32}
            operation |= {"kind": "linear", "shapes": size}

    def bits(tensor: Tensor) -> Bits:
        shape = (tensor.timesteps, tensor.planes, tensor.rows, tensor.channels)
        return given[:, None] if tensor.channels == channels else np.zeros(shape, bool)

    path = write_network(folder / "given.npz", "given", listing, timesteps, bits, "spikes given")
    with Trace.open(path) as trace:
        found = lower(make_plan(read_network(trace), _exspike(pairs)), trace.read(0))
    finish = replay(found.program).finish
    return [int(finish[found.op_layer == layer].max()) for layer in range(1, len(layers) + 1)]


@cache
def _exspike(pairs: bool) -> Architecture:
    flag = str(pairs).lower()
    return load_architecture(
        ROOT / "arch_configs" / "exspike.yaml",
        # Where the RTL's runs had no limit: all spikes are in their memory.
        [
            f"cores.pe_array.pairs={flag}",
            f"cores.engines.linears={ON_CHIP.format(pairs=flag)}",
            "cores.buffers.spikes.size_kib=4096",
            "dataflow.reuse_static_input=true",
        ],
    )


BLOCK = "blocks.0"
IMAGE_BURST = 16
"""Words of a burst of the board's image reader."""
BOARD_RUNS = {
    "axi4_quiet_lat0_rand": (0, False),
    "axi4_quiet_lat30_rand": (30, False),
    "axi4_lat0_zero": (0, True),
    "axi4_lat30_rand": (30, True),
}
"""Recorded runs of the board's RTL: cycles of DRAM latency, and whether its reader goes on."""
STAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "conv0_encoder_3_48_32x32": (("sps.0.conv",), "engines.input"),
    "conv1_48_96_32x32": (("sps.1.conv",), "engines.convolutions"),
    "conv2_96_192_32x32": (("sps.2.conv",), "engines.convolutions"),
    "maxpool1_192_32to16": (("sps.2.conv",), "vector_unit"),
    "conv3_192_384_16x16": (("sps.3.conv",), "engines.convolutions"),
    "maxpool2_384_16to8": (("sps.3.conv",), "vector_unit"),
    "rpe_conv_384_384_8x8": (("sps.4.conv",), "engines.convolutions"),
    "residual_add_and_copy": (("sps.4.conv",), "vector_unit"),
    "qkv_linear": (tuple(f"{BLOCK}.attn.{x}_linear" for x in "qkv"), "pe_array"),
    "attention_qk_av": (
        (f"{BLOCK}.attn.scores", f"{BLOCK}.attn.context"),
        "engines.attention",
    ),
    "proj": ((f"{BLOCK}.attn.proj",), "pe_array"),
    "mlp_fc1": ((f"{BLOCK}.mlp.fc1",), "pe_array"),
    "mlp_fc2": ((f"{BLOCK}.mlp.fc2",), "pe_array"),
}
"""Layers of each stage, and the unit that holds it."""


def board_program(latency: int = 0, *, unchanged: bool = False) -> tuple[Lowered, list[str]]:
    """The board's program for an image, at a latency of its DRAM in cycles, and its layers.

    `unchanged`: its image reader goes on when the encoder has ended.
    """
    ports = ("cores.pe_array", "cores.engines.convolutions", "cores.engines.input")
    changes = [f"{port}.port_latency_cycles={latency}" for port in ports]
    machine = load_architecture(
        ROOT / "arch_configs" / "fpga_spiking_transformer.yaml",
        changes + [f"cores.engines.convolutions.rival_words={IMAGE_BURST}"] * unchanged,
    )
    with Trace.open(CIFAR) as trace:
        network = read_network(trace)
        found = lower(make_plan(network, machine), trace.read(0))
    return found, [layer.name for layer in network.layers]


def board_stages(latency: int, *, unchanged: bool = False) -> dict[str, int]:
    """Cycles of each stage: those of its unit, and the pipeline that ends it."""
    found, names = board_program(latency, unchanged=unchanged)
    program = found.program
    cycles = {}
    for stage, (layers, unit) in STAGES.items():
        own = program.unit == found.unit_names.index(unit)
        own &= np.isin(found.op_layer, [names.index(layer) for layer in layers])
        ends = int(program.latency_cycles[own].max(initial=0))
        cycles[stage] = int(program.busy_cycles[own].sum()) + ends
    return cycles
