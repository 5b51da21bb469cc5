"""A network on the RTL and on the model, and the machine with what was measured there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from simulator.architecture import load_architecture
from simulator.config.read_back import read_object
from simulator.config.staged_file import written_file
from simulator.config.wording import one_line
from simulator.errors import DeviceError
from simulator.hil.network.files import read_fixed
from simulator.hil.network.table import NetworkTable, network_table

LATENCY = "score_latency_cycles"
PLACED_SCHEMA = "stasim-placed/1"
MOST_BYTES = 1 << 20
OURS = b"stasim-architecture"


class MeasuredNetwork(NamedTuple):
    """Hold error tables. `calibrated`: of the machine with the decision latency measured.

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


class PlacedClock(NamedTuple):
    """Hold the routed clock of the slowest unit that was placed, and what it was placed on."""

    clock_mhz: float
    unit: str
    device: str


def placed_clock(path: Path) -> PlacedClock:
    """Return the slowest clock of a file of simulator.hil.fpga. Raises DeviceError."""
    content = read_object(path, MOST_BYTES, DeviceError, PLACED_SCHEMA)
    try:
        clocks = [
            (float(unit["clock_mhz"]), one_line(str(unit["unit"]))) for unit in content["units"]
        ]
        slowest, unit = min(clocks)
        device = one_line(str(content["device"]))
    except (KeyError, TypeError, ValueError):
        rule = "must hold a device and units, each with unit and clock_mhz"
        raise DeviceError(path, rule) from None
    if slowest <= 0:
        raise DeviceError(path, f"{unit}: clock_mhz: {slowest:g}: must be above 0: place it")
    return PlacedClock(slowest, unit, device)


def write_calibrated(
    source: Path, target: Path, table: NetworkTable, placed: PlacedClock | None = None
) -> None:
    """Copy an architecture file with the decision latency that was measured.

    Its `source`, which results and pages repeat, says what it was calibrated against and how far
    off the model was. `placed`: its clock becomes the machine's. Raises DeviceError where the file
    cannot be changed, ArchitectureError where it cannot be read.
    """
    latency = table.decision_cycles
    measured = (
        f"calibrated against its RTL (network_top): {LATENCY} {latency}, measured on "
        f"{table.images} images whose cycles the model gave with {table.rows[-1].deviation:+.2%}"
    )
    clocks = 1
    load_architecture(source)
    text, names = re.subn(r"(?m)^name: *(\S+)", r"name: \1_calibrated", source.read_text())
    if placed is not None:
        clock = f"clock_mhz: {placed.clock_mhz:g}"
        text, clocks = re.subn(r"(?m)^clock_mhz: *[0-9.]+", clock, text)
        measured += f"; {clock}, of {placed.unit} placed and routed on an {placed.device}, of the "
        measured += "sizes that were placed"
    folded = r"(?m)^(source: >-\n(?:[ \t]+\S.*\n)*[ \t]+\S.*)$"
    text, sources = re.subn(folded, lambda found: f"{found[1]};\n  {measured}", text)
    text, latencies = re.subn(rf"\b{LATENCY}: *\d+", f"{LATENCY}: {latency}", text)
    if (names, sources, latencies, clocks) != (1, 1, 1, 1):
        raise DeviceError(
            f"{source}: must have one name, one folded source, one {LATENCY} and one clock_mhz to "
            f"be calibrated: {names}, {sources}, {latencies} and {clocks} were found"
        )
    with written_file(target, OURS, DeviceError) as file:
        file.write(text.encode())
    made = load_architecture(target)
    if made.core.vector_unit.halting_latency_cycles != latency or measured not in made.source:
        raise DeviceError(target, f"{LATENCY} and source are not where they were expected")
