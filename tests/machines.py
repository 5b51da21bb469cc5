"""Machines of several cores and small memories, made from the shipped ones, for tests."""

from __future__ import annotations

from pathlib import Path

from simulator.architecture import Architecture, load_architecture
from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace

ROOT = Path(__file__).parents[1]
BOARDS = ("exspike", "fpga_spiking_transformer")
"""Boards as they are: they run their own networks, and refuse others."""
SHIPPED = sorted(path.stem for path in (ROOT / "arch_configs").glob("*.yaml"))
GENERAL = [name for name in SHIPPED if name not in BOARDS]
"""Machines that run every shipped trace."""
BURST_A_CYCLE = (
    "{kind: dram, technology: ddr4, channels: 1, bandwidth_gb_per_s: 32.0, latency_ns: 44.0, "
    "row_miss_ns: 0.0, burst_bytes: 64}"
)
"""At 500 MHz one channel moves one burst in a cycle, so that busy cycles are bursts."""
WORD_A_CYCLE = "{{kind: sram, size_kib: {size_kib}, banks: 1, width_bits: 512}}"


def machine(
    name: str = "sparse_pe",
    *overrides: str,
    cores: int = 1,
    split: str = "output_channels",
    global_kib: int = 0,
) -> Architecture:
    """A shipped machine with equal cores, a global buffer of one bank, and a DRAM that counts."""
    path = ROOT / "arch_configs" / f"{name}.yaml"
    changed = [f"cores.count={cores}", f"split={split}"]
    changed.append(f"memories.dram={BURST_A_CYCLE}")
    if global_kib:
        changed.append(f"memories.global_buffer={WORD_A_CYCLE.format(size_kib=global_kib)}")
    own = [text.replace("CORE", "cores") for text in overrides]
    return load_architecture(path, [*changed, *own])


def lowered(path: Path, architecture: Architecture) -> Lowered:
    """The first image of a trace on a machine."""
    with Trace.open(path) as trace:
        return lower(make_plan(read_network(trace), architecture), trace.read(0))
