"""Does the last paragraph of "Compare two designs" say what its own commands give today?"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import stasim
from reports.runs import priced
from simulator.energy.break_even import ratio_span
from simulator.results.pairing import ratio_of_means

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "compare.md"
WAY = (
    ("dense_pe", "mnist_baseline"),
    ("sparse_pe_noskip", "mnist_baseline"),
    ("sparse_pe_noskip", "mnist"),
    ("sparse_pe", "mnist"),
)


@pytest.mark.slow
def test_the_answer_is_todays() -> None:
    answer = " ".join(PAGE.read_text("utf-8").rpartition("## The answer")[2].split())
    results = [stasim.simulate(trace, machine, images=8) for machine, trace in WAY]
    steps = [*pairwise(results), (results[0], results[-1])]
    times, energies = [], []
    for before, after in steps:
        one, other = (each.tables["images"]["latency_ms"].to_numpy() for each in (before, after))
        times.append(ratio_of_means(one, other).value)
        first, second = priced(before), priced(after)
        assert first is not None
        assert second is not None
        energies.append(ratio_span(first, second).nominal)
    assert f"{times[0]:.1f} times less time" in answer
    assert f"{energies[0]:.1f} times less energy" in answer
    assert f"a further {times[1]:.1f} times faster and {energies[1]:.1f} times cheaper" in answer
    assert f"another {times[2]:.2f} times in time and {energies[2]:.2f} in energy" in answer
    assert f"{times[3]:.0f} times less time and {energies[3]:.0f} times less energy" in answer
