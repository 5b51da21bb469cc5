"""Do DRAM channels take the time that Ramulator 2.1 recorded?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.dram_streams import measure, read_rows, replays

FOLDER = Path(__file__).parents[2].parent / "shared" / "oracles" / "ramulator"
ABSENT = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="recorded runs of the DRAM simulator are not beside the project"
)
MEAN_ERROR = {"DDR4-2400": 0.06}
"""The others' is 0.10; no row is off by more than 0.30."""


@ABSENT
@pytest.mark.parametrize("standard", ["DDR4-2400", "DDR5-3200", "LPDDR5-6400", "HBM2-2000"])
@pytest.mark.parametrize("mapper", ["RoBaRaCoCh", "MOP4CLXOR"])
def test_streams_take_the_recorded_time(standard: str, mapper: str) -> None:
    rows = read_rows(FOLDER / "dram_streams.csv")
    # One channel: a row of several is the same controllers side by side, and takes their time.
    own = [
        row
        for row in rows
        if (row["standard"], row["mapper"], row["channels"]) == (standard, mapper, "1")
    ]
    errors = np.abs([measure(row).error for row in own])
    assert len(errors) >= 18
    assert errors.mean() <= MEAN_ERROR.get(standard, 0.10)
    assert errors.max() <= 0.30


@ABSENT
def test_images_take_the_recorded_time_back_to_back_and_as_issued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [row for row in read_rows(FOLDER / "replay.csv") if "baseline" in row["image"]]
    monkeypatch.setattr("experiments.dram_streams.read_rows", lambda _: found)
    for replay in replays(FOLDER):
        for theirs, ours in (replay.back_to_back_ns, replay.operation_ns):
            assert abs(ours / theirs - 1) <= 0.05
