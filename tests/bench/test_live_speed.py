"""How long does the live loop wait for a block's cost?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.hil.guarded import GuardedDevice
from simulator.hil.simulated import simulated_device
from simulator.trace import Trace
from tests.works import works_of

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark(group="a block's cost from the simulated device, behind its guard")
@pytest.mark.parametrize("name", ["cifar10", "mnist", "imagenet"])
@pytest.mark.parametrize("machine", ["sparse_pe", "dense_pe"])
def test_a_block_of_a_live_run(benchmark: Any, name: str, machine: str) -> None:
    """Every block of an image in its turn, from the first, with a short image so far, on."""
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        works = list(works_of(trace, trace.read(0)))
        device = GuardedDevice(simulated_device(trace, ROOT / "arch_configs" / f"{machine}.yaml"))
    turn = 0

    def next_piece() -> tuple[tuple[Any], dict[str, Any]]:
        nonlocal turn
        if turn % len(works) == 0:
            device.begin_image()
            device.estimate(works[0])
            turn += 1
        work = works[turn % len(works)]
        turn += 1
        return (work,), {}

    benchmark.pedantic(device.estimate, setup=next_piece, rounds=4 * (len(works) - 1))
    device.close()
