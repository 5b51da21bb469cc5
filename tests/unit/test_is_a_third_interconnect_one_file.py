"""Does a package bring an interconnect by one file, and a slot by another?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RING = '''
"""A ring: routers in a circle, one way round."""

from typing import ClassVar

from simulator.components.interconnects.base import End, Interconnect


class Ring(Interconnect, kind="ring"):
    """Cores in a circle, one way round; the last router has both memories."""

    example: ClassVar[str] = "kind: ring\\nwidth_bits: 64\\nhop_cycles: 1\\nlink_um: 800\\n"

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
ENTRY_POINTS = "[stasim.components]\nring = ring\ncoolers = coolers\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what an installer writes."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "ring.py").write_text(RING)
    (folder / "coolers.py").write_text(SLOT)
    (folder / "more-1.0.dist-info").mkdir()
    (folder / "more-1.0.dist-info" / "METADATA").write_text("Name: more\nVersion: 1.0\n")
    (folder / "more-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def installed(package: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_machine_runs_on_a_ring_of_another_package(package: Path) -> None:
    ring = "interconnect={kind: ring, width_bits: 64, hop_cycles: 1, link_um: 800}"
    done = installed(
        package, "simulator.run", "--arch", "arch_configs/sparse_pe_mesh4.yaml", "--set", ring,
        "--trace", "traces/mnist.npz", "--images", "0:1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["provenance"]["architecture"]["document"]["interconnect"]["kind"] == "ring"
    assert "interconnect.4" in json.dumps(told)


def test_slots_and_parts_of_another_package_are_in_the_table(package: Path) -> None:
    table = installed(package, "simulator.components").stdout
    assert "| interconnects | `ring` |" in table
    assert "| coolers | `fan` |" in table


def test_without_the_package_they_are_unknown(tmp_path: Path) -> None:
    table = installed(tmp_path, "simulator.components").stdout
    assert "| interconnects | `mesh` |" in table
    assert "ring" not in table.split("| memories |")[0]
    assert "coolers" not in table
