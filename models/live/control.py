"""Which halting threshold lets an image end within its budget.

After every block the controller knows what the image has spent, how far every token is from
halting, and, from the blocks it has seen, what a block costs: a part to run at all, and a part
for each live token (least squares, older blocks forgotten). It assumes that a token's score stays
what it is, which gives the number of steps that each token would still run under a threshold, and
takes the highest threshold under which these steps fit what is left. What was assumed is checked
again after the next block; once the budget is spent, the threshold is 0 and every token halts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

FORGETTING = 0.98
"""Weight of a block's cost in the fit, for each block seen since; about the last 50 count."""

BISECTIONS = 24

Floats = npt.NDArray[np.float64]


class Budget(NamedTuple):
    """Hold a limit for each image in `unit`, ms or uj; None: no limit, costs are only shown."""

    limit: float | None
    unit: str


def budget_of(limit_ms: float | None, limit_uj: float | None) -> Budget:
    """Return the one budget that is given; raises ModelError for two, or for one of nothing."""
    given = [each for each in (limit_ms, limit_uj) if each is not None]
    if len(given) > 1:
        raise ModelError("budget", "give one, in ms or in uj")
    if given and not (math.isfinite(given[0]) and given[0] > 0):
        raise ModelError(f"budget is {given[0]}; it must be above 0")
    return Budget(given[0] if given else None, "ms" if limit_uj is None else "uj")


class BlockEstimate:
    """Estimate what a block costs, a part for each live token and a part for running at all."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)  # of 1, n, n^2, cost, n * cost

    def see(self, live: int, cost: float) -> None:
        """Take in the cost of a block with `live` tokens."""
        new = np.array([1.0, live, live * live, cost, live * cost])
        self._sums = FORGETTING * self._sums + new

    def fit(self) -> tuple[float, float]:
        """Return the cost of running at all and of a token, at least 0; 0 before any block."""
        weight, tokens, squares, cost, products = self._sums.tolist()
        if tokens <= 0.0:
            return 0.0, 0.0
        spread = weight * squares - tokens * tokens
        if spread > 1e-9 * weight * squares:
            slope = (weight * products - tokens * cost) / spread
            base = (cost - slope * tokens) / weight
            if slope >= 0.0 and base >= 0.0:
                return base, slope
            if slope < 0.0:
                return cost / weight, 0.0
        return 0.0, cost / tokens


class BudgetControl:
    """Keep images within `limit`, in the unit of the costs; None: no limit.

    Costs learned from one image serve the next. The threshold never exceeds the network's own, so
    no token runs longer than it would without a budget.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        self.block_cost = BlockEstimate()

    def start(self) -> None:
        """Begin an image, for which nothing is spent."""
        self.spent = 0.0

    def spend(self, cost: float, live: int = 0) -> None:
        """Take in the cost of a piece; `live`: the tokens it ran, 0 outside the blocks."""
        self.spent += cost
        if live:
            self.block_cost.see(live, cost)

    def threshold(self, accumulated: Floats, score: Floats, steps: int, own: float) -> float:
        """Return the threshold for a check, in 0..`own`, the network's.

        `accumulated` (token,): of the tokens still active, this check's `score` (token,) included;
        `steps`: how many blocks could still follow.
        """
        if self.limit is None:
            return own
        left = self.limit - self.spent
        if left <= 0.0:
            return 0.0
        base, slope = self.block_cost.fit()

        def predicted(threshold: float) -> float:
            following = steps_left(accumulated, score, steps, threshold)
            return slope * float(following.sum()) + base * float(following.max(initial=0.0))

        if predicted(own) <= left:
            return own
        low, high = 0.0, own
        for _ in range(BISECTIONS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if predicted(middle) <= left else (low, middle)
        return low


def steps_left(accumulated: Floats, score: Floats, steps: int, threshold: float) -> Floats:
    """Return how many more blocks each token runs, at most `steps`, if its score stays."""
    missing = np.maximum(threshold - accumulated, 0.0)
    rate = np.where(missing > 0.0, score, 1.0)
    # A score of 0 never gets there: infinitely many, so all steps that there are.
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(np.ceil(missing / rate), float(steps))
