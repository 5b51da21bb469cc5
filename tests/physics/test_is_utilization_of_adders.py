"""Is utilization the share of adders that add what is needed, on every machine alike?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.results.result import Result
from simulator.results.summary import summary
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import ROOT

FILES = {path.stem: path for path in sorted((ROOT / "arch_configs").glob("*.yaml"))}
ONE_BIT_AN_ADDITION = ("sparse_pe", "mint", "sato", "spinalflow", "ptb", "bishop")
SHARED_OR_PRUNED = ("prosperity", "phi", "loas")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("traces") / "tiny.npz"
    return Trace.open(tiny_trace(path, images=2, timesteps=3, blocks=2, halting="two_dimensional"))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("traces") / "still.npz"
    return Trace.open(tiny_trace(path, images=2, timesteps=3, blocks=2, halting="none"))


@cache
def run(trace: Trace, machine: str) -> Result:
    return Simulation(trace, load_architecture(FILES[machine])).run([0, 1])


@pytest.mark.parametrize("machine", FILES)
def test_no_adder_adds_twice_in_a_cycle(still: Trace, machine: str) -> None:
    result = run(still, machine)
    architecture = load_architecture(FILES[machine])
    layers, images = result.tables["layers"], result.tables["images"]
    most = layers["pe_busy_cycles"] * max(each.adders for each in architecture.core.arrays.values())
    assert (layers["additions"] <= most).all()
    assert (images["utilization"] <= images["pe_occupancy"]).all()
    assert (images["additions"] > 0).all()


@pytest.mark.parametrize("machine", ONE_BIT_AN_ADDITION)
def test_an_addition_for_each_bit_is_a_speed_up_of_one(trace: Trace, machine: str) -> None:
    layers = run(trace, machine).tables["layers"]
    on_array = layers[layers["kind"] != "head"]
    assert (on_array["additions"] == on_array["useful_accumulations"]).all()
    assert summary(run(trace, machine))["logical_speedup"] == 1


@pytest.mark.parametrize("machine", SHARED_OR_PRUNED)
def test_reused_and_pruned_work_is_speed_up_not_utilization(trace: Trace, machine: str) -> None:
    assert summary(run(trace, machine))["logical_speedup"] > 1


def test_a_dense_array_is_used_where_its_inputs_are_not_zero(trace: Trace) -> None:
    layers = run(trace, "dense_pe").tables["layers"]
    network = Simulation(trace, load_architecture(FILES["dense_pe"])).network
    sizes = {
        each.name: each.rows * each.timesteps * each.inputs * each.outputs
        for each in network.layers
        if each.kind == "linear"
    }
    own = layers[layers["layer"].isin(list(sizes))]
    expected = own["input_rate"] * own["layer"].map(sizes)
    assert len(own) > 4
    np.testing.assert_allclose(own["additions"], expected, rtol=1e-12)
    # Integers: several bits of one are one addition.
    assert (own["additions"] < own["useful_accumulations"]).any()


def test_rates_count_halted_tokens_as_zeros(trace: Trace) -> None:
    image, network = trace.read(0), Simulation(trace, load_architecture(FILES["sparse_pe"])).network
    layers = run(trace, "sparse_pe").tables["layers"].set_index(["image", "layer"])
    later = next(each for each in network.layers if each.block == 1 and each.kind == "linear")
    assert later.operand is not None
    assert later.mask is not None
    values = np.bitwise_or.reduce(image.tensors[later.operand], axis=1)
    ones = np.bitwise_count(values).sum(axis=2, dtype=np.int64)
    live = (ones * image.active[later.mask]).sum()
    assert live < ones.sum(), "no token halts after the tensor was made: nothing is tested"
    size = ones.size * network.tensors[later.operand].channels
    assert layers.loc[(0, later.name), "input_rate"] == live / size
