"""Networks as users bring them: dict batches, skips, delays, tokens, bilinear layers, scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = 4


def fired(over: Tensor) -> Tensor:
    return (over >= 0).float()


class Lif(nn.Module):
    """A neuron over all timesteps, time first."""

    def forward(self, x: Tensor) -> Tensor:
        potential = torch.zeros_like(x[0])
        spikes = []
        for current in x:
            potential = 0.5 * potential + current
            spikes.append(fired(potential - 0.1))
            potential = potential * (1 - spikes[-1])
        return torch.stack(spikes)


def each_step(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x.flatten(0, 1)).unflatten(0, (len(x), -1))


class Skips(nn.Module):
    """A U-Net: what was seen before is joined to what is spread again."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.leave = nn.Conv2d(16, 2, 1)
        self.neurons = nn.ModuleList(Lif() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.neurons[0](each_step(self.enter, x.unsqueeze(0).repeat(T, 1, 1, 1, 1)))
        deep = self.neurons[1](each_step(self.down, first))
        spread = self.neurons[2](each_step(self.up, deep))
        return each_step(self.leave, torch.cat([spread, first], 2)).mean(0)


class Bilinear(nn.Module):
    """Two groups of neurons that meet in a bilinear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(12, 8), nn.Linear(12, 6)
        self.meet = nn.Bilinear(8, 6, 5)
        self.neurons = nn.ModuleList(Lif() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        frames = x.unsqueeze(0).repeat(T, 1, 1)
        one, two = self.neurons[0](self.one(frames)), self.neurons[1](self.two(frames))
        return self.neurons[2](self.meet(one, two)).sum(0)


class Named(nn.Module):
    """Two inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.neuron = nn.Linear(12, 8), nn.Linear(6, 8), Lif()

    def forward(self, image: Tensor, side: Tensor) -> dict[str, Tensor]:
        current = self.one(image) + self.two(side)
        return {"logits": self.neuron(current.unsqueeze(0).repeat(T, 1, 1)).sum(0)}


class Batch(nn.Module):
    """One input, which is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.named = Named()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.named(batch["image"], batch["side"])


class Last(nn.Module):
    """A head that reads the last timestep alone."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.neuron, self.head = nn.Linear(12, 8), Lif(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.neuron(self.one(x.unsqueeze(0).repeat(T, 1, 1)))[-1])


class Delays(nn.Module):
    """A depthwise convolution over time, padded on the left: each synapse has delays."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.delays, self.head = nn.Linear(12, 8), nn.Conv1d(8, 8, 3), nn.Linear(8, 4)
        self.neurons = nn.ModuleList(Lif() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.neurons[0](self.one(x))
        y = self.delays(F.pad(y.permute(1, 2, 0), (2, 0))).permute(2, 0, 1)
        return self.head(self.neurons[1](y)).sum(0)


class Lstm(nn.Module):
    """A head of nn.LSTM, which PyTorch runs as one kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.neuron, self.cell = nn.Linear(12, 8), Lif(), nn.LSTM(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.cell(self.neuron(self.one(x.unsqueeze(0).repeat(T, 1, 1))))[0]
        return made[-1]


@dataclasses.dataclass
class Read:
    """What a language model returns."""

    logits: Tensor
    spikes: list[Tensor]


class Tokens(nn.Module):
    """Whole numbers that are looked up, and attention with a table of relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.table = nn.Embedding(20, 16), nn.Parameter(torch.rand(15))
        self.parts = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.neurons = nn.ModuleList(Lif() for _ in range(5))
        self.head = nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Read:
        x = self.neurons[0](self.words(ids).unsqueeze(0).repeat(T, 1, 1, 1))
        q, k, v = (n(p(x)) for n, p in zip(self.neurons[1:4], self.parts, strict=True))
        places = torch.arange(ids.shape[1])
        scores = q @ k.mT + self.table[places[:, None] - places + 7]
        z = self.neurons[4](scores @ v * 0.1)
        return Read(self.head(z.mean((0, 2))), [x, z])


class Loop(nn.Module):
    """A loop that TorchScript takes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8 * 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        potential, total = torch.zeros(1, 8, 8, 8), torch.zeros(1, 4)
        for _ in range(4):
            potential = 0.5 * potential + self.one(x)
            spikes = (potential > 0.2).float()
            potential = potential - 0.2 * spikes
            total = total + self.head(spikes.flatten(1))
        return total


def pixels(size: int = 8) -> Tensor:
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)


def exported() -> Any:
    return torch.export.export(Loop().eval(), (torch.rand(1, 3, 8, 8),)).module()


def compiled() -> Any:
    return torch.compile(Loop(), backend="eager")


Made = tuple[Any, Any, dict[str, Any]]
USERS: dict[str, Callable[[], Made]] = {
    "skips": lambda: (Skips(), pixels(), {}),
    "bilinear": lambda: (Bilinear(), torch.rand(2, 12), {}),
    "last": lambda: (Last(), torch.rand(2, 12), {}),
    "delays": lambda: (Delays(), torch.randint(0, 2, (2, T, 12)).float(), {"time_axis": 0}),
    "lstm": lambda: (Lstm(), torch.rand(2, 12), {}),
    "tokens": lambda: (Tokens(), torch.randint(0, 20, (2, 8)), {}),
    "script": lambda: (torch.jit.script(Loop()), pixels(), {}),
    "traced": lambda: (torch.jit.trace(Loop().eval(), torch.rand(1, 3, 8, 8)), pixels(), {}),
    "exported": lambda: (exported(), pixels(), {}),
    "compiled": lambda: (compiled(), pixels(), {}),
}
