"""python -m experiments.calibration: the model's cycles against those of the RTL, case by case.

Prints the tables and, with --write, puts them into a page. Everything on it but the machine that
it ran on follows from the architecture, the trace and the sources.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.command import check_counts, command, program

if TYPE_CHECKING:
    from experiments.calibration.measured import CalibrationSetting, Row, UnitCost
    from simulator.hil.network.calibrated import MeasuredNetwork

EXAMPLE = (
    "python -m experiments.calibration --arch arch_configs/sparse_pe.yaml --trace traces/mnist.npz"
)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("experiments.calibration"),
        description="Hold the model's cycles against those of the RTL, and its energies' ratios.",
        epilog=f"example: {EXAMPLE} --write docs/calibration.md",
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture file whose array has RTL")
    add("--trace", required=True, metavar="FILE", help="trace file")
    add("--image", type=int, default=0, metavar="N", help="image of the trace (default 0)")
    add("--tiles", type=int, default=1000, metavar="N", help="tiles to draw (default 1000)")
    add("--block", type=int, default=1, metavar="N", help="block whose layers run alone")
    add("--no-gates", action="store_true", help="leave synthesis and switching energy out")
    add("--network", metavar="FILE", help="fixed-point network to run whole (models.fixed_point)")
    add("--network-trace", metavar="FILE", help="a trace of that network, for its layers")
    add("--digits", type=int, default=20, metavar="N", help="images of it to run (default 20)")
    add("--write", metavar="FILE", help="write the page there too")
    return parser


def command_of(options: argparse.Namespace) -> str:
    """The command that makes the page, as the page shows it."""
    words = ["python", "-m", "experiments.calibration", "--arch", options.arch]
    words += ["--trace", options.trace]
    for name, default in (("image", 0), ("tiles", 1000), ("block", 1)):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value != default else []
    words += ["--no-gates"] if options.no_gates else []
    words += ["--network", options.network] if options.network else []
    words += ["--network-trace", options.network_trace] if options.network_trace else []
    words += ["--digits", str(options.digits)] if options.digits != 20 else []
    words += ["--write", options.write] if options.write else []
    return shlex.join(words)


def _run(options: argparse.Namespace) -> None:
    page = _page(options)
    print(page)
    if options.write:
        _write(Path(options.write), page)


def _page(options: argparse.Namespace) -> str:
    """Return the page: calibration.md.j2, filled."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from experiments.calibration import measured
    from simulator.errors import DeviceError

    check_counts(options, "tiles", error=DeviceError)
    setting = measured.open_setting(options.arch, options.trace, options.image)
    if not 0 <= options.block < setting.blocks:
        raise DeviceError(f"--block {options.block}", f"must be one of 0 to {setting.blocks - 1}")
    architecture = setting.plan.architecture
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("calibration.md.j2").render(
        command=command_of(options),
        fixed_point=program("models.fixed_point"),
        machine=architecture.name,
        energy_table=architecture.technology.energy_table,
        trace=Path(options.trace).name,
        image=options.image,
        block=options.block,
        rows=_rows(setting, options),
        network=_network(options),
        counts=measured.action_counts(setting, options.block),
        units=[] if options.no_gates else _units(setting, options.block),
    )


def _rows(setting: CalibrationSetting, options: argparse.Namespace) -> list[Row]:
    """All cases of the error table."""
    from experiments.calibration import measured

    rows = [measured.tile_row(setting, options.tiles)]
    scans = measured.scan_row(setting)
    rows += [scans] if scans else []
    port = measured.engine_port(setting)
    rows += measured.layer_rows(setting, options.block, f"port {port} bits")
    narrow = measured.narrow_port(setting.plan.architecture)
    if narrow:
        other = measured.open_setting(options.arch, options.trace, options.image, [narrow])
        port = measured.engine_port(other)
        rows += measured.layer_rows(other, options.block, f"port {port} bits")
    return rows + measured.block_rows(setting)


def _network(options: argparse.Namespace) -> MeasuredNetwork | None:
    """Run a network where one is given."""
    from simulator.errors import DeviceError
    from simulator.hil.network.calibrated import measure

    if not options.network:
        return None
    if not options.network_trace:
        raise DeviceError("--network", "needs --network-trace, a trace of the same network")
    check_counts(options, "digits", error=DeviceError)
    return measure(options.arch, Path(options.network), options.network_trace, options.digits)


def _units(setting: CalibrationSetting, block: int) -> list[UnitCost]:
    """Measure the units as gates; none where a tool is absent, which stderr and the page say."""
    from experiments.calibration import measured
    from simulator.errors import DeviceError

    try:
        return measured.unit_costs(setting, block)
    except DeviceError as error:
        print(f"{error}; the page says so", file=sys.stderr)
        return []


def _write(path: Path, page: str) -> None:
    """The page as a whole or not at all."""
    from simulator.config.staged_file import staged_file
    from simulator.errors import ResultError

    try:
        with staged_file(path, b"experiments.calibration") as file:
            file.write(page.encode())
    except OSError as error:
        raise ResultError(f"{path}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
