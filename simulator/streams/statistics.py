"""Means and percentiles of a series whose values depend on the ones before, with their intervals.

The waiting times of neighbouring images are alike, so n images say less than n independent values.
How much less is the series' correlation time tau (Geyer's initial positive sequence): the intervals
are those of n / tau independent values. A percentile's interval runs between order statistics
(binomial ranks); a bound that so few values do not give is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Floats

CONFIDENCE = 0.95

_FEWEST = 8
"""Of fewer independent values no interval of a mean is stated."""


class Estimate(NamedTuple):
    """Hold a value and the bounds of its interval, None where the series is too short for one."""

    value: float
    low: float | None
    high: float | None


def correlation_time(series: Floats) -> float:
    """Return how many values say as much as an independent one: 1 or more, at most the length."""
    count = len(series)
    centred = series - series.mean()
    if count < 4 or not centred.any():
        return 1.0
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    covariance = np.fft.irfft(spectrum, size)[: count // 2 * 2]
    pairs = covariance[0::2] + covariance[1::2]
    negative = np.flatnonzero(pairs <= 0)
    kept = pairs[: negative[0]] if len(negative) else pairs
    # The sums of neighbours must fall; noise in the tail is cut off.
    kept = np.minimum.accumulate(kept)
    tau = 2 * kept.sum() / covariance[0] - 1
    return float(min(max(tau, 1.0), count))


def mean_estimate(series: Sequence[float] | Floats, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean, by Student's t with the degrees of freedom of the independent values."""
    values = np.asarray(series, np.float64)
    mean = math.fsum(values.tolist()) / len(values)
    independent = len(values) / correlation_time(values)
    if independent < _FEWEST:
        return Estimate(mean, None, None)
    half = student(independent - 1, confidence) * math.sqrt(values.var(ddof=1) / independent)
    return Estimate(mean, mean - half, mean + half)


def independent_mean(values: Sequence[float] | Floats) -> Estimate:
    """Return the mean of independent values, by Student's t; of one, no interval."""
    kept = np.asarray(values, np.float64)
    mean = math.fsum(kept.tolist()) / len(kept)
    if len(kept) < 2:
        return Estimate(mean, None, None)
    half = student(len(kept) - 1) * math.sqrt(kept.var(ddof=1) / len(kept))
    return Estimate(mean, mean - half, mean + half)


def percentile_estimate(series: Sequence[float] | Floats, percent: int) -> Estimate:
    """Return the nearest-rank percentile, between the order statistics that bound it."""
    values = np.asarray(series, np.float64)
    ordered, count = np.sort(values), len(values)
    value = float(ordered[max(math.ceil(percent * count / 100), 1) - 1])
    below = (values <= value).astype(np.float64)
    independent = max(int(count / correlation_time(below)), 1)
    low, high = _binomial_ranks(independent, percent / 100, CONFIDENCE)

    def at(rank: int | None) -> float | None:
        """The value of a rank among the independent ones; all values share their ranks evenly."""
        if rank is None:
            return None
        return float(ordered[math.ceil(rank * count / independent) - 1])

    return Estimate(value, at(low), at(high))


def _binomial_ranks(count: int, share: float, confidence: float) -> tuple[int | None, int | None]:
    """Ranks from 1 between which a quantile lies: P(X < low) and P(X >= high) at most (1 - c) / 2.

    X, how many of the values lie at or below the quantile, is binomial.
    """
    x = np.arange(count + 1)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    log_p = factorial[-1] - factorial - factorial[::-1]
    log_p += x * math.log(share) + (count - x) * math.log1p(-share)
    cumulative = np.cumsum(np.exp(log_p))
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(cumulative, tail, side="right"))
    high = int(np.searchsorted(cumulative, 1 - tail)) + 1
    return (low if low >= 1 else None), (high if high <= count else None)


def student(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t.

    By Cornish and Fisher, within 0.3 % from 7 on; by bisection of the closed form below, where
    `freedom` is rounded down.
    """
    if freedom < 7:
        return _student_of_few(max(math.floor(freedom), 1), confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _student_of_few(freedom: int, confidence: float) -> float:
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < confidence else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Return P(|t| < sqrt(freedom) tan(angle)), Abramowitz and Stegun 26.7.3 and 26.7.4."""
    cosine, term, total = math.cos(angle), 1.0, 0.0
    for power in range(freedom % 2, freedom - 1, 2):
        total += term * cosine**power
        term *= (power + 1) / (power + 2)
    if freedom % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)
