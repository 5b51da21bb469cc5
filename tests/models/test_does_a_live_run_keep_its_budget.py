"""Does a live run end within its budget, tell the truth about its cost, and survive its device?"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.live import networks
from models.data.images import Images
from models.errors import ModelError
from models.evaluate import pixels_of
from models.live import __main__ as command
from models.live import host
from models.live.control import Budget
from models.live.flight import SteeredHalting, totals
from models.live.host import HostDevice
from models.live.running import Flown, LiveRun
from models.networks.arms import Prepared
from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work
from simulator.hil.guarded import GuardedDevice
from simulator.hil.recorded import RecordedDevice, Recorder
from simulator.hil.simulated import SimulatedDevice
from simulator.simulate import Simulation
from simulator.trace import Trace, TraceWriter
from tests.messages import cases, said
from tests.models.tiny_networks import lively, pictures, tiny_config
from tests.works import works_of

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "arch_configs" / "sparse_pe.yaml"
IMAGES = 4
WEIGHTS = {"origin": "random", "seed": 0, "accuracy": None, "sha256": "0" * 64}


@pytest.fixture(scope="module")
def images() -> Images:
    return pictures(IMAGES)


@pytest.fixture(scope="module")
def live(images: Images) -> LiveRun:
    return LiveRun(Prepared(lively(tiny_config()), WEIGHTS), images, "cifar10")


def simulated(live: LiveRun) -> SimulatedDevice:
    return SimulatedDevice(live.outline, load_architecture(MACHINE))


@pytest.fixture(scope="module")
def free(live: LiveRun) -> list[Flown]:
    """The run without a budget."""
    return list(live.fly(simulated(live), Budget(None, "ms")))


def test_without_a_budget_the_network_does_what_it_always_does(
    live: LiveRun, free: list[Flown]
) -> None:
    with torch.no_grad():
        output = live.model(pixels_of(live.images))
    assert output.active is not None
    assert [flown.prediction for flown in free] == output.logits.argmax(1).tolist()
    for flown, active in zip(free, output.active.numpy(), strict=True):
        for block in range(2):
            assert np.array_equal(flown.recording.active[str(block)], active[:, block])
    assert not isinstance(live.model.halting, SteeredHalting)


@pytest.mark.parametrize(
    ("family", "limit"),
    [
        *(("spikformer", limit) for limit in (None, 0.055)),
        *((family, 0.06) for family in ("spikingformer", "sdt", "qkformer")),
    ],
)
def test_the_live_total_is_the_replay_of_the_run_s_trace(
    images: Images, tmp_path: Path, family: str, limit: float | None
) -> None:
    live = LiveRun(Prepared(lively(tiny_config(family=family)), WEIGHTS), images, "cifar10")
    totals_are_the_replays(live, limit, tmp_path / "live.npz")


@pytest.mark.parametrize("limit", [None, 0.09])
def test_a_sequence_s_live_total_is_its_replay(tmp_path: Path, limit: float | None) -> None:
    images = networks.sequences(1, 3)[1]
    live = LiveRun(networks.shipped(images), images, networks.DATASET)
    flown = totals_are_the_replays(live, limit, tmp_path / "live.npz")
    frames = {check.timestep for each in flown for check in each.checks}
    assert frames == ({-1, 0, 1, 2, 3} if limit is None else {-1, 0, 1, 2})


def totals_are_the_replays(live: LiveRun, limit: float | None, path: Path) -> list[Flown]:
    """What has flown; raises AssertionError where the run's trace costs something else."""
    flown = list(live.fly(simulated(live), Budget(limit, "ms")))
    with TraceWriter(path, live.manifest) as writer:
        for each in flown:
            writer.add(each.recording.tensors, each.recording.active, -1, -1)
    with Trace.open(path) as trace:
        table = (
            Simulation(trace, load_architecture(MACHINE)).run(range(len(flown))).tables["images"]
        )
        assert [totals(each.checks) for each in flown] == list(
            zip(table.latency_cycles, table.energy_pj, strict=True)
        )
        # The pieces that a trace is cut into are those that the run asked for.
        asked = [(check.timestep, check.live) for check in flown[0].checks if check.block >= 0]
        cut = [
            (work.timestep, int(next(iter(work.active.values())).sum()))
            for work in works_of(trace, trace.read(0))
            if work.active
        ]
        assert asked == cut
    return flown


@pytest.mark.parametrize("unit", ["ms", "uj"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_no_image_is_over_its_budget_by_more_than_its_last_block(
    live: LiveRun, free: list[Flown], unit: str, share: float
) -> None:
    name = {"ms": "latency_ms", "uj": "energy_uj"}[unit]
    limit = share * max(flown.row[name] for flown in free)
    for flown, freely in zip(live.fly(simulated(live), Budget(limit, unit)), free, strict=True):
        row = flown.row
        assert row["within_a_block"] or not row["feasible"]
        assert row["over_budget"] == pytest.approx(max(0.0, row[name] - limit))
        assert row[name] <= freely.row[name]
        assert row["active_tokens"] <= freely.row["active_tokens"]
        if not row["feasible"]:
            assert row["blocks_run"] == 1


class Dying:
    """A simulated machine that is cut off after some answers."""

    name = "dying board"

    def __init__(self, device: Device, answers: int) -> None:
        self.device, self.left = device, answers

    def begin_image(self) -> None:
        self.device.begin_image()

    def estimate(self, work: Work) -> Cost:
        if not self.left:
            raise ConnectionResetError("Connection reset by peer")
        self.left -= 1
        return self.device.estimate(work)

    def close(self) -> None:
        self.device.close()


@pytest.mark.parametrize("answers", [0, 1, 3, 9])
def test_the_run_goes_on_without_a_device_that_died(
    live: LiveRun, free: list[Flown], answers: int
) -> None:
    device = GuardedDevice(Dying(simulated(live), answers))
    flown = list(live.fly(device, Budget(1e9, "ms")))
    assert [each.prediction for each in flown] == [each.prediction for each in free]
    assert "dying board" in str(live.failure)
    assert "Connection reset by peer" in str(live.failure)
    steered = [each.row["steered"] for each in flown]
    assert steered == sorted(steered, reverse=True)
    assert steered[-1] == 0
    assert flown[-1].row["latency_ms"] == ""


def test_a_recorded_run_replays_without_its_machine(
    live: LiveRun, free: list[Flown], tmp_path: Path
) -> None:
    recorder = Recorder(simulated(live))
    budget = Budget(0.055, "ms")
    first = [flown.row for flown in live.fly(recorder, budget)]
    recorder.save(tmp_path / "run.json", {})
    device = RecordedDevice(tmp_path / "run.json")
    assert [flown.row for flown in live.fly(device, budget)] == first
    assert live.failure is None
    list(live.fly(device, Budget(None, "ms")))
    assert "departs from the recorded one" in str(live.failure)


def test_the_host_times_the_layers_that_it_runs(live: LiveRun, free: list[Flown]) -> None:
    device = HostDevice(live.model, live.topology, "cpu", repeats=1)
    flown = list(live.fly(device, Budget(1e6, "ms")))
    assert live.failure is None
    for each, freely in zip(flown, free, strict=True):
        assert len(each.checks) == len(freely.checks)
        assert all(check.cost.cycles > 0 for check in each.checks)
        assert each.row["energy_uj"] is None
    list(live.fly(device, Budget(1.0, "uj")))
    assert "tells no energy" in str(live.failure)


def test_a_board_s_energy_counter_is_divided_among_the_runs(
    live: LiveRun, free: list[Flown], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = HostDevice(live.model, live.topology, "cpu", repeats=1)
    assert host.board_energy() is None or torch.cuda.is_available()
    readings = iter((100, 107))
    runs: list[int] = []
    monkeypatch.setattr(host, "METERED_S", 0.01)
    energy_pj = device._energy_pj(lambda: runs.append(1), lambda: next(readings))
    assert energy_pj == pytest.approx(7e9 / len(runs))


def test_the_host_computes_what_the_network_computed(live: LiveRun, free: list[Flown]) -> None:
    """Its block, run on the recorded input from rest, gives the recorded spikes of timestep 0."""
    device = HostDevice(live.model, live.topology, "cpu", repeats=1)
    recording = free[0].recording
    stream = device._values("blocks.0.x", recording.tensors["blocks.0.x"])
    spikes = device._values("blocks.0.attn.q", recording.tensors["blocks.0.attn.q"])[:1]
    from models.networks.layers import Context
    from models.networks.probes import SILENT
    from models.networks.rows import Rows

    rows = Rows(1, 1, live.model.config.tokens, neuron=live.model.config.neurons)
    q = live.model.blocks[0].attn.q(stream[0], Context(rows, {}, SILENT))
    assert torch.equal(q, spikes[0])


@pytest.mark.parametrize("granularity", ["none", "block", "timestep"])
def test_a_network_that_cannot_be_steered_is_refused(images: Images, granularity: str) -> None:
    import dataclasses

    config = tiny_config()
    halting = dataclasses.replace(config.halting, granularity=granularity)
    model = lively(dataclasses.replace(config, halting=halting))
    with pytest.raises(ModelError, match=said("a network that cannot be steered")):
        LiveRun(Prepared(model, WEIGHTS), images, "cifar10")


MNIST = [
    *("--model", "stas_spikformer_2_128", "--dataset", "mnist"),
    *("--weights", str(ROOT / "models/weights/stas_spikformer_2_128_mnist.safetensors")),
]


def test_the_command_writes_rows_trace_and_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("rows.csv", "run.npz", "run.json")}
    told = ["--images", "3", "--budget-ms", "0.15"]
    written = ["--trace", str(files["run.npz"]), "--record", str(files["run.json"])]
    arguments = [*MNIST, *told, "--arch", str(MACHINE), "--out", str(files["rows.csv"]), *written]
    assert command.main(arguments) == 0
    rows = list(csv.DictReader(files["rows.csv"].open()))
    assert all(float(row["latency_ms"]) <= 0.15 or row["within_a_block"] == "1" for row in rows)
    with Trace.open(files["run.npz"]) as trace:
        table = Simulation(trace, load_architecture(MACHINE)).run(range(3)).tables["images"]
        assert [int(row["latency_cycles"]) for row in rows] == table.latency_cycles.tolist()
    assert json.loads(files["run.json"].read_text())["schema"] == "stasim-recording/1"
    again = [*MNIST, *told, "--device", f"recorded:{files['run.json']}"]
    assert command.main([*again, "--out", str(tmp_path / "again.csv")]) == 0
    assert (tmp_path / "again.csv").read_bytes() == files["rows.csv"].read_bytes()
    assert command.main([*again, "--budget-ms", "0.18"]) == 2
    output = capsys.readouterr()
    assert "budget 0.15 ms" in output.out
    assert said("a live run that departs") in output.err


@cases("bad_live_run")
def test_bad_input_is_one_message(
    arguments: list[Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*MNIST, "--images", "1", *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


def test_a_device_that_hangs_or_lies_ends_in_one_error_and_whole_rows(live: LiveRun) -> None:
    class Lying(Dying):
        def estimate(self, work: Work) -> Cost:
            return self.device.estimate(work)._replace(cycles=-5)

    guarded = GuardedDevice(Lying(simulated(live), 0))
    rows = [flown.row for flown in live.fly(guarded, Budget(0.05, "ms"))]
    assert len(rows) == IMAGES
    assert isinstance(live.failure, DeviceError)
    assert "-5 cycles" in str(live.failure)
