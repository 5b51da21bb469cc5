"""A loaded architecture holds the file's values, is frozen, and is known by its content."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from simulator.architecture import Architecture, load_architecture
from simulator.components import base
from tests.tiny_machine import TINY_MACHINE, define_parts


@pytest.fixture(autouse=True)
def parts(empty_registry: None) -> None:
    define_parts()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_MACHINE)
    return path


def rewritten(path: Path, old: str, new: str) -> Architecture:
    assert TINY_MACHINE.count(old) == 1
    path.write_text(TINY_MACHINE.replace(old, new))
    return load_architecture(path)


def test_values_and_defaults_are_there(path: Path) -> None:
    architecture = load_architecture(path)
    array = architecture.core.pe_array.model_dump()
    assert array == {"kind": "walker", "rows": 8, "lanes": 1, "mode": "wide", "gated": False}
    assert architecture.clock_mhz == 500.0
    assert architecture.technology.energy_table == "tiny_28nm"
    assert architecture.folder == path.parent


def test_its_parts_are_named_by_their_paths(path: Path) -> None:
    parts = dict(load_architecture(path).parts())
    assert list(parts) == [
        "cores.0.pe_array",
        "cores.0.vector_unit",
        "cores.0.buffers.weights",
        "cores.0.buffers.spikes",
        "cores.0.buffers.partial_sums",
        "cores.0.buffers.membranes",
        "cores.0.buffers.masks",
        "token_skip",
        "memories.dram",
        "dataflow",
    ]
    assert parts["dataflow"].kind == "in_order"


def test_nothing_of_it_can_be_changed(path: Path) -> None:
    architecture = load_architecture(path)
    with pytest.raises(ValidationError):
        architecture.clock_mhz = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        architecture.core.pe_array.rows = 1  # type: ignore[attr-defined]


def test_what_it_dumps_loads_to_the_same(path: Path) -> None:
    architecture = load_architecture(path)
    dumped = architecture.model_dump(mode="json", by_alias=True)
    path.write_text(yaml.safe_dump(dumped))
    assert load_architecture(path) == architecture


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("clock_mhz: 500", "clock_mhz: 5.0e+2  # the same"),
        ("clock_mhz: 500", "clock_mhz: 5e2"),
        ("{kind: in_order, tile: [4, 8]}", "\n  tile:\n  - 4\n  - 0x8\n  kind: in_order"),
        ("      mode: wide\n", ""),
        ("node_nm: 28\n", "node_nm: 28\r\n"),
        ("schema:", "\ufeffschema:"),
    ],
)
def test_the_hash_ignores_how_it_is_written(path: Path, old: str, new: str) -> None:
    expected = load_architecture(path).content_hash
    assert rewritten(path, old, new).content_hash == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rows: 8", "rows: 9"),
        ("kind: in_order, tile: [4, 8]", "kind: any_order"),
        ("tile: [4, 8]", "tile: [8, 4]"),
        ("mode: wide", "lanes: 2"),
        ("tiny_28nm", "tiny_45nm"),
    ],
)
def test_the_hash_knows_every_value(path: Path, old: str, new: str) -> None:
    before = load_architecture(path).content_hash
    assert rewritten(path, old, new).content_hash != before


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("cores.0.pe_array.rows=9", "rows: 8", "rows: 9"),
        ("cores.0.pe_array.lanes = 2", "mode: wide", "lanes: 2"),
        ("dataflow={kind: any_order}", "{kind: in_order, tile: [4, 8]}", "{kind: any_order}"),
        ("dataflow.tile.1=16", "[4, 8]", "[4, 16]"),
        ("name='a=b'", "name: tiny", "name: a=b"),
    ],
)
def test_an_override_equals_an_edit(path: Path, override: str, old: str, new: str) -> None:
    overridden = load_architecture(path, [override])
    assert overridden == rewritten(path, old, new)


def test_the_last_override_wins(path: Path) -> None:
    overrides = ["clock_mhz=1", "clock_mhz=2"]
    assert load_architecture(path, overrides).clock_mhz == 2.0


def test_it_travels_to_another_process() -> None:
    """Parts of the library itself: the test's own are defined in a function."""
    technology = Architecture.model_fields["technology"].annotation
    assert technology is not None
    original = technology(node_nm=28, voltage_v=0.9, energy_table="x")
    assert pickle.loads(pickle.dumps(original)) == original


def test_a_part_is_built_from_its_example() -> None:
    for slot in base.slots():
        for part in base.registry(slot).values():
            assert isinstance(base.build(slot, yaml.safe_load(part.example)), part)
