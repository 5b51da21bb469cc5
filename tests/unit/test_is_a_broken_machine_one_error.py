"""Each way to break an architecture file gives its one line: file, line, path, value and rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.components.dataflows.base import Dataflow
from simulator.errors import ArchitectureError
from tests.tiny_machine import TINY_MACHINE as VALID
from tests.tiny_machine import define_parts


@pytest.fixture(autouse=True)
def parts(empty_registry: None) -> None:
    define_parts()


CORE = VALID[VALID.index("  - pe_array") : VALID.index("token_skip:")]


def replaced(old: str, new: str) -> Callable[[], str]:
    assert VALID.count(old) == 1, old
    return lambda: VALID.replace(old, new)


# What is broken, how, and the whole message after the file's name.
BROKEN: dict[str, tuple[Callable[[], str | bytes], str]] = {
    "unknown field": (
        replaced("      rows: 8", "      rows: 8\n      lanez: 2"),
        ":13: cores.0.pe_array.lanez: 2: unknown field "
        "(did you mean 'lanes'?; known: gated, kind, lanes, mode, rows)",
    ),
    "unknown section": (
        replaced("token_skip:", "tokenskip: 1\ntoken_skip:"),
        ":21: tokenskip: 1: unknown field (did you mean 'token_skip'?; known: clock_mhz, cores, "
        "dataflow, interconnect, memories, name, precision, published, schema, source, split, "
        "technology, token_skip)",
    ),
    "unknown kind": (
        replaced("kind: walker", "kind: walter"),
        ":11: cores.0.pe_array.kind: \"walter\": unknown kind (did you mean 'walker'?; "
        "known: walker)",
    ),
    "kind of another slot": (
        replaced("{kind: nothing}", "{kind: plain}"),
        ':21: token_skip.kind: "plain": unknown kind (known: nothing)',
    ),
    "kind missing": (
        replaced("kind: nothing", ""),
        ":21: token_skip.kind: (none): a part needs its kind (known: nothing)",
    ),
    "kind is a number": (
        replaced("kind: nothing", "kind: 3"),
        ":21: token_skip.kind: 3: unknown kind (known: nothing)",
    ),
    "field missing": (
        replaced("      rows: 8\n", ""),
        ":10: cores.0.pe_array.rows: (none): must be given: rows of processing elements",
    ),
    "section missing": (
        replaced("dataflow: {kind: in_order, tile: [4, 8]}\n", ""),
        ":1: dataflow: (none): must be given: order of the loops, tiles, overlap",
    ),
    "section empty": (
        replaced("  dram: {kind: plain, size_kib: 1048576}\n", ""),
        ":22: memories: null: must be a mapping of fields",
    ),
    "text for an integer": (
        replaced("rows: 8", "rows: eight"),
        ':12: cores.0.pe_array.rows: "eight": must be a valid integer',
    ),
    "float for an integer": (
        replaced("rows: 8", "rows: 8.0"),
        ":12: cores.0.pe_array.rows: 8.0: must be a valid integer",
    ),
    "bool for an integer": (
        replaced("rows: 8", "rows: true"),
        ":12: cores.0.pe_array.rows: true: must be a valid integer",
    ),
    "bool for a number": (
        replaced("clock_mhz: 500", "clock_mhz: true"),
        ":8: clock_mhz: true: must be a valid number",
    ),
    "integer for a bool": (
        replaced("mode: wide", "gated: 1"),
        ":13: cores.0.pe_array.gated: 1: must be a valid boolean",
    ),
    "number for text": (
        replaced("name: tiny", "name: 12"),
        ":2: name: 12: must be a valid string",
    ),
    "negative": (
        replaced("clock_mhz: 500", "clock_mhz: -5"),
        ":8: clock_mhz: -5: must be greater than 0",
    ),
    "out of range": (
        replaced("rows: 8", "rows: 4096"),
        ":12: cores.0.pe_array.rows: 4096: must be less than or equal to 1024",
    ),
    "infinite": (
        replaced("clock_mhz: 500", "clock_mhz: .inf"),
        ":8: clock_mhz: Infinity: must be a finite number",
    ),
    "overflowing": (
        replaced("clock_mhz: 500", "clock_mhz: 1e999"),
        ":8: clock_mhz: Infinity: must be a finite number",
    ),
    "not a number": (
        replaced("voltage_v: 0.9", "voltage_v: .nan"),
        ":6: technology.voltage_v: NaN: must be a finite number",
    ),
    "endless integer": (
        replaced("rows: 8", "rows: " + "9" * 5000),
        f":12: cores.0.pe_array.rows: {'9' * 57}...: must have at most 100 digits",
    ),
    "not one of the words": (
        replaced("mode: wide", "mode: wild"),
        ":13: cores.0.pe_array.mode: \"wild\": must be one of these (did you mean 'wide'?; "
        "known: narrow, wide)",
    ),
    "wrong type inside a list": (
        replaced("tile: [4, 8]", "tile: [4, 8.5]"),
        ":24: dataflow.tile.1: 8.5: must be a valid integer",
    ),
    "number for a list": (
        replaced("tile: [4, 8]", "tile: 4"),
        ":24: dataflow.tile: 4: must be a list",
    ),
    "two cores that differ": (
        replaced("token_skip:", CORE.replace("rows: 8", "rows: 9") + "token_skip:"),
        ':9: cores: [{"pe_array": {"kind": "walker", "rows": 8, "mode": "wide...: '
        "core 1 must equal core 0",
    ),
    "published area of 0": (
        lambda: VALID + "published: {area_mm2: 0.0, source: a paper}\n",
        ":25: published.area_mm2: 0.0: must be greater than 0",
    ),
    "unknown published field": (
        lambda: VALID + "published: {aera_mm2: 1.0, source: a paper}\n",
        ":25: published.aera_mm2: 1.0: unknown field "
        "(did you mean 'area_mm2'?; known: area_mm2, power_mw, source)",
    ),
    "global buffer of an unknown kind": (
        replaced("  dram:", "  global_buffer: {kind: plan}\n  dram:"),
        ":23: memories.global_buffer.kind: \"plan\": unknown kind (did you mean 'plain'?; "
        "known: plain)",
    ),
    "unknown split": (
        lambda: VALID + "split: rows\n",
        ':25: split: "rows": must be one of these (known: heads, output_channels, tokens)',
    ),
    "no core": (
        lambda: VALID[: VALID.index("cores:")] + "cores: []\n" + VALID[VALID.index("token_skip") :],
        ":9: cores: []: must be a list of 1 to 64 cores",
    ),
    "cores is a number": (
        lambda: VALID[: VALID.index("cores:")] + "cores: 4\n" + VALID[VALID.index("token_skip") :],
        ":9: cores: 4: must be a list",
    ),
    "part is a word": (
        replaced("token_skip: {kind: nothing}", "token_skip: nothing"),
        ':21: token_skip: "nothing": must be a mapping of fields',
    ),
    "duplicate key": (
        replaced("clock_mhz: 500", "clock_mhz: 500\nclock_mhz: 600"),
        ":9: clock_mhz: 600: given twice, first on line 8",
    ),
    "key that is no text": (
        replaced("name: tiny", "name: tiny\n7: seven"),
        ":3: the file: 7: a field's name must be text",
    ),
    "alias": (
        replaced("tiny_28nm", "&a tiny_28nm\nname2: *a"),
        ":8: column 8: aliases are not used here: write the value out",
    ),
    "alias bomb": (
        lambda: "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)),
        ":2: column 10: aliases are not used here: write the value out",
    ),
    "merge key": (
        replaced("{kind: nothing}", "{kind: nothing, <<: {}}"),
        ":21: token_skip.<<: {}: unknown field (known: kind)",
    ),
    "tag": (
        replaced("name: tiny", "name: !!python/name:os.system tiny"),
        ":2: name: tiny: tags are not used here",
    ),
    "tag on a mapping": (
        replaced("token_skip: {", "token_skip: !!set {"),
        ":21: token_skip: tag:yaml.org,2002:set: tags are not used here",
    ),
    "too deep": (
        replaced("tile: [4, 8]", "tile: " + "[" * 40 + "]" * 40),
        ":24: column 64: nested deeper than 32 levels",
    ),
    "too many values": (
        replaced("tile: [4, 8]", "tile: [" + "1," * 20_000 + "1]"),
        ":24: column 19867: more than 10000 values",
    ),
    "tab": (
        replaced("  node_nm: 28", "\tnode_nm: 28"),
        ":5: column 1: while scanning for the next token, found character '\\t' that cannot "
        "start any token (indent with spaces, not tabs)",
    ),
    "bracket left open": (
        replaced("tile: [4, 8]}", "tile: [4, 8"),
        ":25: column 1: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
    ),
    "two documents": (
        lambda: VALID + "---\n" + VALID,
        ":25: column 1: expected a single document in the stream, but found another document",
    ),
    "a list": (
        lambda: "- schema\n- name\n",
        ':1: the file: ["schema", "name"]: must be a mapping of fields',
    ),
    "a word": (lambda: "tiny", ':1: the file: "tiny": must be a mapping of fields'),
    "empty": (lambda: "", ":1: the file is empty"),
    "only comments": (lambda: "# nothing\n", ":1: the file is empty"),
    "control character": (
        lambda: VALID.replace("tiny", "ti\x07ny", 1),
        ":2: character 0x07: is not allowed in YAML",
    ),
    "unprintable name": (
        replaced("name: tiny", 'name: "ti\\u001bny"'),
        ':2: name: "ti\\u001bny": must be one line of printable text',
    ),
    "impossible escape": (
        replaced("name: tiny", 'name: "\\UFFFFFFFF"'),
        ":2: an escape names a character that does not exist",
    ),
    "half a surrogate pair": (
        replaced("name: tiny", 'name: "\\ud800"'),
        ":2: name: \\xd800: must be Unicode text",
    ),
    "not UTF-8": (
        lambda: VALID.encode().replace(b"tiny\n", b"ti\xffny\n", 1),
        ":2: byte 0xff: must be UTF-8 text",
    ),
    "UTF-16": (lambda: VALID.encode("utf-16"), ":1: byte 0xff: must be UTF-8 text"),
    "too large": (
        lambda: VALID + "#" * (1 << 20),
        f": {len(VALID) + (1 << 20)} bytes: must be at most 1048576 bytes",
    ),
    "schema missing": (
        replaced("schema: stasim-architecture/1\n", ""),
        ":1: schema: (none): must be given: stasim-architecture/1",
    ),
    "future schema": (
        replaced("architecture/1", "architecture/2"),
        ":1: schema: \"stasim-architecture/2\": must be 'stasim-architecture/1'; "
        "this file is for another version of STASim",
    ),
    "future schema with fields of its own": (
        lambda: "schema: stasim-architecture/2\nname: a\nname: b\ncores: {}\n",
        ":1: schema: \"stasim-architecture/2\": must be 'stasim-architecture/1'; "
        "this file is for another version of STASim",
    ),
    "another file": (
        lambda: "schema: stasim-trace/1\nimages: 3\n",
        ":1: schema: \"stasim-trace/1\": must be 'stasim-architecture/1'",
    ),
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
    make, expected = BROKEN[case]
    path = tmp_path / "broken.yaml"
    content = make()
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
    assert lines[-1] == f"{path}: and 900 more problems"


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "absent.yaml"
    assert fault(path) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_is_one_message(tmp_path: Path) -> None:
    assert fault(tmp_path) == f"{tmp_path}: a directory: must be a YAML file"


def test_a_pipe_is_one_message_and_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert fault(path) == f"{path}: not a regular file: must be a YAML file"


def test_an_impossible_path_is_one_message() -> None:
    assert "cannot be read: " in fault(Path("a\0b.yaml"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(VALID)
    path.chmod(0)
    assert fault(path) == f"{path}: cannot be read: Permission denied"


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
