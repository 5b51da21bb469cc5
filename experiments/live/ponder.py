"""The ponder cost of A-SSA in the joules or cycles of a machine (models.halting.machine_ponder)."""

from __future__ import annotations

from torch import Tensor

from models.errors import ModelError
from models.halting.machine_ponder import StepPrices, checks_price
from models.networks.stas import Output


def machine_ponder(output: Output, prices: StepPrices) -> Tensor:
    """The mean cost of the images of a batch on the machine, in units of `prices.unit_cost`.

    Raises ModelError for an output without scores that accumulate over blocks and timesteps.
    """
    if output.active is None or output.weights is None:
        raise ModelError("a machine's ponder cost needs a network that halts by score")
    live = output.active.flatten(1, 2).to(output.weights)  # (image, check, token)
    price = checks_price(live, prices)
    paid = (live * price.unsqueeze(2)).sum((1, 2))
    last = (live.sum(1) - 1.0).long()  # (image, token): the check at which each halted
    remainder = output.weights.gather(1, last.unsqueeze(1)).squeeze(1)
    return (paid + (price.gather(1, last) * remainder).sum(1)).mean()


def machine_survival(output: Output, prices: StepPrices) -> Tensor:
    """The mean expected cost of the images of a batch, in units of `prices.unit_cost`.

    Every check is paid with the probability that a token runs it, so the gradient says where on
    this machine a check is dear. In `machine_ponder` it says so of the last check alone. Raises
    ModelError for an output without such probabilities.
    """
    if output.active is None or output.survival is None:
        raise ModelError("a machine's expected cost needs a network that halts by score or gate")
    live = output.active.flatten(1, 2).to(output.survival)
    return (output.survival * checks_price(live, prices).unsqueeze(2)).sum((1, 2)).mean()
