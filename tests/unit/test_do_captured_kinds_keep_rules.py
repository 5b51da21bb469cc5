"""What captured networks list: the manifest's rules, and the layers made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.components.dataflows.base import ALL_TIMESTEPS, Dataflow
from simulator.components.dataflows.timestep_serial import TimestepSerial
from simulator.components.token_skip.base import TokenSkip
from simulator.errors import LoweringError, TraceError
from simulator.lowering.order import schedule
from simulator.operations import read_network
from simulator.operations.windows import window_of
from simulator.trace import Outline
from tests.captured_manifest import captured_manifest
from tests.messages import cases, rows, said

Change = Callable[[dict[str, Any]], Any]


def at(name: str, /, **fields: Any) -> Change:
    """Change fields of an operation or tensor; a__b is b within a."""

    def change(manifest: dict[str, Any]) -> None:
        listed = [*manifest["operations"], *manifest["tensors"]]
        found = next(each for each in listed if each["name"] == name)
        for field, value in fields.items():
            *outer, last = field.split("__")
            (found[outer[0]] if outer else found)[last] = value

    return change


WORDS = rows("broken_captured_kinds")
CASES: dict[str, Change] = {
    "groups": at("conv", shapes__groups=3),
    "axes": at("conv", shapes__stride=[1, 1]),
    "four axes": at("conv", shapes__kernel=[1] * 5),
    "grid": at("conv", shapes__out_grid=[7]),
    "dilated": at("conv", shapes__dilation=[2]),
    "spread": at("conv", shapes__transposed=1, shapes__stride=[2]),
    "walk": at("scores", parameters__input_by="heads"),
    "second": at("scores", second_input=None),
    "states": at("lif", parameters__states=0),
    "unknown": at("cat", more_inputs=["spike"]),
    "future": at("late", parameters={}),
    "scale": at("input", scale=[0.1]),
    "no scale": at("input", scale="a"),
    "result": at("lif", shapes__rows=5),
    "bits": at("lif", input_bits=1),
}


def test_a_captured_network_keeps_the_rules() -> None:
    outline = Outline(captured_manifest(), "x.npz")
    assert outline.tensors["input"].scale == (0.1,) * 4
    assert outline.tensors["spikes"].scale == 0.5
    assert outline.operations[8].inputs == ("spikes", "before", "spikes")


@pytest.mark.parametrize("name", CASES)
def test_each_broken_rule_is_named(name: str) -> None:
    manifest = captured_manifest()
    CASES[name](manifest)
    with pytest.raises(TraceError) as caught:
        Outline(manifest, "x.npz")
    assert WORDS[name][0] in str(caught.value)


def test_layers_hold_what_is_listed() -> None:
    layers = read_network(Outline(captured_manifest(), "x.npz")).layers
    found = {layer.name: layer for layer in layers}
    assert [layer.kind for layer in layers] == [
        "conv2d", "conv2d", "attention_scores", "attention_context", "linear",
    ]  # fmt: skip
    conv, scores, mixed = found["conv"], found["scores"], found["mixed"]
    assert (conv.rows, conv.inputs, conv.outputs, conv.window.kernel) == (6, 6, 2, (1, 1, 3))
    assert (scores.rows, scores.inputs, scores.outputs, scores.groups) == (6, 2, 6, 2)
    assert (scores.operand, scores.second, scores.feeds_product) == ("spikes", "before", True)
    assert (mixed.operand, mixed.second, mixed.transposed) == ("spikes", None, True)
    assert (conv.groups, found["back"].groups) == (2, 2)
    assert sum(layer.dense_macs for layer in layers) == 2 * 144 + 2 * 144 + 216
    kinds = [(op.kind, op.window_inputs) for op in found["back"].vector_ops]
    # A sum; a neuron: its update, one add and three multiplications beside it; two rearranged.
    assert kinds[:4] == [("add", 1), ("lif", 1), ("add", 1), ("multiply", 3)]
    assert {kind for kind, _ in kinds[4:]} == {"rearrange"}


def test_a_known_neuron_costs_one_update() -> None:
    manifest = captured_manifest()
    at("lif", parameters__tau=2.0)(manifest)
    layers = read_network(Outline(manifest, "x.npz")).layers
    assert [op.kind for op in layers[1].vector_ops][:3] == ["add", "lif", "rearrange"]


def test_windows_that_layers_do_not_hold_are_named() -> None:
    shapes = {name: [2, 2, 2, 2] for name in ("kernel", "stride", "in_grid", "out_grid")}
    with pytest.raises(LoweringError, match=said("three axes on several maps")):
        window_of("conv", shapes)


def test_a_transposed_window_reads_between_zeros() -> None:
    shapes = {"kernel": [3], "stride": [2], "padding": [1], "in_grid": [4], "out_grid": [7]}
    window = window_of("back", {**shapes, "dilation": [1], "transposed": 1})
    assert (window.stride, window.padding, window.spread) == ((1, 1, 1), (0, 0, 1), (1, 1, 2))
    assert window.is_transposed
    assert not window.is_line


def test_plain_layers_run_one_timestep_after_another() -> None:
    """Neighbours that run at every timestep share the loop; those computed once come once."""
    order = TimestepSerial().order(["layers"] * 4, 2, [True, False, False, True])
    found = [(slot.layer, slot.timestep) for slot in order]
    assert found == [(0, ALL_TIMESTEPS), (1, 0), (2, 0), (1, 1), (2, 1), (3, ALL_TIMESTEPS)]


def order_of(machine: Architecture) -> tuple[Dataflow, TokenSkip, int]:
    return machine.dataflow, machine.token_skip, len(machine.cores)


@cases("an_order_that_the_network_forbids_is_refused")
def test_an_order_that_the_network_forbids_is_refused(dataflow: str, told: str) -> None:
    manifest = captured_manifest()
    if dataflow != "tick_batched":
        manifest["capture"]["proof"]["not_causal"] = ["conv"]
    network = read_network(Outline(manifest, "x.npz"))
    assert network.recurrent == ("back",)
    architecture = load_architecture("arch_configs/sparse_pe.yaml", [f"dataflow.kind={dataflow}"])
    with pytest.raises(LoweringError, match=told):
        schedule(network, *order_of(architecture))


def test_a_recurrent_network_runs_timestep_by_timestep() -> None:
    network = read_network(Outline(captured_manifest(), "x.npz"))
    serial = load_architecture("arch_configs/sparse_pe.yaml", ["dataflow.kind=timestep_serial"])
    assert len(schedule(network, *order_of(serial)).steps) >= 2 * len(network.layers)
