"""Does a result hold its energy between bounds that its counts, prices and terms give?"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import reprice, run
from simulator.architecture import load_architecture
from simulator.components import sections
from simulator.components.base import Primitive, build, registry, slots
from simulator.energy.machine import ALWAYS_ON, MachinePrices
from simulator.energy.pricing import EnergyTable, table_names
from simulator.energy.spans import (
    Span,
    bound_of,
    bounds,
    dram_parts,
    price_causes,
    sram_cells,
    total,
)
from simulator.energy.terms import CLOCK_PIN_PJ, FLIP_FLOPS_PER_ADDER, term_names
from simulator.errors import PricingError, ResultError
from simulator.results.intervals import design_of, intervals, with_bounds, with_prices
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.messages import cases, refused, said

ROOT = Path(__file__).parents[2]
NO_TERMS = ["technology.terms=[]", "technology.sram_cells=lstp_300k", "technology.dram_power=table"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A small run of the flagship at the bare prices of its table."""
    trace = Trace.open(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz"))
    machine = load_architecture("sparse_pe", NO_TERMS)
    return Simulation(trace, machine).run(range(2))


@pytest.mark.parametrize("name", table_names())
def test_every_part_has_bounds_around_each_of_its_prices(name: str) -> None:
    table = EnergyTable.load(name)
    for slot in slots():
        for kind in registry(slot):
            part = build(slot, yaml.safe_load(registry(slot)[kind].example))
            for action, meaning in part.actions().items():
                span = total(price_causes(table, meaning, action).values())
                assert span.low <= span.nominal <= span.high
                assert span.nominal == pytest.approx(table.price_action(meaning).energy_pj)


def test_every_bound_holds_one_and_says_where_it_is_from() -> None:
    for bound in bounds().values():
        assert 0 < bound.low <= 1 <= bound.high
        assert min(len(bound.low_source), len(bound.high_source)) > 10
    for cells in sram_cells().values():
        assert 0 < cells.factor.low <= cells.factor.nominal <= cells.factor.high
        assert len(cells.source) > 10


def test_the_names_of_switches_are_those_that_have_numbers() -> None:
    assert typing.get_args(sections.SramCellsName) == tuple(sram_cells())
    assert typing.get_args(sections.TermName) == term_names()
    assert typing.get_args(sections.DramPowerName) == ("states", "table", *dram_parts())


def test_energies_sum_to_the_image_and_its_bounds(result: Result) -> None:
    result.check()
    images, energies = result.tables["images"], result.tables["energies"]
    sums = energies.groupby("image")[["energy_low_pj", "energy_pj", "energy_high_pj"]].sum()
    for name in sums:
        assert sums[name].to_numpy() == pytest.approx(images[name].to_numpy(), rel=1e-12)
    assert (images["energy_low_pj"] < images["energy_pj"]).all()
    assert (images["energy_pj"] < images["energy_high_pj"]).all()


def test_each_actions_bounds_are_its_count_at_the_bounds_of_its_price(result: Result) -> None:
    counts = result.tables["actions"].groupby(["part", "action"])["count"].sum()
    prices = result.tables["prices"].set_index(["part", "action"])
    by_action = result.tables["energies"].groupby(["part", "action"])
    for bound, price in (("energy_low_pj", "low_pj"), ("energy_high_pj", "high_pj")):
        found = by_action[bound].sum().drop(index=ALWAYS_ON, level="action")
        expected = (counts * prices[price]).loc[found.index]
        assert found.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)


def test_a_bound_that_contradicts_its_energies_is_found(result: Result) -> None:
    tables: dict[str, Any] = {name: result.tables[name].copy() for name in result.tables}
    tables["images"].loc[0, "energy_high_pj"] *= 1.01
    with pytest.raises(ResultError, match=said("an upper bound that was changed")):
        Result(result.provenance, tables).check()
    tables["energies"].loc[0, "energy_low_pj"] = tables["energies"].loc[0, "energy_pj"] * 2
    with pytest.raises(ResultError, match=said("a lower bound above the energy")):
        Result(result.provenance, tables).check()


def test_an_older_result_is_priced_again_as_it_was(result: Result) -> None:
    """Of the first results; their machine said nothing of terms, cells and DRAM states."""
    tables: dict[str, Any] = {
        name: result.tables[name] for name in result.tables if name != "energies"
    }
    tables["images"] = tables["images"].drop(columns=["energy_low_pj", "energy_high_pj"])
    provenance = json.loads(json.dumps(result.provenance))
    for name in ("terms", "sram_cells", "dram_power"):
        del provenance["architecture"]["document"]["technology"][name]
    old = Result(provenance, tables)
    assert set(old.tables["images"]["energy_low_pj"]) == {-1.0}
    with refused(ResultError, "energies"):
        intervals(old)
    again = with_bounds(old)
    assert again.tables["images"]["energy_pj"].tolist() == (
        result.tables["images"]["energy_pj"].tolist()
    )
    assert intervals(again) == intervals(result)


@pytest.mark.parametrize("term", term_names())
def test_each_term_adds_and_the_result_names_it(result: Result, term: str) -> None:
    found = with_prices(result, {"terms": [term]})
    found.check()
    assert found.provenance["energy_table"]["terms"] == [term]
    assert intervals(found).total_pj.nominal > intervals(result).total_pj.nominal
    assert intervals(found).by_cause()[term].nominal > 0


def test_always_on_power_is_power_times_time(result: Result) -> None:
    found = with_prices(result, {"terms": ["clock"]})
    own = found.tables["energies"].query("cause == 'clock' and part.str.endswith('pe_array')")
    machine = load_architecture("sparse_pe")
    adders = sum(p.times for p in machine.core.pe_array.logic() if p.operation == "add")
    pins = adders * FLIP_FLOPS_PER_ADDER["queued"]
    cycles = result.tables["images"]["latency_cycles"].to_numpy()
    assert own["energy_pj"].tolist() == pytest.approx(
        (pins * CLOCK_PIN_PJ[28].nominal * cycles).tolist()
    )
    assert set(own["action"]) == {ALWAYS_ON}


def test_cells_multiply_the_leakage_alone(result: Result) -> None:
    hot = with_prices(result, {"sram_cells": "lop_350k"})
    leak = result.tables["images"]["leakage_energy_pj"].sum()
    more = hot.tables["images"]["energy_pj"].sum() - result.tables["images"]["energy_pj"].sum()
    assert more == pytest.approx(leak * (sram_cells()["lop_350k"].factor.nominal - 1))


def test_currents_of_a_named_part_take_the_place_of_a_bits_price(result: Result) -> None:
    found = intervals(with_prices(result, {"dram_power": "ddr4_x8"}))
    reads = result.tables["actions"].query("part == 'memories.dram' and action == 'read_bit'")
    (entry,) = [each for each in found.entries if each.action == "read_bit"]
    count = reads["count"].sum() / result.images
    assert entry.energy_pj == pytest.approx(Span(*(count * each for each in (5.73, 5.73, 6.1))))
    (rest,) = [e for e in found.entries if (e.part, e.action) == ("memories.dram", ALWAYS_ON)]
    latency_ms = result.tables["images"]["latency_ms"].mean()
    # Four channels, mW x ms = 1e6 pJ; high: open rows, low: powered down, of either part.
    milliwatts = [4 * (50.2 + 120), 4 * (89.2 + 326), 4 * (89.2 + 413)]
    assert rest.energy_pj == pytest.approx(Span(*(each * latency_ms * 1e6 for each in milliwatts)))


def test_cycles_of_open_rows_are_those_in_which_the_dram_is_busy(result: Result) -> None:
    counted = result.tables["actions"].query("action == 'active_cycle'")["count"].sum()
    busy = result.tables["units"].query("unit == 'dram'")["busy_cycles"].sum()
    assert counted == busy > 0


def test_membranes_that_come_from_dram_are_reads() -> None:
    """Nothing halts: read at each timestep but the first, written at all but the last."""
    small = ["cores.buffers.membranes.size_kib=1", "cores.buffers.membranes.banks=1"]
    small.append("cores.buffers.membranes.width_bits=32")
    bits = {}
    with Trace.open("mnist_baseline") as trace:
        for overrides in ([], small):
            machine = load_architecture("sparse_pe", overrides)
            actions = Simulation(trace, machine).run([0]).tables["actions"]
            own = actions[actions["part"] == "memories.dram"].groupby("action")["count"].sum()
            bits[len(overrides)] = own["read_bit"], own.get("write_bit", 0)
    more = [bits[3][way] - bits[0][way] for way in range(2)]
    assert more[0] == more[1] > 0


@cases("switches_that_do_not_fit_are_refused")
def test_switches_that_do_not_fit_are_refused(
    result: Result, switches: dict[str, object], told: str
) -> None:
    with pytest.raises(PricingError, match=told):
        with_prices(result, switches)


def test_a_term_without_a_figure_at_a_node_says_so(tmp_path: Path) -> None:
    text = (ROOT / "simulator" / "energy" / "tables" / "horowitz_45nm.yaml").read_text()
    (tmp_path / "own.yaml").write_text(
        text.replace("node_nm: 45", "node_nm: 65").replace("name: horowitz_45nm", "name: own")
    )
    overrides = [
        f"technology.energy_table={tmp_path / 'own.yaml'}",
        "technology.node_nm=65",
        "technology.terms=[clock]",
    ]
    machine = load_architecture("sparse_pe", overrides)
    with pytest.raises(PricingError, match=said("a term without a figure")):
        MachinePrices(machine)


def test_an_operation_without_bounds_is_refused() -> None:
    with refused(PricingError, "bounds.csv", "dram_read ddr9"):
        bound_of(Primitive("dram_read", technology="ddr9"), "horowitz")


def test_the_command_prints_the_interval_and_the_order(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result.save(tmp_path / "one")
    result.save(tmp_path / "two")
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert not reprice.main([*folders, "--terms", "clock"])
    text = capsys.readouterr().out
    assert "always on (clock)" in text
    assert "low" in text
    arguments = [*folders[:1], "--json", "--table", "aladdin_28nm", "--out", str(tmp_path / "new")]
    assert not reprice.main(arguments)
    told = json.loads(capsys.readouterr().out)["results"][0]
    assert told["energy_table"]["name"] == "aladdin_28nm"
    assert told["energy_pj"]["low"] < told["energy_pj"]["nominal"] < told["energy_pj"]["high"]
    saved = Result.load(tmp_path / "new")
    saved.check()
    assert design_of(saved).energy.nominal == pytest.approx(told["energy_pj"]["nominal"])
    assert reprice.main([str(tmp_path / "absent")]) == 2


def test_a_part_without_a_price_still_has_its_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tiny_trace(tmp_path / "tiny.npz")
    dram = "memories.dram={kind: dram_channels, standard: ddr5_3200, channels: 1}"
    arguments = ["--arch", str(ROOT / "arch_configs" / "sparse_pe.yaml"), "--trace", str(trace)]
    arguments += ["--set", dram]
    assert run.main(arguments) == 2
    assert said("an unknown DRAM of a command") in capsys.readouterr().err
    assert not run.main([*arguments, "--time-only"])
    printed = capsys.readouterr().out
    assert "Latency" in printed
    assert "J" not in printed
    assert printed.count("Prices") == 1
    with Trace.open(trace) as opened:
        machine = load_architecture("sparse_pe", [dram])
        result = Simulation(opened, machine, time_only=True).run(range(opened.images))
    assert f"{result.tables['images']['latency_cycles'].mean():,.0f}" in printed
    assert run.main([*arguments, "--time-only", "--out", str(tmp_path / "out")]) == 2
    assert said("an output of times alone") in capsys.readouterr().err
