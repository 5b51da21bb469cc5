"""The first run of a network, under the recorder, and the later ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from models.capturing.following import Follower
from models.capturing.marks import Marks, noting
from models.capturing.places import ModuleStack, RowPlaces
from models.capturing.proofs import ProofRun
from models.capturing.recorder import Entered, TapeRecorder, known_tensors
from models.capturing.replaying import TapedProduct
from models.capturing.running import plainly
from models.capturing.tape import Tape, tensors_in
from models.errors import ModelError

if TYPE_CHECKING:
    from models.capturing.plan import CapturePlan


class Recorded(NamedTuple):
    """Hold the first run: its tape, what entered the weighted sums, and torch's count of FLOPs."""

    run: ProofRun
    tape: Tape
    entered: list[Entered]
    marks: Marks
    flops: int


def first_run(call: Callable[..., Any], network: Any, inputs: list[Tensor]) -> Recorded:
    """Run under the recorder, which counts FLOPs by torch's own formulas."""
    with plainly(), ModuleStack(network) as modules:
        own = [tensor.clone() for tensor in inputs]
        recorder = TapeRecorder(RowPlaces(modules), known_tensors(network), own)
        try:
            with recorder, noting(recorder):
                result = tensors_in(call(*own))
        except ModelError:
            if recorder.refusal is not None:
                raise recorder.refusal from None
            raise
        tape = recorder.finish(result)
        kept = [tensor.clone() for tensor in result]
    coded = {
        (each.call, at): code for each in recorder.entered for at, code in each.operands.items()
    }
    operands = {each.call: each.operands for each in recorder.entered}
    products = repeating(tape, recorder.products, operands)
    run = ProofRun(inputs, coded, kept, products)
    return Recorded(run, tape, recorder.entered, recorder.marks, recorder.flops)


def later_run(
    call: Callable[..., Any],
    network: Any,
    inputs: list[Tensor],
    plan: CapturePlan,
    image: int | str,
    proving: bool = False,
) -> tuple[ProofRun, Marks]:
    """Run as the first time, and keep the stored operands; `proving`: and what a proof compares."""
    with plainly():
        compared = plan.entered if proving else {}
        follower = Follower(plan.tape, plan.wanted, compared, image)
        own = [tensor.clone() for tensor in inputs]
        with follower, noting(follower):
            result = tensors_in(call(*own))
        follower.finish()
        kept = [tensor.clone() for tensor in result]
    random = (follower.random_state, follower.generators)
    products = repeating(plan.tape, follower.products, compared)
    return ProofRun(inputs, follower.coded, kept, products, random), follower.marks


def repeating(
    tape: Tape, products: dict[int, TapedProduct], operands: Mapping[int, Iterable[int]]
) -> dict[int, TapedProduct]:
    """Return the results that follow from the operands alone."""
    calls = tape.calls
    return {i: each for i, each in products.items() if tape.repeats(calls[i], operands[i])}
