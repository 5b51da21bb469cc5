"""Are the tables of the README and of the docs what their commands print?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import boards, chip_power, designs, machines, validation
from experiments.generated import replaced
from experiments.rtl_runs import EXSPIKE, FPGA_ST

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "table"),
    [
        ("README.md", "designs", designs.table),
        ("README.md", "turns", designs.turns),
        ("simulator/energy/README.md", "chip power", chip_power.table),
        ("docs/machines.md", "machines", machines.table),
        ("docs/validation.md", "exspike", boards.exspike),
        ("docs/validation.md", "fpga-spiking-transformer", boards.fpga_spiking_transformer),
        ("docs/validation.md", "spike-iand-former", boards.spike_iand_former),
    ],
)
def test_the_table_is_current(page: str, name: str, table: Callable[[], str]) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert replaced(text, name, table(), Path(page)) == text


@pytest.mark.skipif(
    not (EXSPIKE.is_dir() and FPGA_ST.is_dir()), reason="recorded RTL is not beside the project"
)
def test_the_table_of_everything_follows_from_the_page_and_recorded_rtl() -> None:
    text = (ROOT / validation.PAGE).read_text("utf-8")
    assert replaced(text, "everything", validation.table(text), Path(validation.PAGE)) == text
