"""Is a count of cores the same machine as a list of them, and can a count and a field be varied?"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from simulator.architecture import load_architecture

ROOT = Path(__file__).parents[2]
ONE = ROOT / "arch_configs" / "sparse_pe.yaml"
FOUR = ROOT / "arch_configs" / "sparse_pe_mesh4.yaml"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """The machine of four cores with a list of them."""
    document = yaml.safe_load(FOUR.read_text("utf-8"))
    core = {name: field for name, field in document["cores"].items() if name != "count"}
    document["cores"] = [copy.deepcopy(core) for _ in range(document["cores"]["count"])]
    path = tmp_path / "listed.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_list_of_equal_cores_is_the_same_machine(listed: Path) -> None:
    assert load_architecture(listed).content_hash == load_architecture(FOUR).content_hash


@pytest.mark.parametrize("count", [1, 3, 64])
def test_the_count_is_a_field(count: int, listed: Path) -> None:
    for path in (ONE, FOUR, listed):
        cores = load_architecture(path, [f"cores.count={count}"]).cores
        assert len(cores) == count
        assert all(core == cores[0] for core in cores)


@pytest.mark.parametrize("name", ["cores.pe_array.rows", "cores.0.pe_array.rows"])
def test_a_field_is_that_of_all_cores(name: str, listed: Path) -> None:
    for path, count in ((ONE, 1), (FOUR, 4), (listed, 4)):
        cores = load_architecture(path, [f"{name}=4"]).cores
        assert [core.pe_array.model_dump()["rows"] for core in cores] == [4] * count


def test_count_and_field_go_together_in_any_order(listed: Path) -> None:
    overrides = ["cores.count=2", "cores.1.pe_array.rows=2", "cores.pe_array.lanes=2"]
    for path in (FOUR, listed):
        found = [load_architecture(path, order) for order in (overrides, overrides[::-1])]
        assert found[0] == found[1]
        assert len(found[0].cores) == 2
