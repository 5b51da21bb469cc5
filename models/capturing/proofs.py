"""What a capture proves of itself: replay, totals, another input, and causality by experiment."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.capturing.labels import Labels
from models.capturing.matrices import Described
from models.capturing.operands import Coded, holds
from models.capturing.propagation import NEVER
from models.capturing.refusals import CaptureError
from models.capturing.replaying import ChangedReplay, Randomness, TapedProduct, TapeReplay
from models.capturing.running import plainly
from models.capturing.tape import Call, Spec, Tape


class ProofRun(NamedTuple):
    """Hold one run of the network: its inputs, operands by (call, position), and what it returned.

    `products`: results of weighted sums, by call.
    """

    inputs: list[Tensor]
    coded: dict[tuple[int, int], Coded]
    result: list[Tensor]
    products: dict[int, TapedProduct]
    random: Randomness | None = None


def replay_equals(
    tape: Tape,
    run: ProofRun,
    what: str,
    labels: Labels | None = None,
    timed_input: int | None = None,
) -> tuple[int, ChangedReplay | None]:
    """Replay the tape on a run's inputs; return how many operands were equal.

    Raises CaptureError at the first that differs: memory was changed behind PyTorch, or values
    went through Python. `labels`: label the values on the way, and run beside it what changes if
    the input of the last timestep does; `timed_input`: the time axis of the inputs.
    """
    by_call: dict[int, list[int]] = {}
    for index, at in run.coded:
        by_call.setdefault(index, []).append(at)
    checked = 0
    with plainly():
        replay = TapeReplay(tape, run.products)
        beside = None
        if labels is not None and labels.timesteps > 1:
            beside = _beside(replay, run, labels, timed_input, by_call)
        for call in replay.run(run.inputs, run.random):
            if labels is not None:
                labels.walk(call, replay.tensor)
            for at in by_call.get(call.index, ()):
                if not holds(run.coded[call.index, at], replay.tensor(call.args[at])):
                    raise _differs(call, what)
                checked += 1
        for place, (spec, given) in enumerate(zip(tape.result, run.result, strict=True)):
            made = replay.tensor(spec)
            if made.shape != given.shape or not torch.equal(made, given):
                raise CaptureError(
                    f"result {place}",
                    f"{what} differs from the network's",
                    "keep to PyTorch's operations inside the network",
                )
    _weights_are_fixed(tape)
    return checked, beside


def _weights_are_fixed(tape: Tape) -> None:
    """Compare what weighted sums read beside data with what it was when it was first read."""
    for number, before in tape.fixed.items():
        if number not in tape.written and not torch.equal(tape.initial[number], before):
            call = next(c for c in tape.calls if any(s.storage == number for s in c.reads))
            raise CaptureError(
                call.place,
                "its weights were changed while the network ran, outside PyTorch or between images",
                "keep them as they are in forward",
            )


def _beside(
    replay: TapeReplay,
    run: ProofRun,
    labels: Labels,
    timed_input: int | None,
    operands: dict[int, list[int]],
) -> ChangedReplay:
    """Turn the last timestep of the inputs over, or that of the frames with which time begins."""
    last = labels.timesteps - 1

    def begins(call: Call) -> tuple[Spec, Tensor] | None:
        if timed_input is not None or call.index != labels.began_at:
            return None
        spec = call.outputs[0]
        axis = next(i for i, n in enumerate(spec.size) if n == labels.timesteps)
        return spec, _disturbed(replay.tensor(spec), axis, last)

    def may_differ(spec: Spec, differing: Tensor) -> bool:
        steps = labels.read(spec)
        return not bool((differing & (steps > NEVER) & (steps < last)).any())

    beside = ChangedReplay(replay, operands, begins, may_differ)
    if timed_input is not None:
        for spec, values in zip(replay.tape.inputs, run.inputs, strict=True):
            beside.change(spec, _disturbed(values, timed_input, last))
    return beside


def _differs(call: Call, what: str) -> CaptureError:
    return CaptureError(
        call.place,
        f"{what} differs from what the network computed there: memory was changed outside PyTorch, "
        "a Python value was made of the data, or a state was kept from the image before",
        "keep to PyTorch's operations inside the network, and give reset= for its state",
    )


def totals_agree(macs: int, flops: int) -> None:
    """Compare the multiply-accumulates of all weighted sums with torch's FLOP counter."""
    if 2 * macs != flops:
        raise CaptureError(
            "the network",
            f"{macs:,} multiply-accumulates were found, torch's FLOP counter has {flops / 2:,.0f}",
            "report this network: an operation is counted wrongly",
        )


def causality(
    tape: Tape, changes: ChangedReplay | None, labels: Labels, described: dict[int, Described]
) -> tuple[str, list[str]]:
    """Judge what changed with the input of the last timestep; nothing before may.

    Return `causal`, `not causal` or `not tested`, and the layers that saw the future. What changed
    is an operand of a weighted sum, or its result, as where it runs over time. In a loop over an
    input without time each timestep runs after the one before it: there is nothing to test.
    """
    last = labels.timesteps - 1
    if changes is None:
        return "not tested", []
    found = list(changes.early)
    late = False
    for (index, at), differs in changes.changed.items():
        product, arrangements = described[index]
        frames = arrangements[at].apply(differs)
        for step, frame in zip(product.steps, frames, strict=True):
            if frame.any():
                late |= step in (last, NEVER)
                if NEVER < step < last:
                    found.append(tape.calls[index])
    if found:
        found.sort(key=lambda call: call.index)
        names = dict.fromkeys(call.place.module or call.place.kind for call in found)
        return "not causal", list(names)
    return "causal" if late else "not tested", []


def _disturbed(values: Tensor, axis: int, step: int) -> Tensor:
    """The same with one timestep turned over: ones and zeros change places, pixels change sign."""
    other = values.clone()
    frame = other.select(axis, step)
    frame.copy_(1 - frame)
    return other
