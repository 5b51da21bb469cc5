"""What lists a network: a plan that collects tensors and operations, with the layers all share."""

from __future__ import annotations

from typing import Any

from models.networks.config import ModelConfig
from models.networks.layers import POOL_KERNEL, POOL_PADDING, POOL_STRIDE
from models.neurons.base import THRESHOLD
from models.operations.topology import Tensor

WEIGHT_BITS = 8
IMAGE_BITS = 8
WEIGHTED = ("conv2d", "linear", "head")

Grid = tuple[int, int]


class NetworkListing:
    """List tensors and operations; the open stage and block fill in what all entries share."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[dict[str, Any]] = []
        self.stage = "sps"
        self.block: int | None = None

    @property
    def mask(self) -> str | None:
        """Return the open block, whose halted rows are not computed; None where nobody halts."""
        return str(self.block) if self.config.halts and self.block is not None else None

    def store(
        self,
        name: str,
        timesteps: int,
        grid: Grid,
        channels: int,
        largest: int = 1,
        unit: int = 1,
    ) -> str:
        """List a stored tensor of values 0..`largest` and return its name.

        One row alone is no token: it has no mask.
        """
        kind = "spikes" if largest == 1 else "integer"
        mask = None if grid == (1, 1) else self.mask
        planes = largest.bit_length()
        self.tensors[name] = Tensor(name, kind, timesteps, planes, grid, channels, mask, unit)
        return name

    def run(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        timesteps: int,
        shapes: dict[str, Any],
        *,
        output: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """List an operation; returns its output's name, its own where the output is not stored."""
        source = self.tensors.get(inputs[0])
        self.operations.append(
            {
                "name": name,
                "kind": kind,
                "stage": self.stage,
                "block": self.block,
                "input": inputs[0],
                "second_input": inputs[1] if len(inputs) > 1 else None,
                "output": output or name,
                "timesteps": timesteps,
                "shapes": shapes,
                "parameters": parameters or {},
                "weight_bits": WEIGHT_BITS if kind in WEIGHTED else 0,
                "input_bits": source.planes if source else 0,
                "mask": self.tensors[output].mask if output in self.tensors else self.mask,
            }
        )
        return output or name

    def neuron(
        self,
        name: str,
        current: str,
        output: str,
        timesteps: int,
        size: tuple[Grid, int],
        *,
        threshold: float = THRESHOLD,
    ) -> str:
        """List the neurons that turn `current` into spikes, and store these as `output`.

        `size`: their grid and channels.
        """
        (height, width), channels = size
        self.store(output, timesteps, size[0], channels)
        shapes = {"rows": height * width, "channels": channels}
        kind, parameters = self.config.neurons.listed(threshold)
        return self.run(
            name, kind, (current,), timesteps, shapes, output=output, parameters=parameters
        )

    def residual(
        self, name: str, inputs: tuple[str, str], timesteps: int, size: tuple[int, int], **more: Any
    ) -> str:
        """List an addition; `size`: rows and channels; `more`: as `run` takes it."""
        shapes = {"rows": size[0], "channels": size[1]}
        return self.run(name, "residual", inputs, timesteps, shapes, **more)

    def convolution(
        self,
        name: str,
        source: str,
        channels: int,
        timesteps: int,
        window: tuple[int, int] = (3, 1),
    ) -> str:
        """List a square convolution of a stored map; `window`: kernel and stride."""
        before, (kernel, stride) = self.tensors[source], window
        shapes = {
            "in_channels": before.channels,
            "out_channels": channels,
            "kernel": [kernel, kernel],
            "stride": [stride, stride],
            "padding": [kernel // 2, kernel // 2],
            "in_grid": list(before.grid),
            "out_grid": [side // stride for side in before.grid],
        }
        return self.run(name, "conv2d", (source,), timesteps, shapes)

    def max_pool(
        self,
        name: str,
        source: str,
        timesteps: int,
        size: tuple[Grid, int],
        output: str = "",
    ) -> str:
        """List a max-pool that halves the grid; `size`: the grid before it, and its channels."""
        before, channels = size
        shapes = {
            "channels": channels,
            "kernel": [POOL_KERNEL, POOL_KERNEL],
            "stride": [POOL_STRIDE, POOL_STRIDE],
            "padding": [POOL_PADDING, POOL_PADDING],
            "in_grid": list(before),
            "out_grid": list(half(before)),
        }
        kind = {"type": "max"}
        return self.run(name, "pool", (source,), timesteps, shapes, output=output, parameters=kind)

    def integrate(self, name: str, source: str, size: tuple[int, int], output: str = "") -> str:
        """List a sum over all timesteps; `size`: rows and channels."""
        shapes = {"rows": size[0], "channels": size[1]}
        return self.run(name, "integrate", (source,), self.config.timesteps, shapes, output=output)


def half(grid: Grid) -> Grid:
    """Return the grid behind a pool or a stride of 2."""
    return grid[0] // POOL_STRIDE, grid[1] // POOL_STRIDE
