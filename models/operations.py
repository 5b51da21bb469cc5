"""The network written down as a trace's manifest lists it: stored tensors and operations, in order
of execution.

What is listed is what the forward pass computes: the probe refuses a tensor that is not listed or
has another shape. Real-valued results (weighted sums, scores, pooled sums) are not stored; their
name is that of their operation.
"""

from __future__ import annotations

from typing import Any

from models.blocks import ATTENTION_SCALE
from models.config import ModelConfig
from models.layers import POOL_KERNEL, POOL_PADDING, POOL_STRIDE
from models.neurons import ATTENTION_THRESHOLD, TAU, THRESHOLD
from models.topology import Tensor, Topology

WEIGHT_BITS = 8
IMAGE_BITS = 8
KERNEL, PADDING = 3, 1


def describe(config: ModelConfig, gamma: float = 0.0, beta: float = 0.0) -> Topology:
    """List the network of `config`; `gamma` and `beta` are its halting's, for the manifest."""
    plan = _Plan(config)
    stream = _patch_splitting(plan)
    for index in range(config.size.blocks):
        if config.halts and config.halting.policy == "token_importance":
            _halting(plan, index, stream, gamma, beta)
        stream = _block(plan, index, stream)
        if config.scores and (index + 1 == config.size.blocks or _checks_blocks(config)):
            _halting(plan, index, stream, gamma, beta)
    _head(plan, stream)
    return Topology(plan.tensors, plan.operations)


class _Plan:
    """Collects tensors and operations; the open stage, block and mask fill in what all entries
    share.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[dict[str, Any]] = []
        self.stage = "sps"
        self.block: int | None = None

    @property
    def mask(self) -> str | None:
        return str(self.block) if self.config.halts and self.block is not None else None

    def store(
        self,
        name: str,
        timesteps: int,
        grid: tuple[int, int],
        channels: int,
        largest: int = 1,
        unit: int = 1,
    ) -> str:
        """List a stored tensor of values 0..`largest` and return its name."""
        kind = "spikes" if largest == 1 else "integer"
        planes = largest.bit_length()
        self.tensors[name] = Tensor(name, kind, timesteps, planes, grid, channels, self.mask, unit)
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
                "weight_bits": WEIGHT_BITS if kind in ("conv2d", "linear", "head") else 0,
                "input_bits": source.planes if source else 0,
                "mask": self.mask,
            }
        )
        return output or name

    def lif(
        self, name: str, current: str, output: str, timesteps: int, *, threshold: float = THRESHOLD
    ) -> str:
        """List the neurons that turn `current` into the listed tensor `output`."""
        tensor = self.tensors[output]
        shapes = {"rows": tensor.rows, "channels": tensor.channels}
        parameters = {"tau": TAU, "threshold": threshold, "reset": 0.0, "decay_input": 1}
        return self.run(
            name, "lif", (current,), timesteps, shapes, output=output, parameters=parameters
        )


def _patch_splitting(plan: _Plan) -> str:
    """SPS or I-SPS; returns the name of the first block's input."""
    config = plan.config
    side = config.dataset.image_size
    steps = config.timesteps if config.isps in ("none", "late_sum") else 1
    source = plan.store(
        "sps.image",
        config.timesteps if config.dataset.sequential else 1,
        (side, side),
        config.dataset.image_channels,
        2**IMAGE_BITS - 1,
    )
    for stage in range(5):
        source = _stage(plan, stage, source, steps)
        if stage == 0 and config.isps == "early_integration":
            source = _integrate(plan, source, "sps.0.integrated", config.timesteps)
    grid, dim = config.grid, config.size.embed_dim
    late = config.isps == "late_sum"
    stream = plan.store("sps.x" if late else "blocks.0.x", steps, grid, dim, largest=2)
    shapes = {"rows": config.tokens, "channels": dim}
    plan.run("sps.residual", "residual", ("sps.3.out", source), steps, shapes, output=stream)
    return _integrate(plan, stream, "blocks.0.x", 2 * config.timesteps) if late else stream


def _stage(plan: _Plan, stage: int, source: str, steps: int) -> str:
    """One convolution of the patch splitting with its pool and its neurons."""
    config, before = plan.config, plan.tensors[source]
    channels = config.stage_channels[stage]
    name, grid = f"sps.{stage}", before.grid
    fires = config.timesteps if stage == 0 and config.isps == "early_integration" else steps
    convolution = {
        "in_channels": before.channels,
        "out_channels": channels,
        "kernel": [KERNEL, KERNEL],
        "stride": [1, 1],
        "padding": [PADDING, PADDING],
        "in_grid": list(grid),
        "out_grid": list(grid),
    }
    shown = before.timesteps if stage == 0 and config.dataset.sequential else steps
    current = plan.run(f"{name}.conv", "conv2d", (source,), shown, convolution)
    if shown > fires:
        current = _mean_current(plan, current, grid, channels)
    pooled = stage in config.dataset.pooled_stages
    half = (grid[0] // POOL_STRIDE, grid[1] // POOL_STRIDE)
    if pooled and config.pool == "after_lif":
        spikes = plan.store(f"{name}.unpooled", fires, grid, channels)
        plan.lif(f"{name}.lif", current, spikes, fires)
        output = plan.store(f"{name}.out", fires, half, channels)
        return _pool(plan, name, spikes, fires, (grid, half, channels), output)
    if pooled:
        current = _pool(plan, name, current, steps, (grid, half, channels))
        grid = half
    output = plan.store(f"{name}.out", fires, grid, channels)
    return plan.lif(f"{name}.lif", current, output, fires)


def _pool(
    plan: _Plan,
    name: str,
    source: str,
    timesteps: int,
    geometry: tuple[tuple[int, int], tuple[int, int], int],
    output: str = "",
) -> str:
    """Max-pooling; `geometry`: grid before, grid after, channels."""
    before, after, channels = geometry
    shapes = {
        "channels": channels,
        "kernel": [POOL_KERNEL, POOL_KERNEL],
        "stride": [POOL_STRIDE, POOL_STRIDE],
        "padding": [POOL_PADDING, POOL_PADDING],
        "in_grid": list(before),
        "out_grid": list(after),
    }
    return plan.run(
        f"{name}.pool",
        "pool",
        (source,),
        timesteps,
        shapes,
        output=output,
        parameters={"type": "max"},
    )


def _integrate(plan: _Plan, source: str, output: str, largest: int) -> str:
    """I-SPS: T maps become one map of 0..`largest`."""
    spikes = plan.tensors[source]
    total = plan.store(output, 1, spikes.grid, spikes.channels, largest)
    shapes = {"rows": spikes.rows, "channels": spikes.channels}
    timesteps = plan.config.timesteps
    return plan.run("sps.integrate", "integrate", (source,), timesteps, shapes, output=total)


def _mean_current(plan: _Plan, current: str, grid: tuple[int, int], channels: int) -> str:
    """I-SPS `single_step` of an image that changes: the first convolution's sums become one."""
    shapes = {"rows": grid[0] * grid[1], "channels": channels}
    return plan.run("sps.0.mean", "integrate", (current,), plan.config.timesteps, shapes)


def _block(plan: _Plan, index: int, stream: str) -> str:
    """One block; returns the name of its output stream."""
    config = plan.config
    plan.stage, plan.block = "blocks", index
    name, timesteps, dim = f"blocks.{index}", config.timesteps, config.size.embed_dim
    rows = {"rows": config.tokens, "channels": dim}

    def spiking_linear(layer: str, source: str, features: tuple[int, int], output: str) -> str:
        shapes = {"in_features": features[0], "out_features": features[1], "rows": config.tokens}
        linear = f"{name}.{layer}{'_linear' if layer[-1] in 'qkv' else ''}"
        current = plan.run(linear, "linear", (source,), timesteps, shapes)
        spikes = plan.store(f"{name}.{output}", timesteps, config.grid, features[1])
        return plan.lif(f"{name}.{layer}_lif", current, spikes, timesteps)

    unit = stream_unit(config)
    entering = largest_entering(config)

    def residual(part: str, inputs: tuple[str, str], output: str, added: int) -> str:
        total = plan.store(output, timesteps, config.grid, dim, entering + added * unit, unit)
        return plan.run(
            f"{name}.{part}.residual",
            "residual",
            inputs,
            timesteps,
            rows,
            output=total,
            parameters={"second_scale": unit} if unit > 1 else None,
        )

    q, k, v = (spiking_linear(f"attn.{x}", stream, (dim, dim), f"attn.{x}") for x in "qkv")
    heads = {"heads": config.size.heads, "head_dim": config.head_dim, "tokens": config.tokens}
    scores = plan.run(f"{name}.attn.scores", "attention_scores", (q, k), timesteps, heads)
    context = plan.run(
        f"{name}.attn.context",
        "attention_context",
        (scores, v),
        timesteps,
        heads,
        parameters={"scale": ATTENTION_SCALE},
    )
    mixed = plan.store(f"{name}.attn.out", timesteps, config.grid, dim)
    plan.lif(f"{name}.attn.lif", context, mixed, timesteps, threshold=ATTENTION_THRESHOLD)
    projected = spiking_linear("attn.proj", mixed, (dim, dim), "attn.proj_out")
    middle = residual("attn", (stream, projected), f"{name}.mlp.x", 2 * index + 1)
    hidden_dim = dim * config.mlp_ratio
    hidden = spiking_linear("mlp.fc1", middle, (dim, hidden_dim), "mlp.hidden")
    out = spiking_linear("mlp.fc2", hidden, (hidden_dim, dim), "mlp.out")
    last = index == config.size.blocks - 1
    output = "head.x" if last else f"blocks.{index + 1}.x"
    return residual("mlp", (middle, out), output, 2 * index + 2)


def _checks_blocks(config: ModelConfig) -> bool:
    """Whether the score is checked after every block."""
    return config.halting.granularity != "timestep"


def stream_unit(config: ModelConfig) -> int:
    """What a 1 of the residual stream is stored as: T where the blocks are fed a sum over T."""
    mean = config.isps == "late_sum" and config.integration == "mean"
    return config.timesteps if mean else 1


def largest_entering(config: ModelConfig) -> int:
    """The largest stored value of the stream that enters the first block."""
    return 2 * config.timesteps if config.isps == "late_sum" else 2


def _halting(plan: _Plan, index: int, stream: str, gamma: float, beta: float) -> None:
    """Score, accumulate, compare, and add to the mean field."""
    config, plan.stage, plan.block = plan.config, "halting", index
    halting = config.halting
    importance = halting.policy == "token_importance"
    parameters = {
        "gamma": gamma,
        "beta": beta,
        "threshold": 0.0 if importance else 1.0 - halting.eps,
        "mean_field": int(halting.output == "mean_field"),
        "score": halting.policy if importance else halting.score,
    }
    shapes = {"tokens": config.tokens, "channels": config.size.embed_dim}
    name = f"blocks.{index}.halting"
    plan.run(name, "halting", (stream,), config.timesteps, shapes, parameters=parameters)


def _head(plan: _Plan, stream: str) -> None:
    """Mean over tokens (and, without a mean field, over timesteps), then the classifier."""
    config = plan.config
    plan.stage, plan.block = "head", None
    source, timesteps = stream, config.timesteps
    if config.scores and config.halting.output == "mean_field":
        source, timesteps = f"blocks.{config.size.blocks - 1}.halting", 1
    shapes = {
        "in_features": config.size.embed_dim,
        "classes": config.dataset.classes,
        "tokens": config.tokens,
    }
    plan.run("head", "head", (source,), timesteps, shapes, output="logits")
