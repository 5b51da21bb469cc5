"""Hardware-aware training: the ponder cost in the joules or cycles of a given machine.

A-ViT's ponder cost counts every step of a token as 1. Here a token that runs a step pays what it
costs on the machine: the step's cost of a token, and its share of what the step costs as soon as
anyone runs (weights fetched, masks scanned), divided among those who do. The sum over tokens is the
cost of the image by the machine's cost table, so a straggler that keeps a step alive alone pays all
of it. As in A-ViT the masks carry no gradient; it flows through the remainder, which is weighed by
the price of the step at which the token halts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import ModelError
from simulator.hil.cost_table import StepCost

COSTS = ("energy", "latency")


class StepPrices(NamedTuple):
    """Hold what a step costs on a machine, float (check,) in the order of the network's checks.

    token, step: for each token, and for running at all, in units of `unit_cost`.
    unit_cost: of an image beyond its first block (which no halting can spare) if no token halts.
    """

    token: Tensor
    step: Tensor
    unit_cost: float


def step_prices(costs: tuple[StepCost, ...], cost: str, tokens: int) -> StepPrices:
    """Return prices from a machine's cost table, timestep by timestep, for a network's tokens.

    `cost`: `energy` or `latency`. Parts that were measured as negative count as 0. Raises
    ModelError for a table in which all steps but the first are free.
    """
    if cost not in COSTS:
        raise ModelError(f"cost {cost!r}; known are {', '.join(COSTS)}")
    names = {
        "energy": ("token_energy_pj", "step_energy_pj"),
        "latency": ("token_cycles", "step_cycles"),
    }
    token, step = (
        torch.tensor([max(0.0, getattr(each, name)) for each in costs]) for name in names[cost]
    )
    total = float((tokens * token[1:] + step[1:]).sum())
    if total <= 0.0:
        raise ModelError(f"the cost table's {cost} is 0 at every step but the first")
    return StepPrices(token / total, step / total, total)


def masks_cost(alive: Sequence[Tensor], prices: StepPrices) -> Tensor:
    """Return the mean cost of the images of a batch, in units of `prices.unit_cost`.

    `alive`: of each check (image, token), 1 or a probability where a token runs, in order. Raises
    ModelError where there are not as many checks as the machine was asked for.
    """
    if len(alive) != len(prices.token):
        raise ModelError(
            f"{len(alive)} masks were noted, the prices are of {len(prices.token)} blocks and "
            "timesteps: active() must be called once for each, as in the trace"
        )
    masks = torch.stack([each.flatten(1).to(prices.token) for each in alive], dim=1)
    live = (masks.detach() != 0).to(prices.token)
    return (masks * checks_price(live, prices).unsqueeze(2)).sum((1, 2)).mean()


def checks_price(live: Tensor, prices: StepPrices) -> Tensor:
    """Return a check's price of a token (image, check), its share of the step's included."""
    return prices.token + prices.step / live.sum(2).clamp_min(1.0)
