"""What every neuron is: a membrane that is charged, fires at a threshold and is reset to 0.

charge: v' = keep * v + take * x; s = [v' >= threshold]; v = v' * (1 - s). The reset is detached
from the gradient; the surrogate is a sigmoid with alpha 4, as in SpikingJelly 2.0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.errors import ModelError
from models.neurons import NEURONS

THRESHOLD = 1.0
ATTENTION_THRESHOLD = 0.5
SURROGATE_ALPHA = 4.0

register = NEURONS.register


class Neuron(ABC):
    """Describe a kind of neuron with one state, its membrane.

    keep, take: the shares of the membrane and of the current in the next membrane.
    runs_fused: whether a library's kernel runs all timesteps (see `fused_kernels`).
    """

    keep: ClassVar[float]
    take: ClassVar[float]
    runs_fused: bool = False

    @abstractmethod
    def charge(self, current: Tensor, membrane: Tensor | None, out: Tensor) -> None:
        """Write the charged membrane of one timestep to `out`; None is the resting state 0."""

    @abstractmethod
    def listed(self, threshold: float) -> tuple[str, dict[str, float]]:
        """Return the kind and the parameters of its operation in a trace.

        Of kind `neuron` these are its states and how often an update runs each element operation.
        """

    def fire(
        self, current: Tensor, membrane: Tensor | None = None, threshold: float = THRESHOLD
    ) -> tuple[Tensor, Tensor]:
        """Return spikes (timestep, ...), 0 or 1, and the membrane (...) after the last reset.

        `current` (timestep, ...); `membrane` None means the resting state 0. Under autocast neurons
        integrate in float32: a membrane of half precision would be another neuron.
        """
        current = full_precision(current)
        if self.runs_fused:
            resting = torch.zeros_like(current[0]) if membrane is None else membrane
            return self.fused(current, resting, threshold)
        spikes, after = _Firing.apply(current, membrane, threshold, self)
        return spikes, after

    def fused(self, current: Tensor, membrane: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Return what `fire` does, by one kernel of a library; raises ModelError if there is none.

        Spikes and membrane are equal to the bit, gradients up to rounding.
        """
        raise ModelError(f"neuron {type(self).__name__} has no fused kernel")


class _Firing(torch.autograd.Function):
    """Run a neuron over some timesteps; its backward keeps the charged membranes only."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor | None, threshold: float, neuron: Neuron
    ) -> tuple[Tensor, Tensor]:
        ctx.had_membrane = membrane is not None
        ctx.threshold = threshold
        ctx.neuron = neuron
        charged = torch.empty_like(current)
        spikes = torch.empty_like(current)
        for at_step, charge, fired in zip(current, charged, spikes, strict=True):
            neuron.charge(at_step, membrane, charge)
            torch.ge(charge, threshold, out=fired)
            membrane = charge * (1.0 - fired)
        ctx.save_for_backward(charged)
        assert membrane is not None
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_spikes, of_membrane = gradients
        (charged,) = ctx.saved_tensors
        of_current = torch.sub(charged, ctx.threshold).mul_(SURROGATE_ALPHA).sigmoid_()
        of_current.addcmul_(of_current, of_current, value=-1.0).mul_(SURROGATE_ALPHA)
        of_current.mul_(of_spikes)
        carried = of_membrane
        for step in reversed(range(charged.shape[0])):
            silent = (charged[step] < ctx.threshold).to(charged.dtype)
            of_charged = of_current[step].addcmul_(carried, silent)
            carried = of_charged * ctx.neuron.keep
            of_charged.mul_(ctx.neuron.take)
        return of_current, carried if ctx.had_membrane else None, None, None


@contextmanager
def fused_kernels(neuron: Neuron) -> Iterator[None]:
    """Let a neuron run by its library's kernel meanwhile: one launch for all timesteps on a GPU."""
    before, neuron.runs_fused = neuron.runs_fused, True
    try:
        yield
    finally:
        neuron.runs_fused = before


def surrogate() -> Any:
    """Return SpikingJelly's surrogate of this gradient; its import takes a second."""
    from spikingjelly.activation_based.surrogate import Sigmoid

    return Sigmoid(alpha=SURROGATE_ALPHA)


def full_precision(values: Tensor) -> Tensor:
    """Return `values`, in float32 where they are of half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
