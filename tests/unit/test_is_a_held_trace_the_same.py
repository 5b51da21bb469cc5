"""Is a point of a search equal to a run alone, whatever the process keeps from points before it?"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.config.located_yaml import read_document
from simulator.lowering import programs as lowering
from simulator.lowering.programs import Structures
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.sweep import held
from simulator.sweep.evaluation import Candidate, Group, evaluate_group
from simulator.sweep.metrics import machine_metrics, result_metrics
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")
MNIST = ROOT / "traces" / "mnist.npz"
POINTS = ("cores.pe_array.rows=4", "clock_mhz=400", "cores.pe_array.columns=64", "clock_mhz=400")


def test_points_equal_runs_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for point in POINTS:
        group = Group(ARCH, str(MNIST), "2:5", (), (), (Candidate(0, (point,)),))
        found = evaluate_group(group)[0]
        monkeypatch.setattr(lowering, "STRUCTURES", Structures(0))
        machine = load_architecture(ARCH, [point])
        with Trace.open(MNIST) as trace:
            simulation = Simulation(trace, machine)
            result = simulation.run(range(2, 5))
        monkeypatch.undo()
        own = machine_metrics(machine, simulation.prices.table) | result_metrics(result, set())
        assert found.status == "ok"
        assert found.metrics == own


@pytest.mark.nojit
def test_held_images_are_those_of_the_file() -> None:
    with held.open_trace(str(MNIST), "2:6") as kept, Trace.open(MNIST) as trace:
        assert held.open_trace(str(MNIST), "2:6") is kept
        for images in (range(2, 6), [3, 4], [5], [4, 3], [1, 2], range(5, 8), [9]):
            for one, other in zip(kept.read_batch(images), trace.read_batch(images), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.nojit
def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "trace.npz"
    shutil.copy(MNIST, file)
    before = held.open_trace(str(file), "0:1").content_hash
    shutil.copy(ROOT / "traces" / "mnist_baseline.npz", file)
    assert held.open_trace(str(file), "0:1").content_hash != before


@pytest.mark.nojit
def test_images_that_are_too_large_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_BYTES", 1000)
    with held.open_trace(str(MNIST), "6:9") as trace:
        assert type(trace) is Trace


@pytest.mark.nojit
def test_a_base_is_parsed_once_and_stays_as_written() -> None:
    first, written = read_document(ARCH), read_document(ARCH)
    first.override("clock_mhz=1")
    first.data["cores"][0]["pe_array"]["rows"] = 3
    again = read_document(ARCH)
    assert (again.data, again.places, again.problems) == (written.data, written.places, [])


def test_kept_programs_take_no_more_than_their_bytes() -> None:
    with Trace.open(MNIST) as trace:
        simulation = Simulation(trace, load_architecture(ARCH))
        emitted = simulation.lowering.lower([trace.read(0)]).emitted[0]
    size = lowering._bytes_of((b"a",), emitted)
    kept = Structures(2 * size)
    for key in (b"a", b"b", b"c"):
        kept.keep((key,), emitted)
        kept.find((b"a",))
    assert [kept.find((key,)) is emitted for key in (b"a", b"b", b"c")] == [True, False, True]


def test_what_no_machine_changes_is_made_once() -> None:
    made: list[str] = []
    with held.open_trace(str(MNIST), "6:8") as kept, Trace.open(MNIST) as trace:
        for _ in range(2):
            assert kept.once("held", lambda: made.append("held")) is None
            trace.once("opened", lambda: made.append("opened"))
    assert made == ["held", "opened", "opened"]


@pytest.mark.parametrize("machine", ["sparse_pe", "sparse_pe_mesh4", "prosperity"])
def test_tables_of_a_simulation_are_as_their_schema_asks(machine: str) -> None:
    """A run's tables are not checked again: the checks would find and change nothing."""
    with Trace.open(MNIST) as trace:
        result = Simulation(trace, load_architecture(machine)).run([3, 1])
    checked = Result(result.provenance, result.all_columns())
    assert checked == result
    for name, table in result.all_columns().items():
        assert list(table) == list(checked.columns(name))
