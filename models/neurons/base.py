"""What every neuron is: a membrane that is charged, fires at a threshold and is reset to 0.

charge: v' = keep * v + take * x; s = [v' >= threshold]; v = v' * (1 - s). The reset is detached
from the gradient; the surrogate is a sigmoid with alpha 4, as in SpikingJelly 2.0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

THRESHOLD = 1.0
ATTENTION_THRESHOLD = 0.5
SURROGATE_ALPHA = 4.0

NEURONS: dict[str, Neuron] = {}


class Neuron(ABC):
    """A kind of neuron with one state, its membrane.

    `keep`, `take`: the shares of the membrane and of the current in the next membrane.
    """

    keep: ClassVar[float]
    take: ClassVar[float]

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
        spikes, after = _Firing.apply(full_precision(current), membrane, threshold, self)
        return spikes, after


class _Firing(torch.autograd.Function):
    """A neuron over some timesteps; its backward keeps the charged membranes only."""

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


def full_precision(values: Tensor) -> Tensor:
    """Return `values`, in float32 where they are of half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def register(name: str) -> Callable[[type[Neuron]], type[Neuron]]:
    """Register a neuron by the name of its file."""

    def add(neuron: type[Neuron]) -> type[Neuron]:
        NEURONS[name] = neuron()
        return neuron

    return add
