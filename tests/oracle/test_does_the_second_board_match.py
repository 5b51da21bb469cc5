"""Has each stage of arch_configs/fpga_spiking_transformer.yaml the cycles of the board's RTL?"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
RTL = ROOT.parent / "shared" / "oracles" / "fpga_st"
TRACE = ROOT / "traces" / "cifar10_baseline.npz"
"""Spikformer-4-384: its patch splitting and its first block have the shapes of the board's."""
BLOCK = "blocks.0"
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


def lowered(latency: int = 0) -> tuple[Lowered, list[str]]:
    ports = ("cores.pe_array", "cores.engines.convolutions", "cores.engines.input")
    machine = load_architecture(
        ROOT / "arch_configs" / "fpga_spiking_transformer.yaml",
        [f"{port}.port_latency_cycles={latency}" for port in ports],
    )
    with Trace.open(TRACE) as trace:
        network = read_network(trace)
        found = lower(make_plan(network, machine), trace.read(0))
    return found, [layer.name for layer in network.layers]


def stages(latency: int) -> dict[str, int]:
    """Cycles of each stage: those of its unit, and the pipeline that ends it."""
    found, names = lowered(latency)
    program = found.program
    cycles = {}
    for stage, (layers, unit) in STAGES.items():
        own = program.unit == found.unit_names.index(unit)
        own &= np.isin(found.op_layer, [names.index(layer) for layer in layers])
        ends = int(program.latency_cycles[own].max(initial=0))
        cycles[stage] = int(program.busy_cycles[own].sum()) + ends
    return cycles


def rows(name: str) -> list[dict[str, str]]:
    with open(RTL / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


needs_rtl = pytest.mark.skipif(not RTL.is_dir(), reason="cycles of the board's RTL are not here")


@needs_rtl
@pytest.mark.parametrize("latency", [0, 30])
def test_each_stage_takes_the_cycles_of_the_rtl(latency: int) -> None:
    """Its image reader stopped once the encoder has ended: nobody needs what it goes on to read."""
    found = stages(latency)
    run = f"axi4_quiet_lat{latency}_rand"
    measured = {
        row["stage"]: int(row["cycles"]) for row in rows("stage_cycles.csv") if row["run"] == run
    }
    total = measured.pop("total")
    assert measured.keys() == found.keys()
    for stage, cycles in measured.items():
        assert found[stage] == pytest.approx(cycles, rel=0.005), stage
    assert sum(found.values()) == pytest.approx(total, rel=0.001)


@needs_rtl
def test_convolutions_wait_for_a_slower_memory_as_in_the_rtl() -> None:
    """At 60 cycles of latency: the stages up to the end of each convolution, pools among them."""
    found = list(stages(60).values())
    ends = np.cumsum(found)[[0, 1, 2, 4, 6]]
    run = "axi4_quiet_lat60_rand"
    measured = [int(row["cycle"]) for row in rows("dram_bytes.csv") if row["run"] == run]
    assert ends == pytest.approx(np.array(measured[:5]), rel=0.001)


def test_projection_and_mlp_take_the_published_time() -> None:
    """4.634 ms at 200 MHz, equal to all digits; conv0 to the last residual 48.8 ms, stated 48."""
    found = stages(0)
    block = sum(found[name] for name in ("proj", "mlp_fc1", "mlp_fc2"))
    assert round(block / 200e3, 3) == 4.634
    stem = sum(list(found.values())[:7])
    assert stem / 200e3 == pytest.approx(48.0, rel=0.03)


def test_weights_of_the_block_are_read_for_every_16_tokens() -> None:
    found, names = lowered()
    layer = names.index(f"{BLOCK}.attn.proj")
    bits = found.counts[layer, "memories.dram", "read_bit"]
    assert bits == 4 * 384 * 384 * 8  # 64 tokens
    conv = found.counts[names.index("sps.1.conv"), "memories.dram", "read_bit"]
    assert conv == 96 * 48 * 2 * 64  # a kernel of 9 bytes takes two words


def test_nothing_depends_on_spikes() -> None:
    found, _ = lowered()
    with Trace.open(TRACE) as trace:
        machine = load_architecture(ROOT / "arch_configs" / "fpga_spiking_transformer.yaml")
        other = lower(make_plan(read_network(trace), machine), trace.read(1))
    assert (found.program.busy_cycles == other.program.busy_cycles).all()
