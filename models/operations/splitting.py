"""The patch splitting as a trace lists it."""

from __future__ import annotations

from collections.abc import Callable

from models.networks.config import ModelConfig
from models.networks.sps import pool_of
from models.operations.plan import IMAGE_BITS, NetworkListing, half


def store_image(plan: NetworkListing) -> str:
    """List the 8-bit image, once or, of a sequential data set, for every timestep."""
    dataset = plan.config.dataset
    steps = plan.config.timesteps if dataset.sequential else 1
    grid = (dataset.image_size, dataset.image_size)
    return plan.store("sps.image", steps, grid, dataset.image_channels, 2**IMAGE_BITS - 1)


def steps_of(config: ModelConfig) -> int:
    """Return how many timesteps the patch splitting runs, but for the neurons that integration
    sums.
    """
    return config.timesteps if config.isps in ("none", "late_sum") else 1


def stream_unit(config: ModelConfig) -> int:
    """Return what a 1 of the residual stream is stored as: T where the blocks get a sum over T."""
    mean = config.isps == "late_sum" and config.integration == "mean"
    return config.timesteps if mean else 1


def largest_entering(config: ModelConfig) -> int:
    """Return the largest stored value of an integer stream behind the patch splitting."""
    return 2 * config.timesteps if config.isps == "late_sum" else 2


def patch_splitting(
    plan: NetworkListing, close: Callable[[NetworkListing, str, str, int], str]
) -> str:
    """List SPS or I-SPS; return the name of the first block's input.

    `close` lists the end from the fourth stage's spikes and current, and the steps that are run.
    """
    config = plan.config
    steps = steps_of(config)
    spikes = store_image(plan)
    for stage in range(4):
        current, spikes = _stage(plan, stage, spikes, steps)
        if stage == 0 and config.isps == "early_integration":
            spikes = integrated_spikes(plan, "sps.integrate", spikes, "sps.0.integrated")
    return close(plan, spikes, current, steps)


def integrated_spikes(
    plan: NetworkListing, name: str, source: str, output: str, largest: int = 0
) -> str:
    """List the sum of T spike maps, one map of 0..T or of 0..`largest`; return its name."""
    tensor = plan.tensors[source]
    largest = largest or plan.config.timesteps
    total = plan.store(output, 1, tensor.grid, tensor.channels, largest)
    return plan.integrate(name, source, (tensor.rows, tensor.channels), total)


def first_convolution(
    plan: NetworkListing, name: str, source: str, channels: int, steps: int
) -> str:
    """List the convolution of the image: at every timestep of it, and else `steps` times.

    Sums of more timesteps than its neurons run become one mean current.
    """
    image = plan.tensors[source]
    shown = image.timesteps if plan.config.dataset.sequential else steps
    current = plan.convolution(f"{name}.conv", source, channels, shown)
    if shown > steps and plan.config.isps == "single_step":
        return plan.integrate(f"{name}.mean", current, (image.rows, channels))
    return current


def _stage(plan: NetworkListing, stage: int, source: str, steps: int) -> tuple[str, str]:
    """One convolution of the patch splitting with its pool and its neurons: the names of what its
    neurons see and of the stage's spikes.
    """
    config, before = plan.config, plan.tensors[source]
    channels = config.stage_channels[stage]
    name, grid = f"sps.{stage}", before.grid
    fires = config.timesteps if stage == 0 and config.isps == "early_integration" else steps
    if stage:
        current = plan.convolution(f"{name}.conv", source, channels, steps)
    else:
        current = first_convolution(plan, name, source, channels, steps)
    pool = pool_of(config, stage)
    if pool == "after_lif":
        spikes = plan.neuron(f"{name}.lif", current, f"{name}.unpooled", fires, (grid, channels))
        output = plan.store(f"{name}.out", fires, half(grid), channels)
        return current, plan.max_pool(f"{name}.pool", spikes, fires, (grid, channels), output)
    if pool:
        seen = fires if config.dataset.sequential else steps
        current = plan.max_pool(f"{name}.pool", current, seen, (grid, channels))
        grid = half(grid)
    size = (grid, channels)
    return current, plan.neuron(f"{name}.lif", current, f"{name}.out", fires, size)


def spike_stream(plan: NetworkListing, spikes: str, current: str, steps: int) -> str:
    """List the relative position's spikes, added: an integer stream."""
    config = plan.config
    _, position = _stage(plan, 4, spikes, steps)
    late = config.isps == "late_sum"
    dim = config.size.embed_dim
    stream = plan.store("sps.x" if late else "blocks.0.x", steps, config.grid, dim, largest=2)
    plan.residual("sps.residual", (spikes, position), steps, (config.tokens, dim), output=stream)
    if not late:
        return stream
    return integrated_spikes(plan, "sps.integrate", stream, "blocks.0.x", largest_entering(config))


def potential_stream(
    plan: NetworkListing, spikes: str, current: str, steps: int, *, added: bool = False
) -> str:
    """List the relative position's sums; with `added`, plus the fourth stage's potential."""
    config = plan.config
    dim, rows = config.size.embed_dim, config.tokens
    stream = plan.convolution("sps.4.conv", spikes, dim, steps)
    if added:
        stream = plan.residual("sps.residual", (stream, current), steps, (rows, dim))
    if config.isps == "late_sum":
        stream = plan.integrate("sps.integrate", stream, (rows, dim))
    return stream
