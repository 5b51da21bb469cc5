"""Images that leave a loop over time early cost what they ran, and the trace says so."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.capturing import active, capture
from models.errors import ModelError
from simulator.architecture import load_architecture
from simulator.distributed.leaving import simulation_of
from simulator.errors import LoweringError, TraceError
from simulator.operations import read_network
from simulator.simulate import Simulation
from simulator.trace import Trace, open_writer
from tests.messages import cases, said
from tests.models.any_networks import pictures

T = 4
SERIAL = ["dataflow.kind=timestep_serial"]


class Leaving(nn.Module):
    """Leaves when it is sure; the input may change in time."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.f, self.level, self.took = nn.Linear(288, 4), level, [0]

    def forward(self, x: Tensor) -> Any:
        v1 = v2 = 0.0
        total = 0
        for step in range(T):
            v1 = 0.5 * v1 + self.c1(x[step] if x.dim() == 5 else x)
            s1 = (v1 > 0.2).float()
            v1 = v1 * (1 - s1)
            v2 = 0.5 * v2 + self.c2(s1)
            s2 = (v2 > 0.1).float()
            v2 = v2 * (1 - s2)
            total = total + self.f(F.max_pool2d(s2, 2).flatten(1))
            self.took = [step + 1]
            if torch.softmax(total, 1).max() > self.level:
                break
        return total


def network(seed: int = 0, **options: Any) -> Leaving:
    torch.manual_seed(seed)
    return Leaving(**options).eval()


def taken(net: Leaving, images: Tensor, timed: bool) -> list[int]:
    found = []
    for image in images.float() / 255:
        with torch.no_grad():
            net(image.unsqueeze(1) if timed else image[None])
        found += net.took
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["still", "timed"])
def own(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], Tensor]:
    net, timed = network(), request.param
    images = pictures(8, (T, 3, 12, 12) if timed else (3, 12, 12))
    path = tmp_path_factory.mktemp("leaving") / "t.npz"
    capture(net, images, path, ragged=True, time_axis=0 if timed else None)
    return path, taken(net, images, timed), images


def test_a_trace_states_the_timesteps_of_each_image(own: Any) -> None:
    path, steps, _ = own
    assert len(set(steps)) > 1
    with Trace.open(path) as trace:
        trace.verify()
        assert list(trace.layout.image_timesteps) == steps
        assert trace.layout.timesteps == max(steps)
        kept = trace.manifest["capture"]
        every = [kept["proof"], *(each["proof"] for each in kept["other_courses"])]
        assert len(every) == len(set(steps))
        assert all("equal the network's" in each["replay"] for each in every)
        assert [o.kind for o in trace.operations].count("neuron") == 2  # the exit is none
        first = next(o.input for o in trace.operations if o.name == "c2")
        for index, ran in enumerate(steps):
            frames = trace.read(index).tensors[first].any(axis=(1, 2, 3))
            assert frames.tolist() == [step < ran for step in range(max(steps))]


@pytest.mark.parametrize("machine", ["sparse_pe", "dense_pe"])
def test_an_image_costs_what_a_network_of_its_timesteps_costs(
    own: Any, machine: str, tmp_path: Path
) -> None:
    path, steps, images = own
    if images.dim() == 5:
        pytest.skip("the same images, cut, are another input")
    architecture = load_architecture(f"arch_configs/{machine}.yaml", SERIAL)
    with Trace.open(path) as trace:
        result = simulation_of(trace, architecture, pictured=range(2)).run(range(8))
    result.check()
    found = result.tables["images"]
    assert found.image.tolist() == list(range(8))
    for ran in set(steps):
        indices = [index for index, each in enumerate(steps) if each == ran]
        alone = capture(network(), images[indices], tmp_path / f"{ran}.npz", ragged=True)
        with Trace.open(alone) as trace:
            assert not trace.layout.image_timesteps
            twin = Simulation(trace, architecture).run(range(len(indices))).tables["images"]
        for column in ("latency_cycles", "energy_pj", "dram_bytes"):
            values = found[column].to_numpy()[indices]
            assert np.array_equal(values, twin[column].to_numpy()), column


def test_only_what_halts_in_time_runs_it(own: Any) -> None:
    path, _, _ = own
    with Trace.open(path) as trace:
        file = "arch_configs/sparse_pe.yaml"
        batched = load_architecture(file, ["dataflow.kind=tick_batched"])
        with pytest.raises(LoweringError, match=said("images that leave, tick-batched")):
            simulation_of(trace, batched)
        shared = load_architecture(file, [*SERIAL, "dataflow.images_together=2"])
        with pytest.raises(LoweringError, match=said("images that leave, sharing weights")):
            simulation_of(trace, shared)
        with pytest.raises(LoweringError, match=said("images that leave, read as one network")):
            read_network(trace)


def test_an_image_of_one_timestep_and_a_longer_one_later(tmp_path: Path) -> None:
    net = network(level=0.34)
    images = pictures(8)
    images[::2] //= 3
    steps = taken(net, images, False)
    assert 1 in steps
    with Trace.open(capture(net, images, tmp_path / "a.npz", ragged=True)) as trace:
        assert list(trace.layout.image_timesteps) == steps
    order = sorted(range(8), key=lambda index: steps[index])
    with Trace.open(capture(net, images[order], tmp_path / "b.npz", ragged=True)) as trace:
        assert list(trace.layout.image_timesteps) == sorted(steps)


def test_images_that_take_all_steps_leave_a_plain_trace(tmp_path: Path) -> None:
    net = network(level=2.0)
    with Trace.open(capture(net, pictures(), tmp_path / "a.npz", ragged=True)) as trace:
        assert "image_timesteps" not in trace.manifest
        ragged = trace.content_hash
    with Trace.open(capture(net, pictures(), tmp_path / "b.npz", timesteps=T)) as trace:
        assert trace.content_hash == ragged


def test_tokens_may_halt_in_images_that_leave(tmp_path: Path) -> None:
    class Both(Leaving):
        def forward(self, x: Tensor) -> Any:
            v1 = v2 = 0.0
            alive = torch.ones(1, 144, 1)
            total = 0
            for _ in range(T):
                v1 = 0.5 * v1 + self.c1(x).flatten(2).transpose(1, 2)
                s1 = (v1 > 0.1).float()
                v1 = v1 * (1 - s1)
                alive = active(alive * (s1.mean(2, keepdim=True) < 0.6), "tokens")
                v2 = 0.5 * v2 + self.g(s1 * alive)
                s2 = (v2 > 0.05).float() * alive
                v2 = v2 * (1 - s2)
                total = total + self.h(s2.mean(1))
                if torch.softmax(total, 1).max() > self.level:
                    break
            return total

    torch.manual_seed(1)
    net = Both(level=0.38).eval()
    net.g, net.h = nn.Linear(8, 8), nn.Linear(8, 4)
    with Trace.open(capture(net, pictures(6), tmp_path / "t.npz", ragged=True)) as trace:
        trace.verify()
        steps = trace.layout.image_timesteps
        assert len(set(steps)) > 1
        for index, ran in enumerate(steps):
            mask = trace.read(index).active["0"]
            assert mask[:ran].any()
            assert not mask[ran:].any()
        result = simulation_of(trace, load_architecture("arch_configs/sparse_pe.yaml")).run([1, 0])
        result.check()


def test_layers_that_only_some_images_run_are_refused(tmp_path: Path) -> None:
    class Other(Leaving):
        def forward(self, x: Tensor) -> Any:
            y = super().forward(x)
            return y if self.took[0] > 2 else self.extra((y > 0).float())

    torch.manual_seed(0)
    net = Other().eval()
    net.extra = nn.Linear(4, 4)
    with pytest.raises(ModelError, match=said("a layer that only some images run")):
        capture(net, pictures(8), tmp_path / "t.npz", ragged=True)
    assert not list(tmp_path.iterdir())


def test_a_trace_that_hides_work_after_leaving_is_refused(own: Any, tmp_path: Path) -> None:
    path, _, _ = own
    with Trace.open(path) as trace:
        longest = next(each for each in trace if trace.layout.image_timesteps[each.index] > 1)
        wrong = {**trace.manifest, "image_timesteps": [1] * 8}
        writer = open_writer(tmp_path / "a.npz", wrong)
        with (
            contextlib.suppress(TraceError),
            writer,
            pytest.raises(TraceError, match=said("work after an image left")),
        ):
            writer.add(longest.tensors, longest.active)


@cases("timesteps_of_images")
def test_timesteps_are_stated_for_each_image(
    timesteps: list[int], message: str, own: Any, tmp_path: Path
) -> None:
    with Trace.open(own[0]) as trace, pytest.raises(TraceError, match=message):
        open_writer(tmp_path / "b.npz", {**trace.manifest, "image_timesteps": timesteps})
