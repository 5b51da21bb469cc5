"""Does each array of a core take its class of products, as if it were the only one?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from simulator.components.pe_arrays.base import PEArray
from simulator.energy.area import machine_area
from simulator.energy.machine import MachinePrices
from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.lowering import Lowered
from simulator.operations import read_network
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import lowered, machine

SKIP = "{kind: spike_skip, rows: 8, columns: 32, lanes: 1}"
ARRAYS = {
    "input": "{kind: dense_systolic, rows: 12, columns: 16, stationary: ws}",
    "convolutions": "{kind: spike_skip, rows: 4, columns: 24, lanes: 2}",
    "linears": "{kind: product_sparse, tile_rows: 16, columns: 32}",
    "attention": "{kind: time_batched, rows: 8, columns: 8, window_timesteps: 2}",
}
ENGINES = "CORE.engines={" + ", ".join(f"{name}: {text}" for name, text in ARRAYS.items()) + "}"
LAYER_PARTS = ("cores.0.pe_array", *(f"cores.0.engines.{name}" for name in ARRAYS))


def work_of(found: Lowered) -> dict[int, Counter[str]]:
    """What arrays did of each layer, whichever they are."""
    layers: dict[int, Counter[str]] = {}
    for (layer, part, action), count in found.counts.items():
        if part in LAYER_PARTS:
            layers.setdefault(layer, Counter())[action] += count
    return layers


@pytest.mark.nojit
@pytest.mark.parametrize("cores", [1, 2])
def test_equal_arrays_do_the_work_of_one(cores: int, tiny: Path) -> None:
    one = machine("sparse_pe", f"CORE.pe_array={SKIP}", cores=cores, global_kib=512)
    engines = "CORE.engines={" + ", ".join(f"{name}: {SKIP}" for name in ARRAYS) + "}"
    several = machine("sparse_pe", f"CORE.pe_array={SKIP}", engines, cores=cores, global_kib=512)
    first, second = lowered(tiny, one), lowered(tiny, several)
    assert work_of(first) == work_of(second)
    assert (first.useful_accumulations == second.useful_accumulations).all()
    others = [key for key in first.counts if key[1] not in LAYER_PARTS]
    assert all(first.counts[key] == second.counts[key] for key in others)
    assert replay(second.program).makespan_cycles <= replay(first.program).makespan_cycles


@pytest.mark.nojit
@pytest.mark.parametrize("name", ARRAYS)
def test_each_array_costs_its_layers_as_alone(name: str, tiny: Path) -> None:
    alone = machine("sparse_pe", f"CORE.pe_array={ARRAYS[name]}")
    several = machine("sparse_pe", ENGINES)
    with Trace.open(tiny) as trace:
        network = read_network(trace)
    own = {
        layer.index
        for layer in network.layers
        if layer.product_class == name and layer.kind != "head"
    }
    assert own
    by_one, by_several = work_of(lowered(tiny, alone)), work_of(lowered(tiny, several))
    assert {layer: by_several[layer] for layer in own} == {layer: by_one[layer] for layer in own}


def test_each_array_is_a_unit_of_its_own(tiny: Path) -> None:
    found = lowered(tiny, machine("sparse_pe", ENGINES, cores=2, global_kib=512))
    units = [name for name in found.unit_names if "engines" in name]
    assert units == [f"cores.{core}.engines.{name}" for core in (0, 1) for name in ARRAYS]
    for name in units:
        own = found.program.unit == found.unit_names.index(name)
        assert found.program.busy_cycles[own].sum() > 0, name
    assert not (found.program.unit == found.unit_names.index("cores.0.pe_array")).any()


def test_both_engines_agree_on_several_arrays(tiny: Path) -> None:
    program = lowered(tiny, machine("sparse_pe", ENGINES)).program
    fast, slow = replay(program), simulate(program)
    assert (fast.start == slow.start).all()
    assert (fast.finish == slow.finish).all()


def test_all_arrays_are_in_peak_area_and_leakage(tiny: Path) -> None:
    one, several = machine("sparse_pe"), machine("sparse_pe", ENGINES)
    arrays: list[PEArray] = list(several.core.arrays.values())
    assert len(arrays) == 5
    adders = sum(array.adders for array in arrays)
    assert several.core.adders == adders
    prices = MachinePrices(several)
    parts = machine_area(several, prices.table)["parts"]
    assert all(f"cores.0.{path}" in parts for path in several.core.arrays)
    stalls = ("other_arrays", "array_latency")
    with Trace.open(tiny) as trace:
        result = Simulation(trace, several).run([0])
        before = Simulation(trace, one).run([0])
    tables = result.tables
    causes = tables["stalls"]["cause"].tolist()
    assert all(cause in causes for cause in stalls)
    latency = int(tables["images"]["latency_cycles"][0])
    idle = int(tables["stalls"]["stall_cycles"].sum())
    own = [n for n, name in enumerate(tables["units"]["unit"].tolist()) if is_array(name)]
    assert idle + int(tables["units"]["busy_cycles"][own].sum()) == latency * len(arrays)
    added = int(tables["images"]["additions"][0])
    assert tables["images"]["utilization"][0] == pytest.approx(added / (adders * latency))
    assert "other_arrays" not in before.tables["stalls"]["cause"].tolist()


def is_array(name: str) -> bool:
    return name == "pe_array" or name.startswith("engines.")


def test_a_machine_without_engines_keeps_its_hash() -> None:
    data = machine("sparse_pe").model_dump(mode="json", by_alias=True)
    assert "engines" not in data["cores"][0]
