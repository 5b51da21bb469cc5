"""Is a part of every slot, a slot, or a metric one file of another package?

Six files are those of shipped parts under other names: a machine made of them must give what the
machine of the shipped ones gives. A ring and a slot are new. (Families and neurons: tests/models.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.results.result import Result
from simulator.results.sweep_result import SweepResult
from simulator.sweep.__main__ import main as search
from simulator.sweep.metrics import METRICS, Metric
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "arch_configs/sparse_pe_mesh4.yaml"
PARTS = {
    "pe_arrays": "spike_skip",
    "memories": "sram",
    "interconnects": "mesh",
    "token_skip": "compact",
    "vector_units": "simd",
    "dataflows": "timestep_serial",
}


SPACE = f"""\
schema: stasim-space/1
name: own
base: {MACHINE}
parameters: {{clock_mhz: {{choices: [100, 200]}}}}
objectives: {{longest_ms: minimize}}
search: {{strategy: grid}}
"""
RING = '''
"""A ring: routers in a circle, one way round."""

from typing import ClassVar

from simulator.components.interconnects.base import End, Interconnect


class Ring(Interconnect, kind="circle"):
    """Cores in a circle, one way round; the last router has both memories."""

    example: ClassVar[str] = "kind: circle\\nwidth_bits: 64\\nhop_cycles: 1\\nlink_um: 800\\n"

    def links(self, cores: int) -> tuple[str, ...]:
        return tuple(str(place) for place in range(cores + 1))

    def route(self, source: End, target: End) -> tuple[str, ...]:
        cores = 4
        place, last = (end if isinstance(end, int) else cores for end in (source, target))
        links = []
        while place != last:
            links.append(str(place))
            place = (place + 1) % (cores + 1)
        return tuple(links)
'''
SLOT = '''
"""A slot of a package's own, with one part."""

from typing import ClassVar

from simulator.components.base import Component


class Cooler(Component, slot="coolers"):
    """What carries the heat away."""


class Fan(Cooler, kind="fan"):
    """Turns."""

    example: ClassVar[str] = "kind: fan\\n"
'''


def renamed(document: Any) -> Any:
    """Name the new parts where a machine names the shipped ones."""
    if isinstance(document, dict):
        return {
            key: f"own_{value}" if key == "kind" and value in PARTS.values() else renamed(value)
            for key, value in document.items()
        }
    return [renamed(each) for each in document] if isinstance(document, list) else document


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what an installer writes: its modules and their entry points."""
    folder = tmp_path_factory.mktemp("package")
    for slot, kind in PARTS.items():
        text = (ROOT / f"simulator/components/{slot}/{kind}.py").read_text("utf-8")
        text = text.replace(f'kind="{kind}"', f'kind="own_{kind}"')
        (folder / f"own_{kind}.py").write_text(text.replace(f"kind: {kind}", f"kind: own_{kind}"))
    (folder / "circle.py").write_text(RING)
    (folder / "coolers.py").write_text(SLOT)
    modules = [f"own_{kind}" for kind in PARTS.values()] + ["circle", "coolers"]
    points = "".join(f"{module} = {module}\n" for module in modules)
    information = folder / "own-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[stasim.components]\n{points}")
    document = renamed(yaml.safe_load(MACHINE.read_text("utf-8")))
    (folder / "machine.yaml").write_text(yaml.safe_dump(document))
    return folder


def run(folder: Path, *words: str) -> str:
    """Run a module of STASim where a folder's packages are installed; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def result(package: Path, machine: Path, *words: str) -> Any:
    command = ["simulator.run", "--arch", str(machine), "--trace", "traces/mnist.npz", *words]
    return json.loads(run(package, *command, "--images", "0:1", "--json"))


def test_a_machine_of_six_new_parts_gives_what_the_shipped_one_gives(package: Path) -> None:
    own, shipped = (
        result(package, machine)["tables"] for machine in (package / "machine.yaml", MACHINE)
    )
    for name in ("images", "layers", "actions"):
        assert own[name] == shipped[name], name


def test_a_machine_runs_on_a_ring_of_another_package(package: Path) -> None:
    ring = "interconnect={kind: circle, width_bits: 64, hop_cycles: 1, link_um: 800}"
    found = result(package, MACHINE, "--set", ring)
    assert found["provenance"]["architecture"]["document"]["interconnect"]["kind"] == "circle"
    assert "interconnect.4" in json.dumps(found)


def test_slots_and_parts_are_in_the_table_where_the_package_is(
    package: Path, tmp_path: Path
) -> None:
    table, without = run(package, "simulator.components"), run(tmp_path, "simulator.components")
    for line in ("| interconnects: `circle` |", "| coolers: `fan` |"):
        assert line in table
        assert line not in without
    assert "| interconnects: `mesh` |" in without


def longest(result: Result) -> float:
    return float(result.tables["images"].latency_ms.max())


def test_a_search_knows_a_metric_of_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric("longest latency of an image", of_result=longest)
    monkeypatch.setitem(METRICS, "longest_ms", metric)
    (tmp_path / "space.yaml").write_text(SPACE)
    trace, out = tiny_trace(tmp_path / "tiny.npz", images=2), tmp_path / "out"
    assert search([str(tmp_path / "space.yaml"), "--trace", str(trace), "--out", str(out)]) == 0
    points = SweepResult.load(out).points
    assert (points["metric.longest_ms"] >= points["metric.latency_ms"]).all()
    assert len(points) == 2
