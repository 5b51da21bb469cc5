"""What several of these tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories import tiny_trace


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trace that halts, of 3 timesteps and 4 heads."""
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_trace(folder / "tiny.npz", timesteps=3, channels=72, heads=4, seed=7)
