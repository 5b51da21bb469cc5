"""The table of parts is made from the classes, and the page that shows it is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.components.__main__ import PAGE, main
from simulator.components.base import registry, slots
from simulator.components.dataflows.base import Dataflow
from simulator.components.table import BEGIN, END, parts_table
from tests.tiny_machine import define_parts

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = """\
| slot | kind | field | value | unit | default | meaning |
| --- | --- | --- | --- | --- | --- | --- |
| dataflows | `any_order` |  |  |  |  | In any order. |
| dataflows | `in_order` |  |  |  |  | One after another. |
|  |  | `tile` | tuple[int, ...] |  | (1, 1) | rows, columns |
| memories | `plain` |  |  |  |  | Stores. |
|  |  | `size_kib` | float > 0 | KiB | required | capacity |
| pe_arrays | `walker` |  |  |  |  | Walks. |
|  |  | `rows` | int > 0, ≤ 1024 |  | required | rows of processing elements |
|  |  | `lanes` | int > 0 |  | 1 | spikes a cycle |
|  |  | `mode` | 'wide', 'narrow' |  | wide | how it walks |
|  |  | `gated` | bool |  | false | whether idle lanes are gated |
| token_skip | `nothing` |  |  |  |  | Skips nothing. |
| vector_units | `lanes` |  |  |  |  | Updates. |
|  |  | `lanes` | int > 0 |  | required | elements a cycle |"""


def _own(table: str) -> str:
    """A table without the fields that every dataflow has: those of the base class change."""
    lines = table.split("\n")
    fields = [f"|  |  | `{name}` |" for name in Dataflow.model_fields]
    return "\n".join(line for line in lines if not line.startswith(tuple(fields)))


def test_the_page_is_current() -> None:
    assert main(["--check", str(ROOT / PAGE)]) == 0


def test_every_part_of_the_library_is_in_it() -> None:
    table = parts_table()
    for slot in slots():
        for kind, part in registry(slot).items():
            assert f"| {slot} | `{kind}` |" in table
            for field in part.model_fields:
                assert f"| `{field}` |" in table


def test_the_table_shows_types_bounds_units_and_defaults(empty_registry: None) -> None:
    define_parts()
    assert _own(parts_table()) == EXPECTED


def test_writing_keeps_the_rest_of_the_page(empty_registry: None, tmp_path: Path) -> None:
    define_parts()
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert main(["--check", str(page)]) == 1
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    assert _own(page.read_text()) == f"above\n{BEGIN}\n\n{EXPECTED}\n\n{END}\nbelow\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize("content", [None, "no markers\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_a_place_is_one_message(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    assert main(["--write", str(page)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{page}: ")
    assert message.count("\n") == 1
    assert content is None or page.read_text() == content
