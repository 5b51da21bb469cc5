"""`active`: how a network of one's own says which of its tokens are still computed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

# Nothing public lifts the modes that are on, as that of the recorder.
from torch.utils._python_dispatch import _disable_current_modes

from models.capturing.running import modules_of
from models.errors import ModelError
from simulator.config.wording import shown, suggestion

Bits = npt.NDArray[np.bool_]


class Mark(NamedTuple):
    """Hold one call of `active`: the block's name, how many calls had been recorded, the tokens.

    `spec`: the tensor on the tape, where one is recorded.
    """

    name: str
    call: int
    alive: Bits
    spec: Any = None


class Marks(list[Mark]):
    """Hold the marks of one run."""

    def masks(self, timesteps: int) -> dict[str, Bits]:
        """Return the mask (timestep, token) of each block, in the order of its first mark."""
        found: dict[str, list[Bits]] = {}
        for mark in self:
            found.setdefault(mark.name, []).append(mark.alive)
        masks = {}
        for name, parts in found.items():
            flat = np.concatenate([part.reshape(-1) for part in parts])
            if len(flat) % timesteps:
                raise ModelError(
                    f"active(..., {name!r}): {len(flat)} values are no equal number for each of "
                    f"{timesteps} timesteps; mark every timestep once"
                )
            masks[name] = flat.reshape(timesteps, -1)
        return masks


_RUNNING: list[Any] = []


def active(alive: Tensor, name: str) -> Tensor:
    """Return `alive` as it is; while a capture runs, note it as the mask of block `name`.

    `alive`: nonzero for each token that the block computes, of one timestep or of all in order.
    Rows of halted tokens must carry no spikes in what the block's layers read.
    """
    for recorder in _RUNNING[-1:]:
        with _disable_current_modes():
            tokens = (alive.detach() != 0).cpu().numpy().copy()
        recorder.mark(name, alive, tokens)
    return alive


def threshold(own: float, accumulated: Tensor) -> float:
    """Return `own`; in a live run, the accumulated score at which tokens halt within the budget.

    `accumulated`: what each token of the last `active` has so far. It must not shrink, and a token
    must halt once it reaches the threshold.
    """
    steer = getattr(_RUNNING[-1], "threshold", None) if _RUNNING else None
    if steer is None:
        return own
    with _disable_current_modes():
        return float(steer(own, accumulated))


@contextlib.contextmanager
def noted_masks() -> Iterator[list[Tensor]]:
    """Note what `active` is given meanwhile, as tensors with their gradients."""
    kept: list[Tensor] = []
    with noting(SimpleNamespace(mark=lambda name, alive, tokens: kept.append(alive))):
        yield kept


@contextlib.contextmanager
def masks_of_modules(network: Any, masks: Mapping[str, str]) -> Iterator[None]:
    """Note the output of a module as the mask of a block; `masks`: module's name by block."""
    known = {name: module for root in modules_of(network) for name, module in root.named_modules()}
    handles = []
    try:
        for block, name in masks.items():
            if name not in known:
                facts = suggestion(name, filter(None, known))
                raise ModelError("masks", block, shown(name), f"unknown module {facts}")
            handles.append(known[name].register_forward_hook(_noting_output(block)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _noting_output(block: str) -> Callable[[Any, Any, Any], None]:
    def note(module: Any, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise ModelError("masks", block, f"its module returns {type(output).__name__}, no mask")
        active(output, block)

    return note


@contextlib.contextmanager
def noting(recorder: Any) -> Iterator[None]:
    """Let `active` note its masks with a recorder meanwhile."""
    _RUNNING.append(recorder)
    try:
        yield
    finally:
        _RUNNING.pop()
