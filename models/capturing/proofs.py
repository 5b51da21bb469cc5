"""What a capture proves of itself: replay, totals, another input, and causality by experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.capturing.labels import Labels
from models.capturing.matrices import Arrangement, Described
from models.capturing.operands import Coded, encode, holds
from models.capturing.propagation import NEVER
from models.capturing.recorder import Entered
from models.capturing.refusals import CaptureError
from models.capturing.running import plainly
from models.capturing.tape import Call, Randomness, Spec, Tape, TapeReplay

_DIGITS = 1e-5


class ProofRun(NamedTuple):
    """One run of the network: its inputs, operands by (call, position), and what it returned."""

    inputs: list[Tensor]
    coded: dict[tuple[int, int], Coded]
    result: list[Tensor]
    random: Randomness | None = None


def replay_equals(
    tape: Tape,
    run: ProofRun,
    what: str,
    each: Callable[[Call, Callable[[Spec], Tensor]], None] | None,
) -> int:
    """Replay the tape on a run's inputs; return how many operands were equal.

    Raises CaptureError at the first that differs: memory was changed behind PyTorch, or values
    went through Python. `each`: called with every call, before it runs.
    """
    by_call: dict[int, list[int]] = {}
    for index, at in run.coded:
        by_call.setdefault(index, []).append(at)
    checked = 0
    with plainly():
        replay = TapeReplay(tape)
        for call in replay.run(run.inputs, run.random):
            if each is not None:
                each(call, replay.tensor)
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
    return checked


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


def unknown_origins(entered: list[Entered]) -> int:
    """How many blank operands a run had: zeros of its own, as a recurrent layer's first input."""
    return sum(each.blank for each in entered)


class Causality(NamedTuple):
    """`verdict`: `causal`, `not causal` or `not tested`; `layers`: those that saw the future."""

    verdict: str
    layers: tuple[str, ...]


def causality(
    tape: Tape,
    run: ProofRun,
    labels: Labels,
    described: dict[int, Described],
    timed_input: int | None,
) -> Causality:
    """Change the input at the last timestep only; nothing before may change.

    `timed_input`: the time axis of the inputs. In a loop over an input without time, each timestep
    runs after the one before it, and there is nothing to test.
    """
    last = labels.timesteps - 1
    if last == 0 or (timed_input is None and labels.began_at is None):
        return Causality("not tested", ())
    inputs = list(run.inputs)
    if timed_input is not None:
        inputs = [_disturbed(each, timed_input, last) for each in inputs]
    early: list[str] = []
    late = False
    with plainly():
        replay = TapeReplay(tape)
        before: Call | None = None
        for call in replay.run(inputs, run.random):
            if timed_input is None and before is not None and before.index == labels.began_at:
                spec = before.outputs[0]
                axis = next(i for i, n in enumerate(spec.size) if n == labels.timesteps)
                own = replay.tensor(spec)
                own.copy_(_disturbed(own, axis, last))
            before = call
            known = described.get(call.index)
            if known is None:
                continue
            for at, arrangement in known.arrangements.items():
                given = run.coded[call.index, at]
                values = replay.tensor(call.args[at])
                found = None if holds(given, values) else encode(values)
                if found is None:
                    continue
                changed = _changed(arrangement, found, given)
                for step, differs in zip(known.product.steps, changed, strict=True):
                    late |= differs and step in (last, NEVER)
                    if differs and NEVER < step < last:
                        early.append(call.place.module or call.place.kind)
    if early:
        return Causality("not causal", tuple(dict.fromkeys(early)))
    return Causality("causal" if late else "not tested", ())


def _changed(arrangement: Arrangement, found: Coded, given: Coded) -> list[bool]:
    """By timestep, whether the values differ by more than another unit's last digits."""
    one, other = (
        arrangement.apply((each.numbers.astype(np.float64) - each.zero) * each.scale)
        for each in (found, given)
    )
    least = _DIGITS * max(float(np.abs(other).max(initial=0)), 1.0)
    return [bool((np.abs(each) > least).any()) for each in one - other]


def _disturbed(values: Tensor, axis: int, step: int) -> Tensor:
    """The same with one timestep turned over: ones and zeros change places, pixels change sign."""
    other = values.clone()
    frame = other.select(axis, step)
    frame.copy_(1 - frame)
    return other
