"""Blocks as a trace lists them: with a stream of spikes and with one of potentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from models.halting.policies import POLICIES
from models.networks.spikformer import ATTENTION_SCALE
from models.neurons.base import ATTENTION_THRESHOLD
from models.operations.plan import Grid, NetworkListing


def list_halting(plan: NetworkListing, index: int, stream: str, gamma: float, beta: float) -> None:
    """List the halting: score, accumulate, compare, and add to the mean field."""
    config, plan.stage, plan.block = plan.config, "halting", index
    halting = config.halting
    check = POLICIES.named(halting.policy).check_parameters(halting)
    parameters = {
        "gamma": gamma,
        "beta": beta,
        "threshold": check.threshold,
        "mean_field": int(halting.output == "mean_field"),
        "score": check.score,
    }
    shapes = {"tokens": config.tokens, "channels": config.size.embed_dim}
    name = f"blocks.{index}.halting"
    plan.run(name, "halting", (stream,), config.timesteps, shapes, parameters=parameters)


def list_head(plan: NetworkListing, stream: str) -> None:
    """List the mean over tokens (and, without a mean field, timesteps), then the classifier.

    Where the family has neurons ahead of the classifier, they are listed between.
    """
    config = plan.config
    plan.stage, plan.block = "head", None
    source, timesteps = stream, config.timesteps
    if config.scores and config.halting.output == "mean_field":
        source, timesteps = f"blocks.{config.size.blocks - 1}.halting", 1
    tokens, dim = config.tokens, config.size.embed_dim
    if config.kind.head_neurons:
        shapes = {"tokens": tokens, "channels": dim}
        mean = plan.run("head.mean", "token_mean", (source,), timesteps, shapes)
        source = plan.neuron("head.lif", mean, "head.in", config.timesteps, ((1, 1), dim))
        tokens, timesteps = 1, 1
    shapes = {"in_features": dim, "classes": config.dataset.classes, "tokens": tokens}
    plan.run("head", "head", (source,), timesteps, shapes, output="logits")


class Site(NamedTuple):
    """Describe a block's place: its name, its output's, its tokens' grid, its sizes, and of its
    integer stream the largest value that enters and what a 1 is stored as.
    """

    name: str
    output: str
    grid: Grid
    dim: int
    heads: int
    hidden: int
    entering: int = 0
    unit: int = 1

    @property
    def rows(self) -> int:
        """Count the tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def head_sizes(self) -> dict[str, int]:
        """Return the shapes of an attention."""
        return {"heads": self.heads, "head_dim": self.dim // self.heads, "tokens": self.rows}


Attention = Callable[[NetworkListing, Site, str, str, str], str]


def block_site(plan: NetworkListing, index: int, entering: int = 0, unit: int = 1) -> Site:
    """Return the place of a block in which tokens halt.

    `entering`: the largest value of the integer stream that enters the first one. `unit`: what a 1
    of the stream is stored as.
    """
    plan.stage, plan.block = "blocks", index
    config = plan.config
    last = index == config.size.blocks - 1
    return Site(
        name=f"blocks.{index}",
        output="head.x" if last else f"blocks.{index + 1}.x",
        grid=config.grid,
        dim=config.size.embed_dim,
        heads=config.size.heads,
        hidden=config.size.embed_dim * config.mlp_ratio,
        entering=entering + 2 * index * unit,
        unit=unit,
    )


def spike_block(plan: NetworkListing, site: Site, stream: str) -> str:
    """List a block that adds spikes to an integer stream; return the name of its output."""
    q, k, v = (spiking_linear(plan, site, f"attn.{x}", stream, site.dim) for x in "qkv")
    mixed = self_attention(plan, site, q, k, v)
    return close_spike_block(plan, site, stream, mixed)


def self_attention(plan: NetworkListing, site: Site, q: str, k: str, v: str) -> str:
    """List scores, context, neurons."""
    name, timesteps, heads = f"{site.name}.attn", plan.config.timesteps, site.head_sizes
    scores = plan.run(f"{name}.scores", "attention_scores", (q, k), timesteps, heads)
    scale = {"scale": ATTENTION_SCALE}
    context = plan.run(
        f"{name}.context", "attention_context", (scores, v), timesteps, heads, parameters=scale
    )
    return _attended(plan, site, context, "out", (site.grid, site.dim))


def _attended(
    plan: NetworkListing, site: Site, sums: str, output: str, size: tuple[Grid, int]
) -> str:
    """The neurons of an attention."""
    name, timesteps = f"{site.name}.attn", plan.config.timesteps
    return plan.neuron(
        f"{name}.lif", sums, f"{name}.{output}", timesteps, size, threshold=ATTENTION_THRESHOLD
    )


def spike_driven_attention(plan: NetworkListing, site: Site, q: str, k: str, v: str) -> str:
    """List column sums of k and v, the channel gate's neurons, q where the gate is open."""
    name, timesteps = f"{site.name}.attn.columns", plan.config.timesteps
    sums = plan.run(name, "spike_driven_attention", (k, v), timesteps, site.head_sizes)
    return _gated(plan, site, q, _attended(plan, site, sums, "gate", ((1, 1), site.dim)))


def token_attention(plan: NetworkListing, site: Site, q: str, k: str) -> str:
    """List token sums of q, the token gate's neurons, k where the gate is open."""
    name, timesteps = f"{site.name}.attn.tokens", plan.config.timesteps
    sums = plan.run(name, "token_qk_attention", (q,), timesteps, site.head_sizes)
    return _gated(plan, site, k, _attended(plan, site, sums, "gate", (site.grid, site.heads)))


def _gated(plan: NetworkListing, site: Site, spikes: str, gate: str) -> str:
    """`spikes` where the gate is open."""
    opening, timesteps = plan.tensors[gate], plan.config.timesteps
    shapes = {"rows": site.rows, "channels": site.dim}
    shapes |= {"gate_rows": opening.rows, "gate_channels": opening.channels}
    out = plan.store(f"{site.name}.attn.out", timesteps, site.grid, site.dim)
    name = f"{site.name}.attn.gated"
    return plan.run(name, "spike_gate", (spikes, gate), timesteps, shapes, output=out)


def close_spike_block(plan: NetworkListing, site: Site, stream: str, mixed: str) -> str:
    """List projection, residual, MLP, residual."""
    projected = spiking_linear(plan, site, "attn.proj", mixed, site.dim, "attn.proj_out")
    middle = _residual(plan, site, "attn", (stream, projected), f"{site.name}.mlp.x", 1)
    hidden = spiking_linear(plan, site, "mlp.fc1", middle, site.hidden, "mlp.hidden")
    out = spiking_linear(plan, site, "mlp.fc2", hidden, site.dim, "mlp.out")
    return _residual(plan, site, "mlp", (middle, out), site.output, 2)


def potential_block(plan: NetworkListing, site: Site, stream: str, attend: Attention) -> str:
    """List a block that adds sums to a stream of potentials; return the name of its output."""
    entering = _fired(plan, site, stream, "attn.in")
    q, k, v = (spiking_linear(plan, site, f"attn.{x}", entering, site.dim) for x in "qkv")
    mixed = attend(plan, site, q, k, v)
    stream = _added(plan, site, "attn", stream, _linear(plan, site, "attn.proj", mixed, site.dim))
    entering = _fired(plan, site, stream, "mlp.in")
    hidden = spiking_linear(plan, site, "mlp.fc1", entering, site.hidden, "mlp.hidden")
    return _added(plan, site, "mlp", stream, _linear(plan, site, "mlp.fc2", hidden, site.dim))


def spiking_linear(
    plan: NetworkListing, site: Site, layer: str, source: str, features: int, output: str = ""
) -> str:
    """List a linear layer with its neurons; `output` defaults to the layer's name."""
    current = _linear(plan, site, layer if output else f"{layer}_linear", source, features)
    spikes, size = f"{site.name}.{output or layer}", (site.grid, features)
    return plan.neuron(f"{site.name}.{layer}_lif", current, spikes, plan.config.timesteps, size)


def _linear(plan: NetworkListing, site: Site, layer: str, source: str, features: int) -> str:
    shapes = {"in_features": plan.tensors[source].channels, "out_features": features}
    shapes["rows"] = site.rows
    return plan.run(f"{site.name}.{layer}", "linear", (source,), plan.config.timesteps, shapes)


def _fired(plan: NetworkListing, site: Site, stream: str, output: str) -> str:
    """The neurons ahead of a weighted sum."""
    spikes, size = f"{site.name}.{output}", (site.grid, site.dim)
    return plan.neuron(f"{spikes}_lif", stream, spikes, plan.config.timesteps, size)


def _added(plan: NetworkListing, site: Site, part: str, stream: str, current: str) -> str:
    """A residual of potentials, not stored."""
    size = (site.rows, site.dim)
    name = f"{site.name}.{part}.residual"
    return plan.residual(name, (stream, current), plan.config.timesteps, size)


def _residual(
    plan: NetworkListing, site: Site, part: str, inputs: tuple[str, str], output: str, added: int
) -> str:
    """A residual of integers, stored; `added`: by how many spikes the stream has grown in all."""
    timesteps = plan.config.timesteps
    largest = site.entering + added * site.unit
    total = plan.store(output, timesteps, site.grid, site.dim, largest, site.unit)
    return plan.residual(
        f"{site.name}.{part}.residual",
        inputs,
        timesteps,
        (site.rows, site.dim),
        output=total,
        parameters={"second_scale": site.unit} if site.unit > 1 else None,
    )
