"""Each way to break an architecture file gives its one line: file, line, path, value and rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.components.dataflows.base import Dataflow
from simulator.errors import ArchitectureError
from tests.messages import rows, said
from tests.tiny_machine import TINY_MACHINE as VALID
from tests.tiny_machine import define_parts


@pytest.fixture(autouse=True)
def parts(empty_registry: None) -> None:
    define_parts()


CORE = VALID[VALID.index("  - pe_array") : VALID.index("token_skip:")]


BROKEN = rows("broken_machine")


def replaced(old: str, new: str) -> str:
    assert VALID.count(old) == 1, old
    return VALID.replace(old, new)


# What no replacement breaks.
MADE: dict[str, Callable[[], str | bytes]] = {
    "published area of 0": lambda: VALID + "published: {area_mm2: 0.0, source: a paper}\n",
    "unknown published field": lambda: VALID + "published: {aera_mm2: 1.0, source: a paper}\n",
    "unknown split": lambda: VALID + "split: rows\n",
    "no core": lambda: (
        VALID[: VALID.index("cores:")] + "cores: []\n" + VALID[VALID.index("token_skip") :]
    ),
    "cores is a number": lambda: (
        VALID[: VALID.index("cores:")] + "cores: 4\n" + VALID[VALID.index("token_skip") :]
    ),
    "alias bomb": lambda: "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)),
    "two documents": lambda: VALID + "---\n" + VALID,
    "a list": lambda: "- schema\n- name\n",
    "a word": lambda: "tiny",
    "empty": lambda: "",
    "only comments": lambda: "# nothing\n",
    "control character": lambda: VALID.replace("tiny", "ti\x07ny", 1),
    "not UTF-8": lambda: VALID.encode().replace(b"tiny\n", b"ti\xffny\n", 1),
    "UTF-16": lambda: VALID.encode("utf-16"),
    "too large": lambda: VALID + "#" * (1 << 20),
    "future schema with fields of its own": lambda: (
        "schema: stasim-architecture/2\nname: a\nname: b\ncores: {}\n"
    ),
    "another file": lambda: "schema: stasim-trace/1\nimages: 3\n",
}


def fault(path: Path, *overrides: str) -> str:
    with pytest.raises(ArchitectureError) as caught:
        load_architecture(path, overrides)
    return str(caught.value)


def test_the_unbroken_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(VALID)
    assert load_architecture(path).core.pe_array.kind == "walker"


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_file_has_its_line(case: str, tmp_path: Path) -> None:
    old, new, expected = BROKEN[case]
    path = tmp_path / "broken.yaml"
    content = MADE[case]() if old is None else replaced(old, new)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert fault(path) == f"{path}{expected}"


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(
        VALID.replace("clock_mhz: 500", "clock_mhz: 0\nclock_mhz: 1")
        .replace("node_nm: 28\n", "nodenm: 28\n")
        .replace("kind: walker", "kind: walter")
        .replace("lanes: 4", "lanes: 0")
    )
    assert fault(path).splitlines() == [
        f"{path}:4: technology.node_nm: (none): must be given: technology node",
        f"{path}:5: technology.nodenm: 28: unknown field (did you mean 'node_nm'?; "
        "known: dram_power, energy_table, node_nm, sram_cells, terms, voltage_v)",
        f"{path}:8: clock_mhz: 0: must be greater than 0",
        f"{path}:9: clock_mhz: 1: given twice, first on line 8",
        f"{path}:12: cores.0.pe_array.kind: \"walter\": unknown kind (did you mean 'walker'?; "
        "known: walker)",
        f"{path}:15: cores.0.vector_unit.lanes: 0: must be greater than 0",
    ]


def test_a_thousand_problems_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(VALID + "".join(f"extra_{number}: 1\n" for number in range(1000)))
    lines = fault(path).splitlines()
    assert len(lines) == 101
    assert lines[-1] == f"{path}: {said('more problems than are shown')}"


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda path: None, "does not exist"),
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is a device or a pipe"),
    ],
    ids=["missing", "folder", "pipe"],
)
def test_what_is_no_file_is_one_message_and_does_not_block(
    tmp_path: Path, make: Callable[[Path], None], fact: str
) -> None:
    path = tmp_path / "made"
    make(path)
    assert fault(path) == f"{path}: {fact}: must be a YAML file"


def test_an_impossible_path_is_one_message() -> None:
    assert fault(Path("a\0b.yaml")) == "a\0b.yaml: embedded null byte"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(VALID)
    path.chmod(0)
    assert fault(path) == f"{path}: Permission denied"


OVERRIDES = {
    "clock_mhz=-1": "clock_mhz: -1: must be greater than 0",
    "clock_mhz=": "clock_mhz: null: must be a valid number",
    "clock_mhz": "must read path=value, for example cores.0.pe_array.rows=8",
    "=5": "must read path=value, for example cores.0.pe_array.rows=8",
    "cores..rows=5": "must read path=value, for example cores.0.pe_array.rows=8",
    "clok_mhz=5": "clok_mhz: 5: unknown field (did you mean 'clock_mhz'?; known: clock_mhz, "
    "cores, dataflow, interconnect, memories, name, precision, published, schema, source, split, "
    "technology, token_skip)",
    "core.0.pe_array.rows=5": "core: unknown path (did you mean 'cores'?; known: clock_mhz, "
    "cores, dataflow, memories, name, schema, source, technology, token_skip)",
    "cores.1.pe_array.rows=5": "cores.1: unknown path (known: 0)",
    "cores.first.pe_array.rows=5": "cores.first: unknown path (known: buffers, count, "
    "pe_array, vector_unit)",
    "cores.count=0": "cores.count: 0: must be greater than or equal to 1",
    "cores.count=65": "cores.count: 65: must be less than or equal to 64",
    "cores.pe_array.rowz=5": "cores.pe_array.rowz: 5: unknown field (did you mean 'rows'?; "
    "known: gated, kind, lanes, mode, rows)",
    "cores.0.pe_array.rowz=5": "cores.0.pe_array.rowz: 5: unknown field (did you mean 'rows'?; "
    "known: gated, kind, lanes, mode, rows)",
    "clock_mhz.exact=5": "clock_mhz.exact: clock_mhz has no fields to set",
    "dataflow.kind=in_ordr": "dataflow.kind: \"in_ordr\": unknown kind (did you mean 'in_order'?; "
    "known: any_order, in_order)",
    "dataflow={kind: in_order": "column 16: while parsing a flow mapping, expected ',' or '}', "
    "but got '<stream end>'",
    "dataflow={kind: in_order, kind: any_order}": "dataflow.kind: any_order: given twice, "
    "first on line 1",
    "cores.0.pe_array={kind: walker}": "cores.0.pe_array.rows: (none): must be given: "
    "rows of processing elements",
    "schema=stasim-architecture/9": 'schema: "stasim-architecture/9": must be '
    "'stasim-architecture/1'; this file is for another version of STASim",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_each_broken_override_names_itself(override: str, tmp_path: Path) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(VALID)
    assert fault(path, override) == f'override "{override}": {OVERRIDES[override]}'


def test_overrides_are_reported_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(VALID.replace("tile: [4, 8]", "tile: [x]"))
    assert fault(path, "clock_mhz=0", "cores.0.pe_array.rows=0").splitlines() == [
        f'{path}:24: dataflow.tile.0: "x": must be a valid integer',
        'override "clock_mhz=0": clock_mhz: 0: must be greater than 0',
        'override "cores.0.pe_array.rows=0": cores.0.pe_array.rows: 0: must be greater than 0',
    ]


def test_a_kind_changed_by_override_blames_the_lines_it_leaves_behind(tmp_path: Path) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(VALID)
    known = ", ".join(sorted([*Dataflow.model_fields, "kind"]))
    assert fault(path, "dataflow.kind=any_order") == (
        f"{path}:24: dataflow.tile: [4, 8]: unknown field (known: {known})"
    )
