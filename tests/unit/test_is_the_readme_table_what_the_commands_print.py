"""Are the tables of the README and of the docs what their commands print?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import boards
from reports import designs, machines
from reports.generated import replaced

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "table"),
    [
        ("README.md", "designs", designs.table),
        ("docs/machines.md", "machines", machines.table),
        ("docs/validation.md", "exspike", boards.exspike),
        ("docs/validation.md", "fpga-spiking-transformer", boards.fpga_spiking_transformer),
        ("docs/validation.md", "spike-iand-former", boards.spike_iand_former),
    ],
)
def test_the_table_is_current(page: str, name: str, table: Callable[[], str]) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert replaced(text, name, table()) == text
