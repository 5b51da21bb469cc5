"""Do the tables that are built by columns hold what a walk over every operation finds?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.energy.field_convention import FieldLayer
from simulator.energy.field_layers import field_layers
from simulator.energy.rates import Rates
from simulator.engine.reference import simulate
from simulator.lowering import lower
from simulator.operations import read_network
from simulator.simulate import Simulation
from simulator.trace import Image, Trace, unpack_bits
from tests.factories import tiny_trace
from tests.machines import machine

ROOT = Path(__file__).parents[2]
Rows = dict[str, list[tuple[Any, ...]]]


def _walked(simulation: Simulation, image: Image) -> Rows:
    """The rows of an image, one operation, layer and action after another."""
    lowered = lower(simulation.plan, image)
    program, timeline = lowered.program, simulate(lowered.program)
    layers = [plan.layer for plan in simulation.plan.layers]
    prices = simulation.prices
    latency = int(timeline.finish.max())
    rows: Rows = {"actions": [], "layers": [], "units": []}
    energies = [0.0] * len(layers)
    for (layer, part, action), count in sorted(lowered.counts.items()):
        energy_pj = count * prices.price_pj[part, action]
        energies[layer] += energy_pj
        rows["actions"].append((image.index, layers[layer].name, part, action, count, energy_pj))
    busy_of_unit = [0] * len(lowered.unit_names)
    busy: list[dict[int, int]] = [{} for _ in layers]
    spans: list[list[tuple[int, int]]] = [[] for _ in layers]
    for op, unit in enumerate(program.unit.tolist()):
        if unit >= 0:
            cycles, layer = int(program.busy_cycles[op]), int(lowered.op_layer[op])
            busy_of_unit[unit] += cycles
            busy[layer][unit] = busy[layer].get(unit, 0) + cycles
            spans[layer].append((int(timeline.start[op]), int(timeline.finish[op])))
    graph = simulation.plan.graph
    kinds = [graph.with_role(role) for role in ("pe_array", "vector_unit", "dram")]
    for index, own in enumerate(layers):
        block = -1 if own.block is None else own.block
        held = (sum(busy[index].get(unit, 0) for unit in units) for units in kinds)
        first = min((start for start, _ in spans[index]), default=0)
        last = max((finish for _, finish in spans[index]), default=0)
        work = int(lowered.useful_accumulations[index])
        live = (int(lowered.rows[index]), int(lowered.live_rows[index]))
        moved = int(lowered.dram_bits[index]) // 8
        named = (image.index, own.name, own.stage, block, own.kind)
        rows["layers"].append((*named, first, last, *held, work, *live, moved, energies[index]))
    for name, cycles in zip(lowered.unit_names, busy_of_unit, strict=True):
        rows["units"].append((image.index, name, 1, cycles, cycles / latency))
    dynamic = 0.0
    for energy_pj in energies:
        dynamic += energy_pj
    rows["images"] = [_totals(simulation, image, latency, dynamic)]
    return rows


def _totals(simulation: Simulation, image: Image, latency: int, dynamic: float) -> tuple[Any, ...]:
    latency_ms = latency / (simulation.architecture.clock_mhz * 1e3)
    leakage = sum(each.power_uw.nominal for each in simulation.prices.always_on)
    at_rest = leakage * latency_ms * 1e3
    active = sum(int(mask.sum()) for mask in image.active.values())
    energy_pj = dynamic + at_rest
    return (latency, latency_ms, dynamic, at_rest, energy_pj, energy_pj * latency_ms, active)


TOTALS = [
    "latency_cycles",
    "latency_ms",
    "dynamic_energy_pj",
    "leakage_energy_pj",
    "energy_pj",
    "energy_delay_pj_ms",
    "active_tokens",
]


ELSEWHERE = ["additions", "input_rate"]
"""Columns that no operation of the program holds: test_is_utilization_of_adders.py."""

MACHINES = {
    name: load_architecture(name)
    for name in ("sparse_pe", "dense_pe", "prosperity", "bishop", "sparse_pe_resident")
} | {"two cores": machine(cores=2, global_kib=64)}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("attention", ["products", "spike_driven"])
def test_every_row_is_what_a_walk_finds(tmp_path: Path, name: str, attention: str) -> None:
    path = tiny_trace(tmp_path / "tiny.npz", timesteps=2, images=3, seed=3, attention=attention)
    with Trace.open(path) as trace:
        simulation = Simulation(trace, MACHINES[name])
        tables = simulation.run([2, 0, 1]).tables
        walked = [_walked(simulation, trace.read(index)) for index in range(3)]
    for table in ("actions", "layers", "units"):
        expected = [row for rows in walked for row in rows[table]]
        columns = tables[table].drop(columns=ELSEWHERE, errors="ignore")
        found = [tuple(row) for row in columns.to_numpy(dtype=object).tolist()]
        assert found == expected, table
    found = [tuple(row) for row in tables["images"][TOTALS].to_numpy(dtype=object).tolist()]
    assert found == [rows["images"][0] for rows in walked]


@pytest.mark.parametrize("name", MACHINES)
def test_images_together_are_images_alone(tmp_path: Path, name: str) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", images=3, seed=4)) as trace:
        simulation = Simulation(trace, MACHINES[name], pictured=range(2))
        together = simulation.run(range(3))
        alone = [simulation.run([index]) for index in range(3)]
    together.check()
    for table in ("images", "field_energy", "stalls", "layer_stalls", "active_tokens"):
        rows = [row for one in alone for row in one.tables[table].to_numpy(object).tolist()]
        assert together.tables[table].to_numpy(object).tolist() == rows, table


@pytest.mark.parametrize("name", ["cifar10", "mnist_baseline"])
def test_a_rate_of_the_field_is_the_share_of_values_that_are_not_zero(name: str) -> None:
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        network, images = read_network(trace), [trace.read(0), trace.read(1)]
    layers = {layer.name: layer for layer in network.layers}
    for found in field_layers(network, Rates(network, images)):
        operand = layers[found.name].operand
        if not isinstance(found, FieldLayer) or operand is None:
            continue
        tensor = network.tensors[operand]
        for image, rate in zip(images, found.input_rate, strict=True):
            values = unpack_bits(image.tensors[operand], tensor.channels).any(axis=1)
            mask = layers[found.name].mask
            if mask is not None:
                values = values & image.active[mask][:, :, None]
            assert rate == np.count_nonzero(values) / values.size, found.name
