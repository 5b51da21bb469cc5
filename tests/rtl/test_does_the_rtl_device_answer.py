"""Does the RTL answer as a device: the engine's cycles for real pieces, one clear error else?"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.calibration.cases import compare
from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.base import Work, checked
from simulator.hil.rtl import RtlDevice
from simulator.lowering import lower
from simulator.trace import Image, Trace
from tests.messages import said
from tests.rtl.rtl_cases import needs_verilator

BLOCK = tuple(
    f"blocks.1.{name}"
    for name in ("attn.q_linear", "attn.k_linear", "attn.v_linear", "attn.scores", "attn.context")
)
TENSORS = ("blocks.1.x", "blocks.1.attn.q", "blocks.1.attn.k", "blocks.1.attn.v")


@pytest.fixture(scope="module")
def asked() -> tuple[RtlDevice, Image]:
    architecture = load_architecture("sparse_pe")
    with Trace.open("mnist") as trace:
        return RtlDevice(trace, architecture), trace.read(0)


def piece(image: Image, timestep: int, tensors: tuple[str, ...] = TENSORS) -> Work:
    step = slice(timestep, timestep + 1)
    return Work(
        BLOCK,
        timestep,
        {name: image.tensors[name][step] for name in tensors},
        {"1": image.active["1"][step]},
    )


@needs_verilator
def test_a_piece_costs_what_the_engine_takes(asked: tuple[RtlDevice, Image]) -> None:
    device, image = asked
    device.begin_image()
    for timestep in range(2):
        work = piece(image, timestep)
        cost = checked(device.name, work, device.estimate(work))
        names = list(BLOCK)
        found = compare(device.plan, image, lower(device.plan, image), names, [timestep])
        assert cost.cycles == found.rtl.cycles
        assert cost.busy_cycles == found.rtl.busy_cycles
        assert cost.energy_pj is None
        assert cost.latency_ms == cost.cycles / 500e3
    device.close()


@needs_verilator
def test_no_live_token_costs_nothing(asked: tuple[RtlDevice, Image]) -> None:
    device, image = asked
    device.begin_image()
    work = piece(image, 0)
    halted = work._replace(active={"1": np.zeros_like(work.active["1"])})
    assert device.estimate(halted).cycles == 0


@needs_verilator
def test_what_is_missing_is_named(asked: tuple[RtlDevice, Image]) -> None:
    device, image = asked
    device.begin_image()
    with pytest.raises(DeviceError, match=said("a tensor that was not given")):
        device.estimate(piece(image, 0, ("blocks.1.x", "blocks.1.attn.q", "blocks.1.attn.v")))
    with pytest.raises(DeviceError, match=said("an unknown layer of a device")):
        device.estimate(piece(image, 0)._replace(layers=("blocks.1.attn.q_linea",)))


def test_another_dataflow_is_refused() -> None:
    override = ["dataflow={kind: tick_batched}"]
    architecture = load_architecture("sparse_pe", override)
    with Trace.open("mnist_baseline") as trace:  # noqa: SIM117
        with pytest.raises(DeviceError, match=said("RTL of another dataflow")):
            RtlDevice(trace, architecture)


def test_a_machine_without_verilator_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from simulator.hil import verilator

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    verilator.find_verilator.cache_clear()
    with pytest.raises(DeviceError, match=said("a machine without Verilator")):
        verilator.find_verilator()
    verilator.find_verilator.cache_clear()


@needs_verilator
def test_a_machine_without_a_compiler_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from experiments.calibration.units import lif_design
    from simulator.hil.verilator import build

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match=said("a machine without a compiler")):
        build(lif_design(1, 8, 8, 1))
