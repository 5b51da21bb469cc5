"""Does a simulated device, asked piece by piece, say what the replay of the whole trace says?"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.base import Work, checked
from simulator.hil.simulated import SimulatedDevice
from simulator.results.columns import frame
from simulator.simulate import Simulation
from simulator.trace import Image, Trace, batch_of, fill_row
from tests.factories import tiny_trace, traces
from tests.messages import cases, said
from tests.works import works_of

ROOT = Path(__file__).parents[2]
MACHINES = ("dense_pe", "sparse_pe", "sparse_pe_noskip")


def device_on(trace: Trace, machine: str) -> SimulatedDevice:
    return SimulatedDevice(trace, load_architecture(ROOT / "arch_configs" / f"{machine}.yaml"))


def replayed(trace: Trace, machine: str, image: Image) -> tuple[int, float]:
    """Latency and energy that a simulation of the image gives."""
    simulation = Simulation(trace, load_architecture(ROOT / "arch_configs" / f"{machine}.yaml"))
    arena = trace.layout.new_arena(1)
    fill_row(trace.layout, image, arena[0])
    batch = batch_of(trace.layout, np.array([image.index]), arena)
    images = frame(simulation.tables(batch)["images"])
    return int(images["latency_cycles"][0]), float(images["energy_pj"][0])


def asked(trace: Trace, device: SimulatedDevice, image: Image) -> tuple[int, float]:
    """The sum of the answers, in their order."""
    device.begin_image()
    cycles, energy_pj = 0, 0.0
    for work in works_of(trace, image):
        cost = checked(device.name, work, device.estimate(work))
        cycles, energy_pj = cycles + cost.cycles, energy_pj + (cost.energy_pj or 0.0)
    return cycles, energy_pj


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_the_sum_of_answers_is_the_replay_to_the_last_bit(name: str, machine: str) -> None:
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        device = device_on(trace, machine)
        for image in (trace.read(0), trace.read(1)):
            assert asked(trace, device, image) == replayed(trace, machine, image)


@settings(max_examples=15)
@given(data=st.data())
def test_so_it_is_for_every_way_of_halting(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = data.draw(traces(halting=data.draw(st.sampled_from(WAYS)), images=1))
    path = content.write(tmp_path_factory.mktemp("drawn") / "trace.npz")
    machine = data.draw(st.sampled_from(MACHINES))
    with Trace.open(path) as trace:
        image = trace.read(0)
        assert asked(trace, device_on(trace, machine), image) == replayed(trace, machine, image)


WAYS = ("block", "timestep", "two_dimensional")


@pytest.mark.nojit
def test_a_running_total_is_that_of_the_image_whose_tokens_halt_there(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "tiny.npz", timesteps=3, seed=5)
    with Trace.open(path) as trace:
        device, image = device_on(trace, "sparse_pe"), trace.read(0)
        device.begin_image()
        totals = []
        for work in works_of(trace, image):
            device.estimate(work)
            totals.append(device.total)
            ended = image._replace(
                active={name: mask & _run(work, name, mask) for name, mask in image.active.items()}
            )
            found = (device.total.cycles, device.total.energy_pj)
            assert found == replayed(trace, "sparse_pe", ended)
    assert all(a.cycles < b.cycles for a, b in itertools.pairwise(totals))


def _run(work: Work, block: str, mask: np.ndarray) -> np.ndarray:
    """The steps (timestep, 1) of a block that have run when `work` has."""
    last = max(map(int, work.active), default=-1)
    steps = np.arange(len(mask))[:, None]
    done = work.timestep + (int(block) <= last) if work.active else 0
    return steps < done


def test_a_new_image_finds_the_machine_idle() -> None:
    with Trace.open(ROOT / "traces" / "mnist.npz") as trace:
        device, image = device_on(trace, "sparse_pe"), trace.read(0)
        first = asked(trace, device, image)
        device.begin_image()
        device.estimate(next(iter(works_of(trace, trace.read(1)))))
        assert asked(trace, device, image) == first


def test_a_network_that_never_halts_is_refused(tmp_path: Path) -> None:
    with (
        Trace.open(tiny_trace(tmp_path / "tiny.npz", halting="none")) as trace,
        pytest.raises(DeviceError, match=said("a trace that never halts")),
    ):
        device_on(trace, "sparse_pe")


CHANGES: dict[str, dict[str, Any]] = {
    "layer": {"layers": ("blocks.0.attn.q_linaer",)},
    "tensor": {"tensors": {"blocks.0.q": np.zeros((1, 1, 1, 1), np.uint8)}},
    "short mask": {"active": {"0": np.ones((1, 3), np.bool_)}},
    "mask of integers": {"active": {"0": np.ones((1, 16), np.int8)}},
}


@cases("work_of_another_network")
def test_work_of_another_network_is_one_error(tmp_path: Path, change: str, message: str) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz")) as trace:
        device = device_on(trace, "sparse_pe")
        work = Work((), 0, {}, {})._replace(**CHANGES[change])
        with pytest.raises(DeviceError, match=message):
            device.estimate(work)
