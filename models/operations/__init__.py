"""The network written down as a trace's manifest lists it: stored tensors and operations, in order
of execution.

What is listed is what the forward pass computes: the probe refuses a tensor that is not listed or
has another shape. Real-valued results (weighted sums, scores, pooled sums, membrane potentials) are
not stored; their name is that of their operation.
"""

from __future__ import annotations

from models.halting.policies import POLICIES
from models.networks.config import ModelConfig
from models.operations.blocks import list_halting, list_head
from models.operations.plan import NetworkListing
from models.operations.topology import Topology

__all__ = ["describe"]


def describe(config: ModelConfig, gamma: float = 0.0, beta: float = 0.0) -> Topology:
    """List the network of `config`; `gamma` and `beta` are its halting's, for the manifest."""
    plan = NetworkListing(config)
    stream = config.kind.list_stem(plan)
    for index in range(config.size.blocks):
        if config.halts and POLICIES.named(config.halting.policy).is_checked_ahead(index):
            list_halting(plan, index, stream, gamma, beta)
        stream = config.kind.list_block(plan, index, stream)
        ends = index + 1 == config.size.blocks
        if config.scores and (ends or config.halting.granularity != "timestep"):
            list_halting(plan, index, stream, gamma, beta)
    list_head(plan, stream)
    return Topology(plan.tensors, plan.operations)
