"""Does the trained MNIST network, run whole on RTL, equal its twin, in the simulator's cycles?

Every spike of every layer, the residual streams, masks and logits, bit for bit; cycles of the image
within 1 %, of each layer within 2 %. STASIM_RTL_IMAGES sets how many digits run.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import cache

import numpy as np
import pytest

from simulator.errors import DeviceError
from simulator.hil.network.board import RtlBoard
from simulator.hil.network.compare import image_cycles, wrong_values
from simulator.hil.network.driver import Driver
from simulator.hil.network.engine import (
    BoardRun,
    dram_latency_cycles,
    network_design,
    run_images,
)
from simulator.hil.network.program import compile_network
from simulator.hil.network.twin import TwinRun, run_twin
from simulator.hil.verilator import lint
from simulator.lowering import Plan, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.messages import refused, said
from tests.rtl.fixed_cases import compiled, digits, drawn, machine, network, other_network
from tests.rtl.rtl_cases import needs_verilator

IMAGES = int(os.environ.get("STASIM_RTL_IMAGES", "20"))
NARROW_PORT = "cores.0.buffers.weights.banks=2"


@cache
def plan() -> Plan:
    with Trace.open("mnist") as trace:
        return make_plan(read_network(trace), machine())


@cache
def runs() -> list[tuple[BoardRun, TwinRun]]:
    images = digits()[0][:IMAGES]
    found = run_images(machine(), compiled(), list(images))
    return [
        (run, run_twin(network(), image, membrane_bits=16))
        for run, image in zip(found, images, strict=True)
    ]


@needs_verilator
def test_every_spike_mask_and_logit_is_the_twins() -> None:
    for run, twin in runs():
        assert wrong_values(compiled(), run, twin) == {}


@needs_verilator
def test_it_classifies_the_digits() -> None:
    right = [
        run.logits.argmax() == label for (run, _), label in zip(runs(), digits()[1], strict=False)
    ]
    assert np.mean(right) > 0.9


@needs_verilator
def test_an_image_takes_the_simulators_cycles() -> None:
    for run, twin in runs():
        cycles = image_cycles(plan(), compiled(), run, twin)
        assert abs(cycles.deviation) < 0.01
        # Nothing is left out: layers, decisions and head add up to the image.
        assert sum(layer.rtl for layer in cycles.layers.values()) == cycles.rtl
        model = sum(layer.model for layer in cycles.layers.values())
        assert model + cycles.idle_scans == cycles.model
        assert len(cycles.layers) == len(plan().layers) + 2


@needs_verilator
def test_each_layer_takes_the_simulators_cycles() -> None:
    for run, twin in runs():
        for name, layer in image_cycles(plan(), compiled(), run, twin).layers.items():
            assert abs(layer.deviation) < 0.02, name


@needs_verilator
def test_a_slow_memory_costs_time_and_changes_nothing() -> None:
    board = RtlBoard(network_design(machine()), latency_cycles=150, gap_cycles=7)
    with closing(board):
        outcome = Driver(board, compiled()).classify(digits()[0][0])
    run, _ = runs()[0]
    assert np.array_equal(outcome.logits, run.logits)
    assert outcome.counters["cycles"] > run.counters["cycles"] * 1.02
    assert outcome.counters["pe_array"] == run.counters["pe_array"]


@needs_verilator
def test_an_image_leaves_nothing_behind() -> None:
    # The same image in other company: no membrane, mask or list of the one before it shows.
    first, second = digits()[0][:2]
    alone = next(run_images(machine(), compiled(), [second]))
    _, after = run_images(machine(), compiled(), [first, second])
    assert np.array_equal(alone.ended, after.ended)
    assert np.array_equal(alone.logits, after.logits)


@needs_verilator
def test_a_network_leaves_nothing_behind() -> None:
    # Maps of 128 channels, then one of 8 in the same places.
    wide = drawn("wide", (3, 128, 128, 64, 64, 64), 192, heads=2, blocks=1, classes=5)
    design = network_design(machine())
    image = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    programs = [compile_network(each, design.parameters) for each in (wide, other_network(True))]
    with closing(RtlBoard(design, dram_latency_cycles(machine()))) as board:
        for program in programs:
            logits = Driver(board, program).classify(image).logits
            assert np.array_equal(logits, run_twin(program.network, image, 16).logits)


@needs_verilator
@pytest.mark.parametrize("scores", [True, False])
def test_a_network_of_other_shape_needs_no_new_rtl(scores: bool) -> None:
    other = other_network(scores)
    program = compile_network(other, network_design(machine()).parameters)
    images = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    for run, image in zip(run_images(machine(), program, list(images)), images, strict=True):
        twin = run_twin(other, image, membrane_bits=16)
        # It is no case if nothing spikes, or if no token halts on its way.
        assert all(0.02 < twin.tensors[f"blocks.2.attn.{part}"].mean() < 0.98 for part in "qkv")
        assert scores == any(0 < mask.sum() < 16 for mask in twin.active["2"])
        assert wrong_values(program, run, twin) == {}


@needs_verilator
def test_a_pool_may_come_before_counted_neurons() -> None:
    # Its neurons run for longer than a window takes.
    network = other_network(True)
    stages = tuple(stage._replace(pooled=index < 2) for index, stage in enumerate(network.stages))
    network = network._replace(stages=stages, timesteps=7)
    program = compile_network(network, network_design(machine()).parameters)
    image = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    run = next(run_images(machine(), program, [image]))
    twin = run_twin(network, image, membrane_bits=16)
    assert twin.tensors["sps.0.integrated"].max() > 3
    assert wrong_values(program, run, twin) == {}


@needs_verilator
def test_counters_are_of_the_image() -> None:
    for run, _ in runs():
        assert run.counters["cycles"] > run.head_cycle
        assert run.counters["vectors"] == len(run.results.issued)
        assert run.counters["words_merged"] == run.counters["words_pushed"] > 0


@needs_verilator
def test_it_is_clean_under_lint() -> None:
    assert lint(network_design(machine())) == ""


def test_the_twin_classifies_the_digits() -> None:
    pixels, labels = digits()
    found = [run_twin(network(), image, 16).logits.argmax() for image in pixels[:12]]
    assert np.mean(np.array(found) == labels[:12]) >= 0.9


def test_a_network_that_is_too_large_is_refused() -> None:
    engine = ("network engine", network().name)
    parameters = dict(network_design(machine()).parameters)
    with refused(DeviceError, *engine, "tokens 64", rule="32"):
        compile_network(network(), parameters | {"TOKENS": 32})
    with pytest.raises(DeviceError, match=said("membranes beyond the depth")):
        compile_network(network(), parameters | {"MEMBRANE_DEPTH": 1024})
    with pytest.raises(DeviceError, match=said("a map whose side is no power of two")):
        compile_network(network()._replace(side=24), parameters)
    with refused(DeviceError, *engine, "channels of a head 128", rule="127"):
        compile_network(network()._replace(heads=1), parameters)
    stages = network().stages
    heavy = stages[1].layer._replace(weights=np.full_like(stages[1].layer.weights, 127))
    sums = network()._replace(stages=(stages[0], stages[1]._replace(layer=heavy), *stages[2:]))
    with pytest.raises(DeviceError, match=said("sums beyond 16 bits")):
        compile_network(sums, parameters)
    wide = stages[0].layer._replace(weights=np.zeros((9 * 5, len(stages[0].layer.bias)), np.int64))
    five = network()._replace(stages=(stages[0]._replace(layer=wide), *stages[1:]))
    with refused(DeviceError, *engine, "channels of the image 5", rule="4"):
        compile_network(five, parameters)


def test_a_machine_that_the_rtl_cannot_be_is_refused() -> None:
    with pytest.raises(DeviceError, match=said("a port that the RTL has not")):
        network_design(machine(NARROW_PORT))
    narrow = ("cores.0.pe_array.columns=8", "cores.0.vector_unit.lanes=8")
    with pytest.raises(DeviceError, match=said("columns that the RTL has not")):
        network_design(machine(*narrow))
    with pytest.raises(DeviceError, match=said("a DRAM that the RTL has not")):
        dram_latency_cycles(machine("memories.dram.channels=2"))
