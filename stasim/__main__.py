"""The `stasim` command: `stasim run --arch sparse_pe --trace mnist`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from stasim.house import require


class Command(NamedTuple):
    """Describe what `stasim NAME` runs."""

    package: str
    module: str
    does: str


COMMANDS = {
    "run": Command("simulator", "run", "replay a trace on a machine"),
    "capture": Command("models", "capture", "run a network on images and write its trace"),
    "compare": Command("reports", "compare", "set results side by side on one page"),
    "matrix": Command("stasim", "matrix", "simulate machines x traces and compare them"),
    "diff": Command("reports", "diff", "say what changed between two results"),
    "sweep": Command("simulator", "sweep.__main__", "search a space of designs"),
    "live": Command("models", "live.__main__", "let the cost so far steer a running network"),
    "calibrate": Command("simulator", "calibrate", "hold the model against RTL"),
    "machines": Command("simulator", "machines", "list the shipped machines, or print one"),
    "reprice": Command("simulator", "reprice", "price a result again, without simulating"),
}
USAGE = """usage: stasim COMMAND ...

What a spiking network costs on an accelerator: cycles, utilization, energy.

{commands}

example: stasim run --arch sparse_pe --trace mnist
`stasim COMMAND --help` lists the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    listed = "\n".join(f"  {name:<10} {each.does}" for name, each in COMMANDS.items())
    usage = USAGE.format(commands=listed)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage, end="", file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    require("simulator", "models", "reports")
    if words[0] == "--version":
        from simulator import __version__

        print(f"stasim {__version__}")
        return 0
    if words[0] not in COMMANDS:
        from simulator.config.wording import shown, suggestion

        print(f"{shown(words[0])}: unknown command {suggestion(words[0], COMMANDS)}",
              file=sys.stderr)  # fmt: skip
        return 2
    import simulator
    from simulator.command import called_as

    command = COMMANDS[words[0]]
    prefix = simulator.__name__.removesuffix("simulator")
    package = command.package if command.package == "stasim" else prefix + command.package
    module = importlib.import_module(f"{package}.{command.module}")
    with called_as(f"stasim {words[0]}"):
        return int(module.main(words[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
