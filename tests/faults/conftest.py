"""Counts what the fault laboratory tried and what survived, for docs/reliability.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability import Tally, written

_counts: dict[str, Tally] = {}


@pytest.fixture
def survived() -> Callable[..., None]:
    """Count faults of a kind that were tried and survived; call it after the assertions."""

    def count(kind: str, tried: int = 1) -> None:
        before = _counts.get(kind, Tally(0))
        _counts[kind] = Tally(before.survived + tried)

    return count


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write the page that the variable RELIABILITY names, if all tests passed."""
    if (page := os.environ.get("RELIABILITY")) and exitstatus == pytest.ExitCode.OK:
        path = Path(page)
        path.write_text(written(path.read_text("utf-8"), _counts), "utf-8")
