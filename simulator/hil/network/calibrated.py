"""A network on the RTL and on the model, and the machine with what was measured there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from simulator.architecture import load_architecture
from simulator.config.staged_file import staged_file
from simulator.errors import DeviceError
from simulator.hil.network.files import read_fixed
from simulator.hil.network.table import NetworkTable, network_table

LATENCY = "score_latency_cycles"
OURS = b"stasim-architecture"


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


def measure(arch: str, network: Path, trace: str, images: int) -> MeasuredNetwork:
    """Run images of the network on the RTL, and on the model before and after its calibration.

    Raises DeviceError, and ArchitectureError for a file that cannot be read.
    """
    content, architecture = read_fixed(network), load_architecture(arch)
    table = network_table(architecture, content, trace, images)
    latency = f"cores.0.vector_unit.{LATENCY}={table.decision_cycles}"
    return MeasuredNetwork(
        content.network.name,
        content.origin["right"],
        content.origin["judged"],
        architecture.core.vector_unit.halting_latency_cycles,
        table,
        network_table(load_architecture(arch, [latency]), content, trace, images),
    )


def write_calibrated(source: Path, target: Path, table: NetworkTable) -> None:
    """Copy an architecture file with the decision latency that was measured.

    Its `source`, which results and pages repeat, says what it was calibrated against and how far
    off the model was. Raises DeviceError where the file cannot be changed, ArchitectureError where
    it cannot be read.
    """
    latency = table.decision_cycles
    measured = (
        f"calibrated against its RTL (network_top): {LATENCY} {latency}, measured on "
        f"{table.images} images whose cycles the model gave with {table.rows[-1].deviation:+.2%}"
    )
    load_architecture(source)
    text, names = re.subn(r"(?m)^name: *(\S+)", r"name: \1_calibrated", source.read_text())
    folded = r"(?m)^(source: >-\n(?:[ \t]+\S.*\n)*[ \t]+\S.*)$"
    text, sources = re.subn(folded, rf"\1;\n  {measured}", text)
    text, latencies = re.subn(rf"\b{LATENCY}: *\d+", f"{LATENCY}: {latency}", text)
    if (names, sources, latencies) != (1, 1, 1):
        raise DeviceError(
            f"{source}: must have one name, one folded source and one {LATENCY} to be calibrated: "
            f"{names}, {sources} and {latencies} were found"
        )
    try:
        with staged_file(target, OURS) as file:
            file.write(text.encode())
    except OSError as error:
        raise DeviceError(f"{target}: cannot be written: {error.strerror}") from error
    made = load_architecture(target)
    if made.core.vector_unit.halting_latency_cycles != latency or measured not in made.source:
        raise DeviceError(target, f"{LATENCY} and source are not where they were expected")
