"""What one more token costs at each block and timestep: python -m simulator.hil.cost_table --help.

Cost at a step is taken as affine in the live tokens: a fixed part that is paid as soon as one token
runs (weights fetched, masks scanned) and a part for each token. Both are measured, not derived: the
image is simulated as it is, with every other live token of the step halted there, and with all of
them halted there; nothing else changes. The differences of the image's latency and energy (leakage
included) give the two parts, and their mean over images is the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.command import add_overrides, command

if TYPE_CHECKING:
    from simulator.hil.simulated import SimulatedDevice
    from simulator.trace import Image, Trace

SCHEMA = "stasim-cost-table/1"
EXAMPLE = """python -m simulator.hil.cost_table --arch arch_configs/sparse_pe.yaml
         --trace traces/mnist.npz --images 0:16 --out costs.json"""


class StepCost(NamedTuple):
    """Hold the costs of a step, means over `images`: those in which two tokens or more run.

    `token_*`: of one more live token; `step_*`: of the first, less what a token costs. They can be
    negative where the cost is not affine.
    """

    timestep: int
    block: int
    images: int
    live_tokens: float
    token_cycles: float
    token_energy_pj: float
    step_cycles: float
    step_energy_pj: float


def cost_table(
    device: SimulatedDevice, trace: Trace, images: Iterable[int]
) -> tuple[StepCost, ...]:
    """Return the cost of every step of the trace's network on the device, timestep by timestep.

    Raises DeviceError for a step at which no image runs two tokens: its cost is not known.
    """
    from simulator.errors import DeviceError

    found: dict[tuple[int, int], list[StepCost]] = {
        (timestep, block): []
        for timestep in range(device.network.timesteps)
        for block in range(device.network.blocks)
    }
    for index in images:
        image = trace.read(index)
        device.total_of(image)
        for timestep, block in found:
            cost = _step_cost(device, image, timestep, block)
            if cost is not None:
                found[timestep, block].append(cost)
    for (timestep, block), costs in found.items():
        if not costs:
            raise DeviceError(
                f"{trace.path}: timestep {timestep}, block {block}: no image runs two tokens "
                "there, so what one costs is not known: must be a trace whose tokens run on "
                "(of the same network, its halting turned off)"
            )
    return tuple(_mean(costs) for costs in found.values())


def _step_cost(device: SimulatedDevice, image: Image, timestep: int, block: int) -> StepCost | None:
    """The costs of one step in one image, all else left as it is."""
    import numpy as np

    mask = image.active[str(block)][timestep]
    tokens = np.flatnonzero(mask)
    if len(tokens) < 2:
        return None
    totals = []
    for kept in (tokens[:0], tokens[::2], tokens):
        part = np.zeros_like(mask)
        part[kept] = True
        device.again(image, timestep, block, part)
        totals.append((device.total.cycles, device.total.energy_pj))
    dropped = len(tokens) - len(tokens[::2])
    (no_cycles, no_pj), (half_cycles, half_pj), (cycles, energy_pj) = totals
    token_cycles = (cycles - half_cycles) / dropped
    token_pj = (energy_pj - half_pj) / dropped
    return StepCost(
        timestep,
        block,
        1,
        float(len(tokens)),
        token_cycles,
        token_pj,
        cycles - no_cycles - len(tokens) * token_cycles,
        energy_pj - no_pj - len(tokens) * token_pj,
    )


def _mean(costs: Sequence[StepCost]) -> StepCost:
    count = len(costs)
    means = [sum(values) / count for values in list(zip(*costs, strict=True))[3:]]
    return StepCost(costs[0].timestep, costs[0].block, count, *means)


def document(device: SimulatedDevice, trace: Trace, costs: Sequence[StepCost]) -> dict[str, Any]:
    """Return the table with its origin, as the file holds it."""
    return {
        "schema": SCHEMA,
        "architecture": {
            "name": device.architecture.name,
            "content_hash": device.architecture.content_hash,
        },
        "trace": {"file": trace.path.name, "content_hash": trace.content_hash},
        "clock_mhz": device.architecture.clock_mhz,
        "steps": [cost._asdict() for cost in costs],
    }


@command()
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run the command; 0, or 2 after one message for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.hil.cost_table",
        description="Measure what a token costs at each block and timestep of a trace's network.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture file (YAML)")
    add_overrides(parser)
    add("--trace", required=True, metavar="FILE", help="trace of a network whose tokens halt")
    add("--images", metavar="A:B", help="average over images A to B - 1 only (or a single A)")
    add("--out", metavar="FILE", help="write the table as JSON there, else to stdout")
    options = parser.parse_args(arguments)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from simulator.architecture import load_architecture
    from simulator.config.sealed import sealed
    from simulator.config.staged_file import written_file
    from simulator.errors import DeviceError
    from simulator.hil.simulated import SimulatedDevice
    from simulator.trace import Trace, image_range

    with Trace.open(options.trace) as trace:
        images = image_range(options.images, trace.images)
        architecture = load_architecture(options.arch, options.overrides)
        device = SimulatedDevice(trace, architecture)
        made = document(device, trace, cost_table(device, trace, images))
    text = json.dumps(sealed(made), indent=1)
    if options.out is None:
        print(text)
        return 0
    with written_file(Path(options.out), SCHEMA.encode(), DeviceError) as file:
        file.write(text.encode() + b"\n")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
