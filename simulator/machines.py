"""python -m simulator.machines: the shipped machines, or the file of one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.command import command, program
from simulator.config.shipped import MACHINES, file_of, names_in
from simulator.errors import ArchitectureError

if TYPE_CHECKING:
    import pandas as pd


def table() -> pd.DataFrame:
    """Return a row a machine: its parts, clock and technology, and where its numbers come from."""
    import pandas as pd

    from simulator.architecture import load_architecture

    rows = []
    for name in names_in(MACHINES):
        machine = load_architecture(name)
        rows.append(
            {
                "machine": name,
                "pe_array": machine.core.pe_array.kind,
                "token_skip": machine.token_skip.kind,
                "dataflow": machine.dataflow.kind,
                "cores": len(machine.cores),
                "clock_mhz": machine.clock_mhz,
                "node_nm": machine.technology.node_nm,
                "source": " ".join(machine.source.split()),
            }
        )
    return pd.DataFrame(rows)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog=program("simulator.machines"),
        description="List the machines that come with STASim, or print the file of one.",
    )
    parser.add_argument("machine", nargs="?", metavar="NAME", help="print its file")
    options = parser.parse_args(arguments)
    if options.machine:
        sys.stdout.write(file_of(options.machine, MACHINES, "machine", ArchitectureError)
                         .read_text("utf-8"))  # fmt: skip
        return
    print(table().drop(columns="source").to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
