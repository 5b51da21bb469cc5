"""What a first run shows of a network: how later images are stored, and what is proven of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import torch

from models.capturing.flow import TapeFlow
from models.capturing.labels import Labels
from models.capturing.layers import CapturedLayer, find_layers
from models.capturing.ledger import Listing
from models.capturing.listing import list_operations
from models.capturing.marks import Marks
from models.capturing.masking import put_under_masks
from models.capturing.matrices import describe
from models.capturing.neurons import find_neurons
from models.capturing.probing import parameters_of
from models.capturing.proofs import causality, replay_equals, totals_agree
from models.capturing.refusals import CaptureError
from models.capturing.runs import Recorded
from models.capturing.sequences import timesteps_of
from models.capturing.tape import Tape
from models.errors import ModelError


@dataclass
class CapturePlan:
    """Hold the network as its trace lists it. `wanted`: the operands that later runs keep.

    `entered`: all that a proof compares, by call. `blocks`: the names that `active` was given.
    """

    tape: Tape
    timesteps: int
    layers: list[CapturedLayer]
    listing: Listing
    wanted: set[tuple[int, int]]
    entered: dict[int, tuple[int, ...]]
    marks: Marks
    proof: dict[str, Any] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    tokens: int = 1


def make_plan(
    recorded: Recorded, timesteps: int | None, time_axis: int | None, ragged: bool = False
) -> CapturePlan:
    """Prove the first run and list the network; `time_axis`: of the network's inputs.

    `ragged`: it may have left after fewer timesteps than are given, or than the input has.
    """
    tape, run = recorded.tape, recorded.run
    if not recorded.entered:
        raise ModelError("no weighted sum ran on what was made of the images; is it a network?")
    steps = _timesteps(recorded, timesteps, time_axis, ragged)
    labels = Labels(tape, steps, time_axis)
    equal, changes = replay_equals(tape, run, "the replay of the tape", labels, time_axis)
    layers, of_call = find_layers(tape, recorded.entered, labels)
    flow = TapeFlow(tape, of_call, labels.of_call, recorded.marks)
    neurons = find_neurons(flow)
    if not neurons:
        raise ModelError(
            "no comparison on sums fires: no spikes ran on what was made of the images; is this an "
            "ANN?"
        )
    for neuron in neurons:
        neuron.parameters = parameters_of(neuron, flow, tape)
    kinds = {key: coded.kind for key, coded in run.coded.items()}
    listing = list_operations(flow, layers, neurons, steps, kinds)
    entered = {each.call: each for each in recorded.entered}
    described = {
        index: describe(
            tape.calls[index],
            {at: labels.of_operand[index, at] for at in each.operands},
            lambda spec: spec.stride,
        )
        for index, each in entered.items()
    }
    found = sum(each.product.macs * len(each.product.steps) for each in described.values())
    found += _constant_macs(tape, set(described))
    totals_agree(found, recorded.flops)
    verdict, not_causal = causality(tape, changes, labels, described)
    proof = {
        "replay": f"{equal} operands and the result equal the network's",
        "macs": found,
        "flop_counter": "equal",
        "unknown_origins": 0,
        # zeros of the run's own, as a recurrent layer's first input
        "blank_operands": sum(each.blank for each in recorded.entered),
        "causality": verdict,
    }
    if not_causal:
        proof["not_causal"] = not_causal
    wanted = {(read.call, read.at) for stored in listing.stored for read in stored.reads}
    compared = {index: tuple(each.operands) for index, each in entered.items()}
    plan = CapturePlan(tape, steps, layers, listing, wanted, compared, recorded.marks, proof)
    put_under_masks(plan, recorded.marks)
    return plan


def _timesteps(recorded: Recorded, given: int | None, time_axis: int | None, ragged: bool) -> int:
    """The timesteps that were given, or that the run shows."""
    inputs = recorded.run.inputs
    if ragged:
        return _timesteps_run(recorded.tape, given)
    shown = inputs[0].shape[time_axis] if time_axis is not None else timesteps_of(recorded.tape)
    if given is not None and given < 1:
        raise ModelError(f"timesteps is {given}; it must be at least 1")
    if given is not None and time_axis is not None and shown != given:
        raise ModelError(
            f"timesteps is {given}, but the images have {shown}: give timesteps={shown} "
            f"(--timesteps {shown})"
        )
    return given or shown or 1


def _timesteps_run(tape: Tape, most: int | None) -> int:
    """How many timesteps a loop over time took, which may have left early."""
    steps = timesteps_of(tape, frames=False) or 1
    if most is not None and steps > most:
        raise ModelError(f"timesteps is {most}, but an image takes {steps}: give the most of all")
    return steps


def _constant_macs(tape: Tape, known: set[int]) -> int:
    """Multiply-accumulates of sums that no data enter: weights made of weights."""
    total = 0
    for call in tape.calls:
        if call.rule.group != "matrix" or call.index in known:
            continue
        left = call.rule.factors[0]
        labels = {left: torch.zeros(call.args[left].size, dtype=torch.int16)}
        with contextlib.suppress(CaptureError):
            product = describe(call, labels, lambda spec: spec.stride).product
            total += product.macs * len(product.steps)
    return total


def share_of_real(plan: CapturePlan, kinds: dict[str, str]) -> float:
    """Return the share of multiply-accumulates whose operand is real-valued."""
    real = total = 0
    for layer in plan.layers:
        macs = layer.product.macs * layer.timesteps
        total += macs
        names = [stored.name for stored in layer.operands.values() if stored.name]
        real += macs * any(kinds.get(name) == "real" for name in names)
    return real / total if total else 0.0
