"""Which design wins on each workload: by how much, how surely, and where the order turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from reports.figures.base import Run, by_workload
from simulator.energy.break_even import BreakEven, Turn, compare, ratio_span
from simulator.results.pairing import ratio_of_means
from simulator.streams.statistics import Estimate


class Claim(NamedTuple):
    """Hold how many times better one design is than another, with its interval."""

    design: str
    other: str
    times: Estimate
    n: int = 0
    """Images that the interval is of; 0 where it is of prices."""

    @property
    def sure(self) -> bool:
        """Return whether the interval lies on one side of 1."""
        low, high = self.times.low, self.times.high
        return low is not None and high is not None and (low > 1 or high < 1)

    @property
    def equal(self) -> bool:
        """Return whether the two are the same to four digits."""
        return abs(self.times.value - 1) < 5e-5


class Verdict(NamedTuple):
    """Hold the fastest and the cheapest design of a workload, each against another."""

    workload: str
    against: str
    """The design that the reader compares with."""
    faster: Claim
    cheaper: Claim | None
    """None where a result does not say how its machine is priced."""
    turns: tuple[Turn, ...] = ()
    """Where the order by energy of the cheaper claim's pair turns, within any price above 0."""


def verdicts(runs: Sequence[Run], against: str) -> list[Verdict]:
    """Return a verdict for each workload of several designs."""
    found = []
    for workload, group in by_workload(runs).items():
        if len(group) > 1:
            names = [run.design for run in group]
            own = against if against in names else names[0]
            found.append(_verdict(workload, group, own))
    return found


def _verdict(workload: str, group: Sequence[Run], against: str) -> Verdict:
    base = next(run for run in group if run.design == against)
    pair = _first(group, base, lambda run: float(run.facts["latency_ms"]["mean"]))
    times = ratio_of_means(pair[1].latencies_ms, pair[0].latencies_ms)
    faster, cheaper = Claim(pair[0].design, pair[1].design, times, pair[0].result.images), None
    pair = _first(group, base, lambda run: float(run.facts["energy_uj"]))
    prices = [run.priced for run in pair]
    if prices[0] is None or prices[1] is None:
        return Verdict(workload, against, faster, cheaper)
    low, nominal, high = ratio_span(prices[1], prices[0])
    cheaper = Claim(pair[0].design, pair[1].design, Estimate(nominal, low, high))
    return Verdict(workload, against, faster, cheaper, _turns(compare(prices[0], prices[1])))


def _first(group: Sequence[Run], base: Run, key: Callable[[Run], float]) -> tuple[Run, Run]:
    """The best run and the one to measure it by: the base, or where that is it, the second best."""
    ordered = sorted(group, key=key)
    if ordered[0].design == base.design:
        return ordered[0], ordered[1]
    return ordered[0], base


def _turns(found: BreakEven) -> tuple[Turn, ...]:
    """The always-on power and the DRAM price at which the order turns."""
    return tuple(turn for turn in found.turns if turn.value is not None and turn.unit)
