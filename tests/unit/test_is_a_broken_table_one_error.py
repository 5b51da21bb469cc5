"""A broken energy table gives one PricingError that names file, line, place, value and rule."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.energy import EnergyTable
from simulator.energy.pricing import TABLES
from simulator.errors import PricingError
from tests.messages import cases, said

COMPLETE = (TABLES / "horowitz_28nm.yaml").read_text(encoding="utf-8")
ON_BASE = """\
schema: stasim-energy/1
name: mine
summary: a chip's own energy reference table
base: horowitz_45nm
overrides:
  source: "post-layout, 45 nm"
  node_nm: 45
  ERT:
    version: '0.4'
    tables:
      - name: pe_array
        actions:
          - {name: accumulate, arguments: {}, energy: 0.25}
          - {name: skip, energy: 0}
"""


def message_of(path: Path) -> str:
    with pytest.raises(PricingError) as caught:
        EnergyTable.load(path)
    return str(caught.value)


@cases("broken_energy_table")
def test_a_broken_table_names_file_line_place_value_and_rule(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    assert old in COMPLETE
    path = tmp_path / "broken.yaml"
    path.write_text(COMPLETE.replace(old, new, 1), encoding="utf-8")
    message = message_of(path)
    assert re.search(rule, message), message
    assert all(re.match(re.escape(f"{path}:") + r"\d+: ", line) for line in message.splitlines())


@cases("broken_overrides_of_a_table")
def test_broken_overrides_name_place_value_and_rule(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    assert old in ON_BASE
    path = tmp_path / "mine.yaml"
    path.write_text(ON_BASE.replace(old, new, 1), encoding="utf-8")
    message = message_of(path)
    assert str(path) in message
    assert re.search(rule, message), message


def test_all_problems_of_a_file_come_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(
        COMPLETE.replace("voltage_v: 0.9", "voltage_v: no").replace("bits: 32", "bits: 0"), "utf-8"
    )
    lines = message_of(path).splitlines()
    assert len(lines) >= 3
    numbers = [int(line.removeprefix(f"{path}:").partition(":")[0]) for line in lines]
    assert numbers == sorted(numbers)


GRID = """\
# a small grid
node_nm,size_kib,width_bits,read_pj,write_pj,access_ns,leakage_uw,area_mm2
28,1,32,0.5,0.8,0.5,0.1,0.001
28,2,32,0.9,1.0,0.5,0.2,0.002
"""


@cases("a_broken_grid_names_file_line_value_and_rule")
def test_a_broken_grid_names_file_line_value_and_rule(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    (tmp_path / "sram_cacti.csv").write_text(GRID.replace(old, new), encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(COMPLETE, encoding="utf-8")
    assert re.search(re.escape(str(tmp_path / "sram_cacti.csv")) + ".*" + rule, message_of(path))


def test_a_grid_beside_the_table_replaces_the_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "sram_cacti.csv").write_text(GRID, encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(COMPLETE, encoding="utf-8")
    assert EnergyTable.load(path).sram_bank(2, 32).read_pj == 0.9


@pytest.mark.parametrize("name", ["horowitz_28", "Horowitz_45nm", "", "../tables/horowitz_28nm"])
def test_an_unknown_table_lists_the_known_ones(name: str) -> None:
    with pytest.raises(PricingError, match=said("an unknown table of prices")):
        EnergyTable.load(name)


def test_a_missing_or_oversized_file_is_one_error(tmp_path: Path) -> None:
    assert said("a table that cannot be read") in message_of(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("#" * (2 << 20), encoding="utf-8")
    assert said("a table that is too large") in message_of(tmp_path / "big.yaml")
    (tmp_path / "mine.yaml").write_text(COMPLETE, encoding="utf-8")
    (tmp_path / "sram_cacti.csv").write_text("#" * (2 << 20), encoding="utf-8")
    assert said("a table that is too large") in message_of(tmp_path / "mine.yaml")


LINES = COMPLETE.splitlines()
VALUES = st.sampled_from(
    [
        "",
        "null",
        "-1",
        "0",
        "1e400",
        "[]",
        "{}",
        "[[]]",
        "{a: b}",
        "text",
        "true",
        "'",
        "*a",
        "!!x y",
    ]
)


@settings(deadline=None, max_examples=120)
@given(st.integers(0, len(LINES) - 1), VALUES, st.booleans())
def test_no_damage_gives_anything_but_a_pricing_error(
    tmp_path_factory: pytest.TempPathFactory, line: int, value: str, drop: bool
) -> None:
    key, _, _ = LINES[line].partition(":")
    damaged = [*LINES[:line], *([] if drop else [f"{key}: {value}"]), *LINES[line + 1 :]]
    path = tmp_path_factory.mktemp("damaged") / "table.yaml"
    path.write_text("\n".join(damaged), encoding="utf-8")
    with contextlib.suppress(PricingError):  # an empty comment line, say, is no damage
        EnergyTable.load(path)
