"""Do the functions of `stasim` give what the commands give, for whatever they are handed?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import stasim
from simulator.architecture import load_architecture
from simulator.errors import (
    ArchitectureError,
    ResultError,
    SimulatorError,
    SpaceError,
    TraceError,
)
from simulator.run import main
from tests.factories import tiny_trace
from tests.messages import cases, refused, said

ROOT = Path(__file__).parents[2]
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
HEAVY = ("torch", "numba", "pandas", "plotly", "numpy", "pydantic")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=3)


@pytest.fixture(scope="module")
def result(tiny: Path) -> stasim.Result:
    return stasim.simulate(tiny, "sparse_pe")


def bare(result: stasim.Result) -> dict[str, Any]:
    """All of a result but how it was asked for."""
    data: dict[str, Any] = json.loads(result.to_json())
    data["provenance"]["command"] = ""
    return data


def test_importing_it_loads_nothing_heavy() -> None:
    code = f"import sys, stasim; dir(stasim); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    for name in stasim.__all__:
        assert getattr(stasim, name) is not None
    with pytest.raises(AttributeError, match=said("an unknown name of stasim")):
        stasim.simulat  # noqa: B018


def test_each_way_to_give_a_machine_is_the_same(result: stasim.Result, tiny: Path) -> None:
    document = yaml.safe_load(ARCH.read_text("utf-8"))
    for machine in (ARCH, document, load_architecture("sparse_pe")):
        assert bare(stasim.simulate(tiny, machine)) == bare(result)
    command = stasim.simulate(tiny, ARCH).provenance["command"]
    assert command.endswith(f"--arch {ARCH} --trace {tiny}")


def test_overrides_are_those_of_the_command(tiny: Path, tmp_path: Path) -> None:
    settings = ["clock_mhz=400", "dataflow.accumulator_blocks=1", "cores.pe_array.lanes=2"]
    words = [word for each in settings for word in ("--set", each)]
    command = ["--arch", "sparse_pe", "--trace", str(tiny), "--images", "0:2", *words]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    changes: dict[str, Any] = {
        "clock_mhz": 400,
        "dataflow__accumulator_blocks": 1,
        "cores.pe_array.lanes": 2,
    }
    for machine in ("sparse_pe", load_architecture("sparse_pe")):
        made = stasim.simulate(tiny, machine, images=2, **changes)
        assert bare(made) == bare(stasim.load_result(tmp_path / "out"))
    with pytest.raises(ArchitectureError, match=said("an unknown field of a machine")):
        stasim.simulate(tiny, "sparse_pe", clock_mh=3)


@pytest.mark.parametrize("images", [2, "0:2", range(2)])
def test_images_are_chosen_as_one_likes(images: Any, tiny: Path) -> None:
    made = stasim.simulate(tiny, "sparse_pe", images)
    assert made.tables["images"].image.tolist() == [0, 1]
    assert made.provenance["command"].endswith("--images 0:2")


@cases("a_bad_option_is_one_message")
def test_a_bad_option_is_one_message(options: dict[str, Any], message: str, tiny: Path) -> None:
    with pytest.raises(SimulatorError, match=message):
        stasim.simulate(tiny, "sparse_pe", **options)


def test_the_command_keeps_as_many_pictures(tiny: Path) -> None:
    made = stasim.simulate(tiny, "sparse_pe", pictures=1)
    assert made.provenance["command"].endswith("--pictures 1")


def test_several_processes_and_an_open_trace_change_nothing(
    result: stasim.Result, tiny: Path
) -> None:
    trace = stasim.load_trace(tiny)
    assert bare(stasim.simulate(trace, "sparse_pe", jobs=2)) == bare(result)
    assert trace.read(0).index == 0


def test_a_result_is_short_in_a_terminal_and_a_table_in_a_notebook(result: stasim.Result) -> None:
    assert repr(result).startswith("<Result sparse_pe on tiny.npz, 3 images: ")
    assert len(repr(result)) < 120
    assert result._repr_html_().count("<table>") == 3
    assert result.summary()["images"] == 3


def test_comparisons_take_results_folders_and_names(
    result: stasim.Result, tiny: Path, tmp_path: Path
) -> None:
    other = stasim.simulate(tiny, "dense_pe")
    other.save(tmp_path / "dense")
    compared = stasim.compare({"ours": result, "theirs": tmp_path / "dense"})
    assert compared.table.design.tolist() == ["ours", "theirs"]
    assert repr(compared).count("\n") == 3
    assert "<table" in compared._repr_html_()
    page = compared.save(tmp_path / "page.html").read_text("utf-8")
    assert "theirs" in page
    assert {"energy-by-part", "pareto"} <= set(compared.figures())
    assert len(stasim.compare([result, other, tmp_path / "dense"])) == 2


@pytest.mark.parametrize("name", ["energy", "cycles", "stalls", "latency", "tokens", "roofline"])
def test_figures_are_functions(name: str, result: stasim.Result) -> None:
    figure = getattr(stasim.plots, name)(result)
    assert len(figure.data) > 0


def test_a_search_takes_a_space_as_a_dict(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    space = {
        "schema": "stasim-space/1",
        "name": "clocks",
        "base": "sparse_pe",
        "parameters": {"clock_mhz": {"choices": [200, 400]}},
        "objectives": {"latency_ms": "minimize"},
        "search": {"strategy": "grid"},
    }
    found = stasim.sweep(space, tiny, out=tmp_path / "sweep")
    assert found.points["parameter.clock_mhz"].tolist() == [200, 400]
    with pytest.raises(SpaceError, match=said("an unknown space")):
        stasim.sweep("smaller", tiny, out=tmp_path / "other")


def test_what_is_shipped_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()  # a data set's folder is no trace
    assert stasim.load_trace("mnist").path == ROOT / "traces" / "mnist.npz"
    assert "mnist" in stasim.traces()
    assert set(stasim.machines().machine) == {p.stem for p in ARCH.parent.glob("*.yaml")}
    with pytest.raises(TraceError, match=said("an unknown trace")):
        stasim.load_trace("mnis")
    with refused(ResultError, Path("nowhere")):
        stasim.load_result("nowhere")


@pytest.mark.parametrize(("first", "said"), [("", ""), ("import models", "loaded as 'models'")])
def test_a_package_of_the_same_name_is_named(first: str, said: str, tmp_path: Path) -> None:
    """In a checkout the names are shared: ours are found, unless theirs is loaded already."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    (tmp_path / "reports").mkdir()
    code = f"""
import stasim
stasim.compare([stasim.simulate("mnist", "sparse_pe", 1)])
{first}
try:
    stasim.active(1, "b")
except (ImportError, AttributeError) as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (said in done.stdout) if said else not done.stdout
