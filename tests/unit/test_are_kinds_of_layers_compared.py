"""Networks whose layers have no names in common are compared by kind of layer."""

from __future__ import annotations

import pytest

from reports.compare import compare_cards, compare_page
from reports.figures.base import Run
from reports.figures.kinds import ATTENTION, CONVOLUTION, LINEAR, OTHER, kind_of, kind_table
from reports.runs import load_runs
from simulator.operations import ELEMENT_KINDS, MATRIX_KINDS
from tests.sample_runs import WORKLOADS, sample_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    sample_runs(folder)
    return load_runs([str(folder)])


def test_each_kind_of_layer_is_one_that_is_compared() -> None:
    found = {kind: kind_of(kind) for kind in (*MATRIX_KINDS, *ELEMENT_KINDS) if kind != "product"}
    assert found.pop("conv2d") == CONVOLUTION
    assert found.pop("linear") == found.pop("head") == LINEAR
    assert found.pop("convolution", None) in (OTHER, None)  # a layer's kind is conv2d then
    assert set(found.values()) == {ATTENTION}
    assert kind_of("attention_key_values") == kind_of("product_of_rows") == ATTENTION


def test_kinds_hold_all_that_layers_took(runs: list[Run]) -> None:
    for run in runs:
        found, layers = kind_table(run), run.result.tables["layers"]
        images = run.result.images
        assert found["layers"].sum() == layers["layer"].nunique()
        useful = layers["useful_accumulations"].sum() / images
        assert found["accumulations"].sum() == pytest.approx(useful)
        assert found["energy (µJ)"].sum() == pytest.approx(layers["energy_pj"].sum() / images / 1e6)
        stalls = run.result.tables["layer_stalls"]["stall_cycles"].sum()
        cycles = (layers["pe_busy_cycles"].sum() + stalls) / images
        assert found["cycles"].sum() == pytest.approx(cycles)


def test_a_page_shows_workloads_side_by_side_for_each_design(runs: list[Run]) -> None:
    card = next(each for each in compare_cards(runs) if each.name == "kinds")
    for (_design,), plot in card.plots.items():
        assert set(plot.table["workload"]) == set(WORKLOADS)
        assert plot.figure is not None
        assert set(plot.figure.data[0].y) == set(WORKLOADS)
    assert "Cost by kind of layer" in compare_page(runs)


def test_one_network_has_no_such_card(runs: list[Run]) -> None:
    one = [run for run in runs if run.workload == WORKLOADS[0]]
    assert not [each for each in compare_cards(one) if each.name == "kinds"]
