"""Does a machine run what a trace declares its stages to be, whatever their names?"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.components.base import build
from simulator.components.dataflows.base import Dataflow, Slot
from simulator.results.result import Result
from simulator.results.terminal import terminal_table
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.broken_traces import Unzipped
from tests.factories import tiny_trace

DATAFLOWS = ("timestep_serial", "tick_batched", "layer_pipelined")
NAMES = {"sps": "patches", "blocks": "encoder", "halting": "exit", "head": "classifier"}
ROLES = {"sps": "stem", "blocks": "blocks", "halting": "halting", "head": "head"}


def simulated(path: Path, dataflow: str) -> Result:
    machine = load_architecture("sparse_pe", [f"dataflow.kind={dataflow}"])
    with Trace.open(path) as trace:
        return Simulation(trace, machine).run([0])


def plain(path: Path) -> Path:
    """The trace as one of a network without blocks."""
    unzipped = Unzipped.load(path)
    for operation in unzipped.manifest["operations"]:
        if operation["stage"] != "head":
            operation |= {"stage": "features", "block": None}
    unzipped.manifest["stages"] = {"features": "layers", "head": "head"}
    return unzipped.seal_manifest().save(path)


@pytest.mark.parametrize("dataflow", ["timestep_serial", "layer_pipelined"])
def test_names_of_stages_change_nothing(dataflow: str, tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz", halting="two_dimensional")
    before = simulated(path, dataflow)
    unzipped = Unzipped.load(path)
    for operation in unzipped.manifest["operations"]:
        operation["stage"] = NAMES[operation["stage"]]
    unzipped.manifest["stages"] = {NAMES[stage]: role for stage, role in ROLES.items()}
    after = simulated(unzipped.seal_manifest().save(path), dataflow)
    for name in ("images", "units", "stalls", "actions"):
        assert after.tables[name].equals(before.tables[name]), name
    assert set(after.tables["layers"]["stage"]) == {"patches", "encoder", "classifier"}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_network_without_blocks_runs_and_the_order_is_said(dataflow: str, tmp_path: Path) -> None:
    path = plain(tiny_trace(tmp_path / "x.npz", halting="none", timesteps=3))
    result = simulated(path, dataflow)
    order = result.provenance["trace"]["order"]
    # The layer that reads the image is computed once, for all timesteps, wherever the others run.
    expected = {
        "timestep_serial": "layers together, layers by timestep, head together",
        "tick_batched": "layers together, head together",
        "layer_pipelined": "layers together, layers by timestep, head by timestep",
    }
    assert order == expected[dataflow]
    assert order in " ".join(terminal_table(result).split())


def test_plain_layers_take_turns_by_timestep(tmp_path: Path) -> None:
    """Serial moves the weights at each timestep, together it moves them once."""
    path = plain(tiny_trace(tmp_path / "x.npz", halting="none", timesteps=3))
    serial, together = (simulated(path, kind) for kind in ("timestep_serial", "tick_batched"))
    same = serial.tables["images"]["useful_accumulations"]
    assert same.equals(together.tables["images"]["useful_accumulations"])
    cycles = [int(each.tables["images"]["latency_cycles"].iloc[0]) for each in (serial, together)]
    assert cycles[0] > cycles[1]


def test_no_layer_is_lost_and_each_runs_at_all_its_timesteps() -> None:
    roles = ["layers"] * 4 + ["head"]
    once = [True, False, False, True, False]
    for kind in DATAFLOWS:
        part = build("dataflows", {"kind": kind})
        assert isinstance(part, Dataflow)
        slots = part.order(roles, 2, once)
        assert {slot.layer for slot in slots} == set(range(5))
    serial = build("dataflows", {"kind": "timestep_serial"})
    assert isinstance(serial, Dataflow)
    assert serial.order(roles, 2, once)[1:5] == [Slot(1, 0), Slot(2, 0), Slot(1, 1), Slot(2, 1)]
