"""The intervals of means and percentiles hold the true value as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.streams.statistics import (
    _binomial_ranks,
    correlation_time,
    mean_estimate,
    percentile_estimate,
)


def autoregressive(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """A stationary normal series of variance 1 in which neighbours are alike."""
    noise = rng.standard_normal(count) * math.sqrt(1 - memory**2)
    series = np.empty(count)
    series[0] = rng.standard_normal()
    for place in range(1, count):
        series[place] = memory * series[place - 1] + noise[place]
    return series


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
def test_the_correlation_time_is_that_of_the_series(memory: float) -> None:
    rng = np.random.default_rng(1)
    found = [correlation_time(autoregressive(rng, 4000, memory)) for _ in range(20)]
    assert np.mean(found) == pytest.approx((1 + memory) / (1 - memory), rel=0.2)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_nineteen_of_twenty_intervals_hold_the_truth(memory: float) -> None:
    rng = np.random.default_rng(2)
    truth = {50: 0.0, 95: 1.6449}
    held = {"mean": 0, 50: 0, 95: 0}
    for _ in range(300):
        series = autoregressive(rng, 1000, memory)
        mean = mean_estimate(series)
        assert mean.low is not None
        assert mean.high is not None
        held["mean"] += mean.low <= 0 <= mean.high
        for percent, value in truth.items():
            found = percentile_estimate(series, percent)
            assert found.low is not None
            assert found.high is not None
            held[percent] += found.low <= value <= found.high
    # 95 % of 300 is 285; three standard deviations are 11, and a short series costs a little.
    assert all(265 <= count <= 300 for count in held.values()), held


def test_ranks_are_those_of_the_binomial_distribution() -> None:
    for count, share in ((100, 0.5), (59, 0.95), (300, 0.99)):
        low, high = _binomial_ranks(count, share, 0.95)
        p = [math.comb(count, x) * share**x * (1 - share) ** (count - x) for x in range(count + 1)]
        assert low is not None
        assert math.fsum(p[:low]) <= 0.025 < math.fsum(p[: low + 1])
        if high is None:
            assert math.fsum(p[:count]) < 0.975
        else:
            assert math.fsum(p[: high - 1]) < 0.975 <= math.fsum(p[:high])
    assert _binomial_ranks(100, 0.5, 0.95) == (40, 61)


def test_few_values_bound_no_tail() -> None:
    series = np.random.default_rng(4).permutation(np.arange(1.0, 21.0))
    assert percentile_estimate(series, 99).high is None
    assert percentile_estimate(series, 99).value == 20
    assert mean_estimate([3.0, 4.0]) == (3.5, None, None)


def test_a_constant_series_has_a_point_for_an_interval() -> None:
    assert mean_estimate([2.0] * 50) == (2.0, 2.0, 2.0)
    assert percentile_estimate([2.0] * 50, 50) == (2.0, 2.0, 2.0)
