"""python -m experiments.prosperity: a trace by the rules of Prosperity's simulator."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.prosperity.report import CompatReport, check_target
from simulator.architecture import load_architecture
from simulator.command import add_overrides, command
from simulator.config.staged_file import named
from simulator.trace import Trace, image_range

COMMAND = "python -m experiments.prosperity"


@command("experiments.prosperity")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command: no events are simulated, so there is no engine and no timeline."""
    options = _parser().parse_args(arguments)
    with Trace.open(options.trace) as trace:
        images = image_range(options.images, trace.images)
        if options.out:
            check_target(Path(options.out))
        architecture = load_architecture(options.arch, options.overrides)
        report = CompatReport(trace, architecture, _command(options))
        report.run(images)
        if options.out:
            report.save(Path(options.out))
            print(f"written: {named(options.out)}", file=sys.stderr)
        print(report.to_json() if options.json else report.text(), end="" if options.json else "\n")


def _parser() -> argparse.ArgumentParser:
    machine, trace = "arch_configs/prosperity.yaml", "traces/cifar10.npz"
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Cost a trace by the rules of Prosperity's simulator, for what it models.",
        epilog=f"example: {COMMAND} --arch {machine} --trace {trace}",
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture (YAML), or a shipped machine")
    add("--trace", required=True, metavar="FILE", help="trace (.npz), or a shipped one")
    add("--out", metavar="DIR", help="write compat.json and operations.csv there")
    add("--images", metavar="A:B", help="images A to B - 1 only (or a single A)")
    add("--json", action="store_true", help="print the report as JSON instead of a summary")
    add_overrides(parser)
    return parser


def _command(options: argparse.Namespace) -> str:
    """Return the command that gives this report again."""
    words = [*COMMAND.split(), "--arch", options.arch, "--trace", options.trace]
    words += ["--images", options.images] if options.images else []
    for override in options.overrides:
        words += ["--set", override]
    return shlex.join(words)


if __name__ == "__main__":
    sys.exit(main())
