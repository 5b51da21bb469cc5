"""Do layers on RTL give the right spikes, in the cycles that the model says, to a stated share?

Layers within 1 %, with contention on the weight port; whole encoder blocks of the CIFAR model
within 3 %. Operands and masks are those of the shipped traces.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from experiments.calibration.cases import CaseComparison, compare
from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.jobs import layer_jobs
from simulator.hil.layer_design import engine_design
from simulator.hil.layer_engine import run_jobs
from simulator.hil.verilator import lint
from simulator.lowering import Lowered, Plan, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Image, Trace
from tests.messages import cases, said
from tests.rtl.rtl_cases import ROOT, needs_verilator

pytestmark = needs_verilator
NARROW_PORT = "cores.0.buffers.weights.banks=2"
NO_SKIP = "token_skip={kind: none}"
LAYERS = ("attn.q_linear", "attn.proj", "mlp.fc1", "mlp.fc2")


class Case(NamedTuple):
    plan: Plan
    image: Image
    lowered: Lowered


@cache
def case(trace: str, *overrides: str) -> Case:
    architecture = load_architecture("sparse_pe", overrides)
    with Trace.open(ROOT / "traces" / f"{trace}.npz") as opened:
        plan = make_plan(read_network(opened), architecture)
        image = opened.read(0)
    return Case(plan, image, lower(plan, image))


def check(on: Case, prefix: str, timesteps: range, within: float) -> CaseComparison:
    names = [each.layer.name for each in on.plan.layers if each.layer.name.startswith(prefix)]
    found = compare(on.plan, on.image, on.lowered, names, timesteps)
    assert found.wrong == 0
    assert abs(found.deviation) <= within
    # What each unit did is what the model counts, not only how long it took.
    for unit in ("pe_array", "vector_unit", "weight_port"):
        assert found.rtl.busy_cycles[unit] == found.model.busy_cycles[unit]
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_over_all_timesteps(layer: str) -> None:
    check(case("cifar10"), f"blocks.1.{layer}", range(4), within=0.01)


@pytest.mark.parametrize("layer", ["attn.scores", "attn.context"])
def test_attention_of_short_tiles(layer: str) -> None:
    # Tiles as short as their drain: the results still queued at their end weigh more.
    check(case("cifar10"), f"blocks.1.{layer}", range(4), within=0.02)


@pytest.mark.parametrize("layer", ["attn.q_linear", "attn.proj", "mlp.fc2"])
def test_a_layer_that_waits_for_its_weight_port(layer: str) -> None:
    found = check(case("cifar10", NARROW_PORT), f"blocks.1.{layer}", range(4), within=0.01)
    # The array alone would have been done long before: the port is what is waited for.
    assert found.rtl.cycles > found.rtl.busy_cycles["pe_array"] * 1.03


@pytest.mark.parametrize("timestep", range(4))
def test_a_whole_encoder_block_of_the_cifar_model(timestep: int) -> None:
    check(case("cifar10"), "blocks.2.", range(timestep, timestep + 1), within=0.03)


def test_an_encoder_block_without_token_skip() -> None:
    found = check(case("mnist", NO_SKIP), "blocks.1.", range(4), within=0.03)
    assert found.rtl.busy_cycles["token_skip"] == 0


def test_an_image_whose_tokens_halt_one_by_one() -> None:
    check(case("mnist"), "blocks.1.", range(4), within=0.03)


def test_it_is_clean_under_lint() -> None:
    assert lint(engine_design(case("cifar10").plan.architecture)) == ""


@cases("a_machine_that_the_rtl_cannot_be_is_refused")
def test_a_machine_that_the_rtl_cannot_be_is_refused(override: str, message: str) -> None:
    architecture = load_architecture("sparse_pe", [override])
    with pytest.raises(DeviceError, match=message):
        engine_design(architecture)


def test_what_the_engine_cannot_run_is_refused() -> None:
    on = case("cifar10")
    with pytest.raises(DeviceError, match=said("a kind that the RTL does not run")):
        layer_jobs(on.plan, on.image, [on.plan.layers[0].layer.name], [-1])
    with pytest.raises(DeviceError, match=said("layers without a live token")):
        run_jobs(on.plan.architecture, [])
