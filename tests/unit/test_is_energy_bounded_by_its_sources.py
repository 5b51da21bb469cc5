"""Is a result's energy between low and high prices what its counts, bounds and terms say?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from simulator import reprice
from simulator.architecture import load_architecture
from simulator.components.base import Primitive, build, registry, slots
from simulator.energy.pricing import EnergyTable, table_names
from simulator.energy.spans import Span, bound_of, bounds, price_span, sram_cells
from simulator.energy.terms import CLOCK_PIN_PJ, FLIP_FLOPS_PER_ADDER, term_names
from simulator.errors import PricingError
from simulator.results.intervals import Side, break_evens, intervals, machine_of, side_of
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A small run of the flagship."""
    trace = Trace.open(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz"))
    machine = load_architecture(ROOT / "arch_configs" / "sparse_pe.yaml")
    return Simulation(trace, machine).run(range(2))


@pytest.mark.parametrize("name", table_names())
def test_every_part_has_bounds_around_each_of_its_prices(name: str) -> None:
    table = EnergyTable.load(name)
    for slot in slots():
        for kind in registry(slot):
            part = build(slot, _example(slot, kind))
            for action, meaning in part.actions().items():
                span = price_span(table, meaning, action)
                assert span.low <= span.nominal <= span.high
                assert span.nominal == pytest.approx(table.price_action(meaning).energy_pj)


def _example(slot: str, kind: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(registry(slot)[kind].example)
    return found


def test_every_bound_holds_one_and_says_where_it_is_from() -> None:
    for bound in bounds().values():
        assert 0 < bound.low <= 1 <= bound.high
        assert len(bound.low_source) > 10
        assert len(bound.high_source) > 10


def test_the_nominal_is_the_results_own_energy(result: Result) -> None:
    found = intervals(result)
    own = float(result.tables["images"]["energy_pj"].mean())
    assert found.total_pj.nominal == pytest.approx(own, rel=1e-12)
    assert found.total_pj.low < own < found.total_pj.high


@pytest.mark.parametrize("term", [name for name in term_names() if not name.startswith("dram_")])
def test_each_term_adds_and_says_so(result: Result, term: str) -> None:
    plain, found = intervals(result), intervals(result, [term])
    assert found.total_pj.nominal > plain.total_pj.nominal
    assert found.terms == (term,)


def test_standing_power_is_power_times_time(result: Result) -> None:
    (entry,) = [each for each in intervals(result, ["clock"]).entries if each.term == "clock"][:1]
    machine = machine_of(result)
    adders = sum(p.times for p in machine.core.pe_array.logic() if p.operation == "add")
    cycles = float(result.tables["images"]["latency_cycles"].mean())
    pins = adders * FLIP_FLOPS_PER_ADDER["pe_arrays"]
    assert entry.energy_pj.nominal == pytest.approx(pins * CLOCK_PIN_PJ.nominal * cycles)


def test_cells_multiply_the_leakage_alone(result: Result) -> None:
    plain, hot = intervals(result), intervals(result, cells="lop_350k")
    leak = float(result.tables["images"]["leakage_energy_pj"].mean())
    added = leak * (sram_cells()["lop_350k"] - 1)
    assert hot.total_pj.nominal - plain.total_pj.nominal == pytest.approx(added)


def test_currents_of_a_named_part_take_the_place_of_a_bits_price(result: Result) -> None:
    found = intervals(result, ["dram_ddr4_x8"])
    reads = result.tables["actions"].query("part == 'memories.dram' and action == 'read_bit'")
    (entry,) = [each for each in found.entries if each.action == "read_bit"]
    assert entry.energy_pj == pytest.approx(
        Span(*[5.73 * reads["count"].sum() / result.images] * 3)
    )
    (rest,) = [each for each in found.entries if each.term == "dram_ddr4_x8"]
    assert rest.energy_pj.low < rest.energy_pj.nominal < rest.energy_pj.high


@pytest.mark.parametrize(
    "names", [["nonsense"], ["accumulate_gates", "operand_registers"], ["dram_hbm2"]]
)
def test_terms_that_do_not_fit_are_refused(result: Result, names: list[str]) -> None:
    with pytest.raises(PricingError):
        intervals(result, names)


def test_an_operation_without_bounds_is_refused() -> None:
    with pytest.raises(PricingError, match="no bounds"):
        bound_of(Primitive("dram_read", technology="ddr9"), "horowitz")


def test_at_the_break_even_both_designs_cost_the_same() -> None:
    one = Side(Span(1, 5e9, 9e9), 2e8, 4.0)
    other = Side(Span(1, 6e9, 9e9), 1e8, 2.0)
    power, price = break_evens(one, other, 2.0)
    assert power.value is not None
    assert price.value is not None
    ours, theirs = (
        each.rest_pj.nominal + 2.0 * each.dram_bits + power.value * 1e9 * each.latency_ms
        for each in (one, other)
    )
    assert ours == pytest.approx(theirs)
    assert power.first_below
    at = [each.rest_pj.nominal + price.value * each.dram_bits for each in (one, other)]
    assert at[0] == pytest.approx(at[1])


def test_a_design_that_is_never_dearer_has_no_break_even(result: Result) -> None:
    side = side_of(result, intervals(result))
    cheaper = side._replace(rest_pj=side.rest_pj.times(0.5))
    assert [turn.value for turn in break_evens(cheaper, side, 12.45)] == [None, None]


def test_the_command_prints_the_interval_and_the_order(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result.save(tmp_path / "one")
    result.save(tmp_path / "two")
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert not reprice.main([*folders, "--terms", "clock"])
    text = capsys.readouterr().out
    assert "at rest (clock)" in text
    assert "low" in text
    assert not reprice.main([*folders[:1], "--json", "--table", "aladdin_28nm"])
    told = json.loads(capsys.readouterr().out)["results"][0]
    assert told["energy_table"] == "aladdin_28nm"
    assert told["energy_pj"]["low"] < told["energy_pj"]["nominal"] < told["energy_pj"]["high"]
    assert reprice.main([str(tmp_path / "absent")]) == 2
