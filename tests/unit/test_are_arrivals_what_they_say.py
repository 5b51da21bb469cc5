"""Arrivals of a stream: at the stated rate, repeatable, and each bad text or file is one error."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import StreamError
from simulator.streams.arrivals import read_arrivals
from tests.messages import cases, said


def cycles(text: str, count: int, clock_mhz: float = 500.0) -> list[int | None]:
    return list(itertools.islice(read_arrivals(text).cycles(clock_mhz), count))


def test_a_rate_is_equally_spaced() -> None:
    assert cycles("rate:200", 4) == [0, 2_500_000, 5_000_000, 7_500_000]
    assert cycles("rate:3e8,images=9", 5) == [0, 2, 3, 5, 7]


def test_a_closed_loop_has_no_times() -> None:
    assert cycles("closed", 3) == [None, None, None]
    assert read_arrivals("closed,images=7").images == 7


def test_poisson_gaps_are_exponential_and_belong_to_the_seed() -> None:
    found = np.diff(np.array(cycles("poisson:200,seed=1", 20_001)), prepend=0) / 500e6
    assert found.mean() == pytest.approx(1 / 200, rel=0.02)
    assert found.std() == pytest.approx(1 / 200, rel=0.03)
    assert (found > 1 / 200).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert cycles("poisson:200,seed=1", 50) == cycles("poisson:200,seed=1", 5000)[:50]
    assert cycles("poisson:200,seed=1", 50) != cycles("poisson:200,seed=2", 50)


def test_a_file_says_when(tmp_path: Path) -> None:
    file = tmp_path / "times.csv"
    file.write_text("arrival_s\n0\n1e-6\n\n1e-6\n0.5\n")
    assert cycles(str(file), 9) == [0, 500, 500, 250_000_000]
    assert read_arrivals(str(file)).images == 4


@cases("a_bad_text_is_one_error")
def test_a_bad_text_is_one_error(text: str, message: str) -> None:
    with pytest.raises(StreamError, match=".*" + message):
        read_arrivals(text)


@cases("bad_file_of_arrivals")
def test_a_bad_file_is_one_error(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(StreamError, match=message):
        read_arrivals(str(file))


def test_a_time_too_late_to_be_counted_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text("1e12\n")
    with pytest.raises(StreamError, match=said("a time too late")):
        cycles(str(file), 1)
