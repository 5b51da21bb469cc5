"""The first run of a network, under the recorder, and the later ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from models.capturing.following import Follower
from models.capturing.marks import Marks, noting
from models.capturing.places import ModuleStack, RowPlaces
from models.capturing.proofs import ProofRun
from models.capturing.recorder import Entered, TapeRecorder, known_tensors
from models.capturing.running import plainly
from models.capturing.tape import Tape, tensors_in

if TYPE_CHECKING:
    from models.capturing.plan import CapturePlan


class Recorded(NamedTuple):
    """The first run: its tape, what entered the weighted sums, and torch's own count of FLOPs."""

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
        with recorder, noting(recorder):
            result = tensors_in(call(*own))
        tape = recorder.tape(result)
        kept = [tensor.clone() for tensor in result]
    coded = {
        (each.call, at): code for each in recorder.entered for at, code in each.operands.items()
    }
    run = ProofRun(inputs, coded, kept)
    return Recorded(run, tape, recorder.entered, recorder.marks, recorder.flops)


def later_run(
    call: Callable[..., Any],
    network: Any,
    inputs: list[Tensor],
    plan: CapturePlan,
    image: int | str,
) -> tuple[ProofRun, Marks]:
    """Run as the first time, and keep the stored operands."""
    with plainly():
        follower = Follower(plan.tape, plan.wanted, image)
        own = [tensor.clone() for tensor in inputs]
        with follower, noting(follower):
            result = tensors_in(call(*own))
        follower.finish()
        kept = [tensor.clone() for tensor in result]
    random = (follower.random_state, follower.generators)
    return ProofRun(inputs, follower.coded, kept, random), follower.marks
