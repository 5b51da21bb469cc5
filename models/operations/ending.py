"""Halting and the head as a trace lists them."""

from __future__ import annotations

from models.operations.plan import NetworkListing


def list_halting(plan: NetworkListing, index: int, stream: str, gamma: float, beta: float) -> None:
    """Score, accumulate, compare, and add to the mean field."""
    config, plan.stage, plan.block = plan.config, "halting", index
    halting = config.halting
    importance, gate = halting.policy == "token_importance", halting.policy == "gate"
    parameters = {
        "gamma": gamma,
        "beta": beta,
        "threshold": 0.0 if importance else 0.5 if gate else 1.0 - halting.eps,
        "mean_field": int(halting.output == "mean_field"),
        "score": halting.policy if importance else halting.score,
    }
    shapes = {"tokens": config.tokens, "channels": config.size.embed_dim}
    name = f"blocks.{index}.halting"
    plan.run(name, "halting", (stream,), config.timesteps, shapes, parameters=parameters)


def list_head(plan: NetworkListing, stream: str) -> None:
    """Mean over tokens (and, without a mean field, over timesteps), then the classifier; where
    the family has neurons ahead of the classifier, they are listed between.
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
        source, tokens, timesteps = plan.store("head.in", config.timesteps, (1, 1), dim), 1, 1
        plan.neuron("head.lif", mean, source, config.timesteps)
    shapes = {"in_features": dim, "classes": config.dataset.classes, "tokens": tokens}
    plan.run("head", "head", (source,), timesteps, shapes, output="logits")
