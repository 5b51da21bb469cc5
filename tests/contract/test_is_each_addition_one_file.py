"""Is a part of every slot one file of another package?

Each file is that of a shipped part under another name. A machine made of the six new parts must
give what the machine of the shipped ones gives.
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
    """A folder that holds what an installer writes: six modules and their entry points."""
    folder = tmp_path_factory.mktemp("package")
    for slot, kind in PARTS.items():
        text = (ROOT / f"simulator/components/{slot}/{kind}.py").read_text("utf-8")
        text = text.replace(f'kind="{kind}"', f'kind="own_{kind}"')
        (folder / f"own_{kind}.py").write_text(text.replace(f"kind: {kind}", f"kind: own_{kind}"))
    points = "".join(f"own_{kind} = own_{kind}\n" for kind in PARTS.values())
    information = folder / "own-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[stasim.components]\n{points}")
    document = renamed(yaml.safe_load(MACHINE.read_text("utf-8")))
    (folder / "machine.yaml").write_text(yaml.safe_dump(document))
    return folder


def tables(package: Path, machine: Path) -> dict[str, Any]:
    command = ["simulator.run", "--arch", str(machine), "--trace", "traces/mnist.npz"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--images", "0:1", "--json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["tables"]
    assert isinstance(found, dict)
    return found


def test_a_machine_of_six_new_parts_gives_what_the_shipped_one_gives(package: Path) -> None:
    own, shipped = tables(package, package / "machine.yaml"), tables(package, MACHINE)
    for name in ("images", "layers", "actions"):
        assert own[name] == shipped[name], name
