"""Which token rows a block computes: all, all but masked to zero, or the active ones alone.

A policy moves activations between the dense form (step, image, token, channel) and the computed
rows (row, channel), and steps the neurons of the computed rows. `MaskedRows` is the definition of
halting, `DroppedRows` what inference and training run; both give the same numbers (SSA has no
softmax, so a zero K or V row adds nothing).
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.neurons.base import Neuron

Membranes = dict[str, Tensor]


class Rows:
    """Compute every row of `steps` timesteps: every token is active."""

    def __init__(self, steps: int, images: int, tokens: int, *, neuron: Neuron) -> None:
        self.steps, self.images, self.tokens = steps, images, tokens
        self.neuron = neuron

    def select(self, dense: Tensor) -> Tensor:
        """Take the computed rows (row, channel) from (step, image, token, channel)."""
        return dense.reshape(-1, dense.shape[-1])

    def restore(self, rows: Tensor) -> Tensor:
        """Return computed rows in the dense form, zero where a token is halted."""
        return rows.view(self.steps, self.images, self.tokens, rows.shape[-1])

    def live(self) -> Tensor | None:
        """Return which computed rows are active, bool (row,); None when all are."""
        return None

    def fire(self, current: Tensor, membranes: Membranes, name: str, threshold: float) -> Tensor:
        """Return the spikes of the computed rows; the membranes of halted tokens at most leak."""
        by_step = current.view(self.steps, -1, current.shape[-1])
        spikes, membranes[name] = self.neuron.fire(by_step, membranes.get(name), threshold)
        return spikes.flatten(0, 1)


class MaskedRows(Rows):
    """Compute every row, then set the halted ones to zero; their membranes at most leak."""

    def __init__(self, active: Tensor, leak: float, neuron: Neuron) -> None:
        """`active`: bool (step, image, token); `leak`: what a step leaves of a halted membrane."""
        super().__init__(*active.shape, neuron=neuron)
        self.leak = leak
        self.active = active.contiguous().view(self.steps, -1, 1)

    def restore(self, rows: Tensor) -> Tensor:
        """Unflatten and zero the halted rows."""
        return super().restore(rows * self.active.view(-1, 1))

    def live(self) -> Tensor | None:
        """Return the mask, a flag per computed row."""
        return self.active.flatten()

    def fire(self, current: Tensor, membranes: Membranes, name: str, threshold: float) -> Tensor:
        """Step the neurons, but those of halted tokens, whose membrane at most leaks."""
        spikes = []
        by_step = current.view(self.steps, -1, current.shape[-1])
        for at_step, active in zip(by_step, self.active, strict=True):
            before = membranes.get(name)
            fired, after = self.neuron.fire(at_step.unsqueeze(0), before, threshold)
            kept = torch.zeros_like(after) if before is None else before * self.leak
            membranes[name] = torch.where(active, after, kept)
            spikes.append(fired[0] * active)
        return torch.cat(spikes)


class DroppedRows(Rows):
    """Compute the active rows of one timestep only: gather, compute, scatter."""

    def __init__(self, active: Tensor, leak: float, neuron: Neuron) -> None:
        """`active`: bool (1, image, token); `leak`: what a step leaves of a halted membrane."""
        super().__init__(*active.shape, neuron=neuron)
        self.leak = leak
        self.total = active.numel()
        self.index = active.flatten().nonzero().squeeze(1)

    def select(self, dense: Tensor) -> Tensor:
        """Gather the active rows."""
        return dense.reshape(self.total, dense.shape[-1]).index_select(0, self.index)

    def restore(self, rows: Tensor) -> Tensor:
        """Scatter into zeros."""
        dense = rows.new_zeros(self.total, rows.shape[-1]).index_copy(0, self.index, rows)
        return super().restore(dense)

    def fire(self, current: Tensor, membranes: Membranes, name: str, threshold: float) -> Tensor:
        """Gather the active membranes, step them, scatter them back."""
        before = membranes.get(name)
        gathered = None if before is None else before.index_select(0, self.index)
        spikes, after = self.neuron.fire(current.unsqueeze(0), gathered, threshold)
        zeros = current.new_zeros(self.total, current.shape[-1])
        base = zeros if before is None else before * self.leak
        membranes[name] = base.index_copy(0, self.index, after)
        return spikes[0]
