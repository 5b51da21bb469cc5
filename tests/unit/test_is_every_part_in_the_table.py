"""The table of parts is made from the classes, and the page that shows it is current."""

from __future__ import annotations

from pathlib import Path

from experiments.generated import read_page
from experiments.part_table import PAGE, sections
from simulator.components.base import registry, slots
from simulator.components.dataflows.base import Dataflow
from simulator.components.table import parts_table
from tests.tiny_machine import define_parts

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = """\
| part, and its fields | value | unit | default | meaning |
| --- | --- | --- | --- | --- |
| dataflows: `any_order` |  |  |  | In any order. |
| dataflows: `in_order` |  |  |  | One after another. |
| `tile` | tuple[int, ...] |  | (1, 1) | rows, columns |
| memories: `plain` |  |  |  | Stores. |
| `size_kib` | float > 0 | KiB | required | capacity |
| pe_arrays: `walker` |  |  |  | Walks. |
| `rows` | int > 0, ≤ 1024 |  | required | rows of processing elements |
| `lanes` | int > 0 |  | 1 | spikes a cycle |
| `mode` | 'wide', 'narrow' |  | wide | how it walks |
| `gated` | bool |  | false | whether idle lanes are gated |
| token_skip: `nothing` |  |  |  | Skips nothing. |
| vector_units: `lanes` |  |  |  | Updates. |
| `lanes` | int > 0 |  | required | elements a cycle |"""


def _own(table: str) -> str:
    """A table without the fields that every dataflow has: those of the base class change."""
    lines = table.split("\n")
    fields = [f"| `{name}` |" for name in Dataflow.model_fields]
    return "\n".join(line for line in lines if not line.startswith(tuple(fields)))


def test_the_page_is_current() -> None:
    page = ROOT / PAGE
    assert read_page(page, sections()) == page.read_text("utf-8"), f"--write {PAGE}"


def test_every_part_of_the_library_is_in_it() -> None:
    table = parts_table()
    for slot in slots():
        for kind, part in registry(slot).items():
            assert f"| {slot}: `{kind}` |" in table
            for field in part.model_fields:
                assert f"| `{field}` |" in table


def test_the_table_shows_types_bounds_units_and_defaults(empty_registry: None) -> None:
    define_parts()
    assert _own(parts_table()) == EXPECTED
