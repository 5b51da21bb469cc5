"""Later images: the same calls as the first time; what enters the weighted sums is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from models.capturing.marks import Mark, Marks
from models.capturing.operands import Coded, encode
from models.capturing.recorder import product_of
from models.capturing.refusals import CaptureError, OtherCourse
from models.capturing.replaying import TapedProduct
from models.capturing.rules import OperatorRule
from models.capturing.running import DispatchMode
from models.capturing.tape import Tape


class Follower(DispatchMode):
    """Compare a run, call by call, with a tape, and pack the operands that are stored."""

    def __init__(
        self,
        tape: Tape,
        wanted: set[tuple[int, int]],
        proven: Mapping[int, Sequence[int]],
        image: int | str,
    ) -> None:
        """`wanted`: (call, position of a factor) of the operands to keep; `proven`: by call, those
        to keep with the call's result.
        """
        super().__init__()
        self.tape, self.image = tape, image
        self.coded: dict[tuple[int, int], Coded] = {}
        self.marks = Marks()
        self._at = 0
        self.products: dict[int, TapedProduct] = {}
        self._proven = {tape.positions[call]: call for call in proven}
        self._wanted: dict[int, list[tuple[int, int]]] = {}
        for call, at in wanted | {(call, at) for call, own in proven.items() for at in own}:
            self._wanted.setdefault(tape.positions[call], []).append((call, at))

    def dispatched(
        self, func: Any, rule: OperatorRule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Compare an operation with the tape's next one, keep its operands, and run it."""
        at = self._at
        self._at += 1
        if at >= len(self.tape.functions) or self.tape.functions[at] is not func:
            raise self._other(at)
        if kwargs.get("generator") is not None:
            self.keep_generator(kwargs["generator"])
        for key in self._wanted.get(at, ()):
            self._keep(key, args[key[1]])
        made = func(*args, **kwargs)
        call = self._proven.get(at)
        if call is not None:
            operands = {key[1]: self.coded[key] for key in self._wanted[at]}
            self.products[call] = product_of(made, args, operands)
        return made

    def mark(self, name: str, alive: torch.Tensor, tokens: Any) -> None:
        """Note a mask that the network declares."""
        self.marks.append(Mark(name, 0, tokens))

    def finish(self) -> None:
        """Check that no call is missing."""
        if self._at != len(self.tape.functions):
            raise self._other(self._at)

    def _keep(self, key: tuple[int, int], operand: torch.Tensor) -> None:
        call = self.tape.calls[key[0]]
        coded = encode(operand)
        if coded is None:
            raise CaptureError(
                call.place, f"reads NaN or infinity in image {self.image}", "check the input"
            )
        if tuple(operand.shape) != call.args[key[1]].size:
            raise self._other(self._at)
        self.coded[key] = coded

    def _other(self, at: int) -> OtherCourse:
        calls, positions = self.tape.calls, self.tape.positions
        near = next((each for each in calls if positions[each.index] >= at), calls[-1])
        return OtherCourse(
            near.place,
            f"images 0 and {self.image} take different operations (from {near.rule.name} on)",
            "give ragged=True (--ragged) for images that leave after different timesteps; else "
            "take all steps for all images and mark with active() what halted",
        )
