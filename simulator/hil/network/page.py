"""The section of docs/calibration.md on a whole network."""

from __future__ import annotations

from pathlib import Path

from simulator.architecture import Architecture, load_architecture
from simulator.hil.network.calibrated import LATENCY, write_calibrated
from simulator.hil.network.files import FixedFile, read_fixed
from simulator.hil.network.table import NetworkTable, network_table

NETWORK = """\
## A whole network

The network engine (`network_top.sv`) adds what the units lack: windows of 3 x 3 convolutions, pooling, early integration, residual sums, attention with its transpositions, halting
(score, accumulation, decision, mask, weighted field), the head, an AXI4 port to DRAM, registers, and a sequencer that walks a program. {name}, quantised by
`python -m models.fixed_point --judged {judged}` ({right_twin} of {judged} held-out digits right in the fixed-point twin), classifies {images} held-out digits there, {right} of them rightly. Every spike of every layer, the
residual streams, masks and logits are compared with the twin's: **{wrong} values differ**. Cycles are those of the image alone, from its first request to DRAM until the logits are there, on
a memory of the machine's latency and bandwidth; the model is the simulator on `{machine}`. `worst` is the largest deviation in a single image, calibrated.

{rows}
What differs: the array begins a layer three cycles after it may; the first convolution waits until three lines of the image have come, where the model asks for its first block of rows;
the model scans masks in which no token lives ({idle} cycles in all images), the RTL knows them from the decision.
{decision}
In the RTL and not in the model: a map has nine banks, so that a window is read at once; keys, values, scores and the attention's spikes are written in transposed order; biases, thresholds
and the head lie on chip, loaded once for a network; the write of the logits (a burst) comes after the last cycle that is counted.

"""
NO_NETWORK = "No whole network was run for this page (`--network`).\n\n"
DECISION = (
    "`calibrated`: the same machine with `score_latency_cycles: {rtl}`, which is what a decision takes behind its last vector in the RTL; the file says {model}. "
    "`--calibrated FILE` writes that machine, and every result made with it says what it was calibrated against.\n"
)


def measured_section(
    arch: str, network: Path, trace: str, digits: int, calibrated: Path | None
) -> str:
    """Run the network and return its section; write the calibrated machine where one is named.

    Raises DeviceError, and ArchitectureError for a file that cannot be read.
    """
    content, architecture = read_fixed(network), load_architecture(arch)
    table = network_table(architecture, content, trace, digits)
    if calibrated is not None:
        write_calibrated(Path(arch), calibrated, table)
    measured = f"cores.0.vector_unit.{LATENCY}={table.decision_cycles}"
    again = network_table(load_architecture(arch, [measured]), content, trace, digits)
    return network_section(architecture, content, table, again)


def network_section(
    architecture: Architecture, content: FixedFile, table: NetworkTable, calibrated: NetworkTable
) -> str:
    """Return the section in Markdown. `calibrated`: of the machine with the measured latency."""
    return NETWORK.format(
        name=content.network.name,
        right_twin=content.origin["right"],
        judged=content.origin["judged"],
        images=table.images,
        right=table.right,
        wrong=table.wrong,
        machine=architecture.name,
        rows=network_rows(table, calibrated),
        idle=table.idle_scans,
        decision=DECISION.format(
            rtl=table.decision_cycles,
            model=architecture.core.vector_unit.halting_latency_cycles,
        ),
    )


def network_rows(table: NetworkTable, calibrated: NetworkTable) -> str:
    """Return the rows in Markdown."""
    lines = [
        "| layer | RTL cycles | model cycles | deviation | calibrated | deviation | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.case} | {row.rtl:,} | {row.model:,} | {row.deviation:+.2%} | {other.model:,} | {other.deviation:+.2%} | {other.worst:+.2%} |"
        for row, other in zip(table.rows, calibrated.rows, strict=True)
    ]
    return "\n".join(lines) + "\n"
