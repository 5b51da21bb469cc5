"""python -m experiments.network_table: the networks of tests/models/any_networks.py, with counts.

python -m experiments.network_table --write docs/own_network.md
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import torch

from experiments.generated import command, line, markdown
from models.capturing import capture
from simulator.architecture import load_architecture
from simulator.lowering import Lowering, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.models.any_networks import ZOO, case

HEADER = "| network | layers | MACs | additions | neurons | real operands | in time |"


def row(name: str, folder: Path) -> str:
    """Capture a network on its images and count what the first one takes."""
    own = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = capture(own.network, own.images, folder / f"{name}.npz", **own.options)
    with Trace.open(path) as trace:
        facts, operations = trace.manifest["capture"], trace.operations
        network = read_network(trace)
        order = "tick_batched" if network.sees_future else "timestep_serial"
        machine = load_architecture(
            "sparse_pe", ["dataflow.reuse_static_input=false", f"dataflow.kind={order}"]
        )
        lowered = Lowering(make_plan(network, machine)).lower([trace.read(0)])
    weighted = [each for each in operations if each.weight_bits or each.kind == "product"]
    neurons = sum(each.kind == "neuron" for each in operations)
    return line(
        [
            name.replace("_", " "),
            str(len(weighted)),
            f"{facts['proof']['macs']:,}",
            f"{int(lowered.useful_accumulations.sum()):,}",
            str(neurons),
            str(len(facts["real_operands"])),
            facts["proof"]["causality"],
        ]
    )


def table() -> str:
    """The table of all networks."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, Path(folder)) for name in ZOO]
    return markdown(HEADER, rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it into the page."""
    return command(
        "experiments.network_table",
        __doc__ or "",
        "docs/own_network.md",
        lambda: {"networks": table()},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
