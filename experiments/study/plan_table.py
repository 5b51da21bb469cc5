"""The plans of machines as a table: own against other."""

from __future__ import annotations

import pandas as pd

from experiments.study.numbers import grid, signed
from experiments.study.plans import GIVEN_UP, MACHINES


def plan_table(plans: pd.DataFrame) -> str:
    """Own against other, for each pair of machines that differ, cost and allowed loss."""
    rows = []
    names = [machine.name for machine in MACHINES if machine.name in set(plans.run_on)]
    for cost, unit in (("energy_pj", "energy"), ("latency_cycles", "time")):
        for own in names:
            for other in names:
                of_pair = plans[plans.cost == cost]
                if own == other:
                    continue
                cells = []
                for given_up in GIVEN_UP:
                    ratio, accuracy = own_over_other(
                        of_pair[of_pair.given_up == given_up], own, other
                    )
                    cells.append(f"{signed(100 * (ratio - 1))} @ {100 * accuracy.mean():+.1f}")
                both = of_pair[(of_pair.chosen_for == own) & (of_pair.run_on == other)]
                rows.append([unit, own, other, *cells, f"{both.rank_correlation.mean():.3f}"])
    head = (
        "cost",
        "machine",
        "plan for",
        *(f"{each:g} points" for each in GIVEN_UP),
        "rank correlation",
    )
    return (
        "### Plans of machines\n\n"
        "A plan says how many of the 36 tokens of a frame run, those with most ink at or beside them, and the entropy under "
        "which an image ends. Each machine chooses the cheapest one that loses at most so many points on 1,000 composites of "
        "training digits; the cells hold, on held-out images and on that machine, its own plan's cost over that of the other "
        "machine's, in %, with the 95 % interval over seeds, @ the difference in accuracy in points. Counting the ink is not "
        "priced. On `tick-batched` no image can end, so the entropy has no effect there. Last: Spearman's rank correlation of "
        "the two machines' costs over all plans that both can run: near 1, they order plans alike. The networks of seeds 6 to 12 "
        "and 13 up were trained on two other machines: there a seed gives other weights, since the order of sums differs. Pairs "
        "with `a third off chip` and `4 images together` are of seeds 13 up.\n\n" + grid(head, rows)
    )


def own_over_other(plans: pd.DataFrame, own: str, other: str) -> tuple[pd.Series, pd.Series]:
    """By seed, on machine `own`: its plan's cost over that of `other`'s, and accuracy less."""
    on_own = plans[plans.run_on == own].set_index("seed")
    mine, its = (on_own[on_own.chosen_for == name] for name in (own, other))
    return (mine.value / its.value).dropna(), (mine.test_top1 - its.test_top1).dropna()
