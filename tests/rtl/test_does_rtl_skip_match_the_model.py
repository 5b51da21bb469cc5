"""Does the RTL of token skip list exactly the live tokens, in exactly the modelled cycles?"""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from experiments.calibration.units import run_scans
from simulator.components.base import build
from simulator.components.token_skip.compact import Compact
from simulator.errors import DeviceError
from simulator.hil.benches import skip_design
from simulator.hil.verilator import lint
from simulator.trace import Trace
from tests.messages import cases
from tests.rtl.rtl_cases import ROOT, TRACES, needs_verilator

pytestmark = needs_verilator


def compact(scan: int, queue: int, latency: int = 2) -> Compact:
    fields = {"scan_tokens_per_cycle": scan, "queue_tokens": queue, "latency_cycles": latency}
    part = build("token_skip", {"kind": "compact"} | fields)
    assert isinstance(part, Compact)
    return part


def masks_of_traces() -> list[np.ndarray]:
    """Every mask of some images of every shipped trace."""
    found = []
    for name in TRACES:
        with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
            for index in range(min(trace.images, 40)):
                image = trace.read(index)
                found += [row for block in image.active.values() for row in block]
    return found


def adversarial(tokens: int) -> list[np.ndarray]:
    none = np.zeros(tokens, bool)
    first, last = none.copy(), none.copy()
    first[0] = last[-1] = True
    return [none, ~none, first, last, np.arange(tokens) % 2 == 0, np.arange(tokens) < tokens // 2]


def slow_stream(mask: np.ndarray, scan: int, queue: int, take_every: int) -> tuple[int, int]:
    """Cycles to the complete list and cycles stalled, of a three-stage pipe into a queue."""
    groups = deque(int(mask[first : first + scan].sum()) for first in range(0, len(mask), scan))
    read: int | None = None
    packed: int | None = None
    held, cycle, stalls = 0, 0, 0
    while groups or read is not None or packed is not None:
        took = cycle > 0 and held > 0 and cycle % take_every == 0
        stalled = packed is not None and held + packed > queue
        stalls += stalled
        if not stalled:
            held += packed or 0
            packed, read = read, (groups.popleft() if groups else None)
        held -= took
        cycle += 1
    return cycle, stalls


def test_every_mask_of_the_shipped_traces() -> None:
    skip, masks = compact(16, 256), masks_of_traces()
    masks += [each for tokens in (1, 15, 16, 17, 64, 196, 256) for each in adversarial(tokens)]
    assert len(masks) >= 1000
    for mask, run in zip(masks, run_scans(skip, masks), strict=True):
        scan = skip.scan(len(mask), int(mask.sum()), 1)
        np.testing.assert_array_equal(run.tokens, np.flatnonzero(mask))
        assert run.live == scan.counts["queue_token"]
        assert run.reading == scan.busy_cycles
        assert run.cycles == scan.busy_cycles + scan.latency_cycles
        assert run.stalled == 0


@pytest.mark.parametrize(("scan", "queue"), [(16, 256), (4, 12), (2, 2)])
@pytest.mark.parametrize("take_every", [1, 3])
def test_a_full_queue_holds_the_scan_back(scan: int, queue: int, take_every: int) -> None:
    random, skip = np.random.default_rng(scan), compact(scan, queue)
    masks = [random.random(int(random.integers(1, 90))) < share for share in [0.1, 0.5, 0.9] * 8]
    masks += adversarial(61)
    runs = run_scans(skip, masks, keep=False, take_every=take_every)
    for mask, run in zip(masks, runs, strict=True):
        np.testing.assert_array_equal(run.tokens, np.flatnonzero(mask))
        assert (run.cycles, run.stalled) == slow_stream(mask, scan, queue, take_every)
    assert lint(skip_design(skip)) == ""
    if queue < 61:
        assert any(run.stalled for run in runs)


def test_a_list_that_does_not_fit_is_not_taken_for_complete() -> None:
    skip = compact(4, 12)
    (kept, overflowing) = run_scans(skip, [np.ones(12, bool), np.ones(13, bool)])
    assert len(kept.tokens) == 12
    assert len(overflowing.tokens) == 0
    assert overflowing.stalled > 0


@cases("a_unit_that_the_rtl_cannot_be_is_refused")
def test_a_unit_that_the_rtl_cannot_be_is_refused(fields: list[int], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        skip_design(compact(*fields))
