"""Pairs of designs by energy: which is cheaper, how surely, and what turns their order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from reports.figures.base import Run
from simulator.energy.break_even import BreakEven, Design, compare, sentences
from simulator.results.units import number

MOST_PAIRS = 24
"""Pairs that have a map and are printed at most; those whose order depends on a bound first."""


class Pair(NamedTuple):
    """Hold two designs on the same images, each between the bounds of its prices."""

    names: tuple[str, str]
    designs: tuple[str, str]
    workloads: tuple[str, str]
    one: Design
    other: Design
    found: BreakEven

    @property
    def lines(self) -> list[str]:
        """Return the pair in words: a heading, then a line for each value that turns it."""
        return sentences(self.names, self.one, self.other, number)


def pairs(runs: Sequence[Run]) -> list[Pair]:
    """Return all pairs that ran the same images, those whose order depends on a bound first.

    A network with and without halting is two workloads on the same images, so it is a pair too.
    """
    found = []
    several = len({run.workload for run in runs}) > 1
    for one, other in itertools.combinations(runs, 2):
        if one.priced is None or other.priced is None or one.image_ids != other.image_ids:
            continue
        designs, workloads = (one.design, other.design), (one.workload, other.workload)
        first, second = (
            f"{run.design} on {run.workload}" if several else run.design for run in (one, other)
        )
        compared = compare(one.priced, other.priced)
        prices = (one.priced, other.priced, compared)
        found.append(Pair((first, second), designs, workloads, *prices))
    return sorted(found, key=lambda pair: pair.found.is_robust)


def pairs_text(found: Sequence[Pair]) -> str:
    """Return the pairs in words, the first MOST_PAIRS of them."""
    if not found:
        return ""
    robust = sum(pair.found.is_robust for pair in found)
    lines = [
        f"Energy: the order of {robust} of {len(found)} pairs is robust over all bounds of prices"
    ]
    for pair in found[:MOST_PAIRS]:
        first, *rest = pair.lines
        lines += [f"  {first}", *(f"    {line}" for line in rest)]
    if len(found) > MOST_PAIRS:
        lines.append(f"  ... and {len(found) - MOST_PAIRS} pairs more")
    return "\n".join(lines)
