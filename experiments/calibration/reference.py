"""What the layer engine must give, by matrix products and the neuron's formula in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Ints
from simulator.hil.jobs import FRACTION_BITS, Job


class Expected(NamedTuple):
    """Of one job, int (live row, output): spikes or scores, membranes, residual stream."""

    outputs: Ints
    membrane: Ints | None
    stream: Ints | None


def lif_step(
    current: Ints, membrane: Ints, threshold: int, membrane_bits: int, fraction_bits: int
) -> tuple[Bools, Ints]:
    """Spikes and membranes after v' = v + (x - v) / 2, rounded down, saturated, reset to 0.

    `current` counts whole weights; `membrane` and `threshold` have so many bits after the point.
    """
    limit = 1 << (membrane_bits - 1)
    charged = np.clip(((current << fraction_bits) + membrane) >> 1, -limit, limit - 1)
    spikes = charged >= threshold
    return spikes, np.where(spikes, 0, charged)


def wrapped(values: Ints, bits: int) -> Ints:
    """As a signed number of so many bits holds them."""
    half = 1 << (bits - 1)
    result: Ints = (values + half) % (2 * half) - half
    return result


def expected_results(
    jobs: Sequence[Job], sum_bits: int, membrane_bits: int, weight_bits: int, stream_bits: int
) -> list[Expected]:
    """The results of jobs in order; membranes go from a job to the next with the same neurons."""
    held: dict[tuple[str, int], Ints] = {}
    results = []
    for job in jobs:
        shifts = 1 << np.arange(job.operand.shape[1], dtype=np.int64)
        values = np.einsum("rpi,p->ri", job.operand.astype(np.int64), shifts)
        sums = wrapped(values[job.live] @ job.weights, sum_bits)
        if job.scores:
            results.append(Expected(wrapped(sums, weight_bits), None, None))
            continue
        size = (len(job.operand), job.weights.shape[1])
        before = np.zeros(size, np.int64) if job.at_rest else held[job.neurons]
        spikes, after = lif_step(
            sums + job.bias, before[job.live], job.threshold, membrane_bits, FRACTION_BITS
        )
        state = before.copy()
        state[job.live] = after
        held[job.neurons] = state
        stream = (
            None if job.stream is None else (job.stream[job.live] + spikes) % (1 << stream_bits)
        )
        results.append(Expected(spikes.astype(np.int64), after, stream))
    return results
