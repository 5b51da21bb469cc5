"""Runs a fixed-point network on the RTL, and on the model before and after its calibration."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from simulator.architecture import load_architecture
from simulator.hil.network.calibrated import LATENCY, write_calibrated
from simulator.hil.network.files import read_fixed
from simulator.hil.network.table import NetworkTable, network_table


class MeasuredNetwork(NamedTuple):
    """A network's error tables. `calibrated`: of the machine with the decision latency measured.

    right, judged: held-out images that its twin classifies rightly, and how many there were.
    decision_cycles: halting latency that the architecture file states.
    """

    name: str
    right: int
    judged: int
    decision_cycles: int
    table: NetworkTable
    calibrated: NetworkTable


def measure(
    arch: str, network: Path, trace: str, images: int, target: Path | None
) -> MeasuredNetwork:
    """Run images of the network; write the calibrated machine where a target is named.

    Raises DeviceError, and ArchitectureError for a file that cannot be read.
    """
    content, architecture = read_fixed(network), load_architecture(arch)
    table = network_table(architecture, content, trace, images)
    if target is not None:
        write_calibrated(Path(arch), target, table)
    latency = f"cores.0.vector_unit.{LATENCY}={table.decision_cycles}"
    return MeasuredNetwork(
        content.network.name,
        content.origin["right"],
        content.origin["judged"],
        architecture.core.vector_unit.halting_latency_cycles,
        table,
        network_table(load_architecture(arch, [latency]), content, trace, images),
    )
