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

BREAKAGES = {
    # what is broken: (text, what it becomes, what the message must say)
    "unknown key": ("node_nm: 28\nvolt", "nodenm: 28\nvolt", "nodenm: 28: unknown key .*node_nm"),
    "missing key": ("family: horowitz\n", "", "needs the key family"),
    "future schema": ("energy/1", "energy/2", 'schema: "stasim-energy/2": must be stasim-energy/1'),
    "text for a number": (
        "base_pj: 0.03",
        "base_pj: cheap",
        r'logic\.0\.base_pj: "cheap": must be a num',
    ),
    "negative energy": ("base_pj: 0.05", "base_pj: -1", r"logic\.1\.base_pj: -1: must be a number"),
    "not a number": ("base_pj: 0.05", "base_pj: .nan", r"logic\.1\.base_pj: NaN: must be a number"),
    "infinite": (
        "voltage_v: 0.9",
        "voltage_v: .inf",
        "voltage_v: Infinity: must be a number above",
    ),
    "bool for a number": ("voltage_v: 0.9", "voltage_v: true", "voltage_v: true: must be a number"),
    "fractional width": ("bits: 8", "bits: 7.5", r"logic\.0\.bits: 7.5: must be a whole number"),
    "empty source": (
        'source: "Horowitz, ISSCC 2014, Fig. 1.1.9, Int Add 8 bit (45 nm, 0.9 V)"',
        'source: " "',
        r'logic\.0\.source: " ": must be text',
    ),
    "twice the same": ("bits: 16", "bits: 8", r"logic\.1: .*add 8 bits.*is listed twice"),
    "zero denominator": (
        "denominator_pj: 0.121",
        "denominator_pj: 0",
        r"logic\.1\.factor\.denominator_pj: 0: must be a number above 0",
    ),
    "unnamed scaling": ("\nscaling:", "\nscalling:", "scalling: .*unknown key .*did you mean"),
    "unknown rule": (
        "rule: same_as",
        "rule: same",
        r'derived\.0\.rule: "same": unknown rule .*same_',
    ),
    "derived of nothing": ("of: add", "of: adds", r'derived\.0\.of: "adds": is not listed .*add'),
    "nodes mixed": (
        "  node_nm: 28",
        "  node_nm: 45",
        r"sram\.node_nm: 45: must be the table's node",
    ),
    "empty list": (
        "derived:\n  -",
        "derived: []\nold:\n  -",
        r"derived: \[\]: must be a list with",
    ),
    "null list": ("logic:\n", "logic:\nold:\n", "logic: null: must be a list with at least one"),
    "dram twice": ("technology: hbm3", "technology: hbm2", r'dram\.3: "hbm2": is listed twice'),
    "given twice": ("node_nm: 28\nv", "node_nm: 28\nnode_nm: 45\nv", "node_nm: .*given twice"),
    "not YAML": ("logic:\n", "logic: [\n", r"column \d+"),
}
ERT_BREAKAGES = {
    "no source": ('  source: "post-layout, 45 nm"\n', "", "overrides: .*needs the key source"),
    "negative": (
        "energy: 0.25",
        "energy: -0.25",
        r"actions\.0\.energy: -0.25: must be a number of 0",
    ),
    "same action": ("name: skip", "name: accumulate", "pe_array.accumulate.*is given twice"),
    "other node": ("node_nm: 45", "node_nm: 28", r"overrides\.node_nm: 28: must be the table's 45"),
    "unknown base": (
        "base: horowitz_45nm",
        "base: horowitz_54nm",
        "base: .*did you mean 'horowitz_45",
    ),
    "prices of its own": (
        "overrides:",
        "voltage_v: 0.8\noverrides:",
        "voltage_v: 0.8: unknown key",
    ),
}


def message_of(path: Path) -> str:
    with pytest.raises(PricingError) as caught:
        EnergyTable.load(path)
    return str(caught.value)


@pytest.mark.parametrize(("old", "new", "rule"), BREAKAGES.values(), ids=BREAKAGES)
def test_a_broken_table_names_file_line_place_value_and_rule(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    assert old in COMPLETE
    path = tmp_path / "broken.yaml"
    path.write_text(COMPLETE.replace(old, new, 1), encoding="utf-8")
    message = message_of(path)
    assert re.search(rule, message), message
    assert all(re.match(re.escape(f"{path}:") + r"\d+: ", line) for line in message.splitlines())


@pytest.mark.parametrize(("old", "new", "rule"), ERT_BREAKAGES.values(), ids=ERT_BREAKAGES)
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


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("0.9,", "much,", r":4: read_pj: \"much\": must be a number above 0"),
        ("0.9,", "nan,", r":4: read_pj: \"nan\": must be a number above 0"),
        ("0.9,", "", r":4: .*: must have 8 cells, has 7"),
        ("28,2,", "28,1,", r":4: 1 KiB, 32 bits: is listed twice"),
        ("read_pj,write_pj", "write_pj,read_pj", r":2: .*: the columns must be node_nm,"),
        ("28,", "22,", r"node_nm 28: the grid has no rows"),
    ],
)
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
    with pytest.raises(PricingError, match="known: aladdin_28nm, aladdin_45nm, horowitz_28nm"):
        EnergyTable.load(name)


def test_a_missing_or_oversized_file_is_one_error(tmp_path: Path) -> None:
    assert "cannot be read" in message_of(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("#" * (2 << 20), encoding="utf-8")
    assert "must be at most" in message_of(tmp_path / "big.yaml")
    (tmp_path / "mine.yaml").write_text(COMPLETE, encoding="utf-8")
    (tmp_path / "sram_cacti.csv").write_text("#" * (2 << 20), encoding="utf-8")
    assert "must be at most" in message_of(tmp_path / "mine.yaml")


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
