"""What all tests share: one thread a worker, steady examples, and a registry of one's own."""

from __future__ import annotations

import os

# Before torch, numpy or numba are imported: workers share the cores, so each keeps to one.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pytest
from hypothesis import HealthCheck, settings

from simulator.components import base

pytest.register_assert_rewrite("tests.messages")

# A first example may wait for a compiler, so neither deadlines nor slowness count as failures.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# For a search beyond the fixed examples: HYPOTHESIS_PROFILE=explore make test
settings.register_profile("explore", settings.get_profile("steady"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry without parts; parts that a test defines are gone when it ends."""
    bases = base.slots()
    monkeypatch.setattr(base, "_bases", bases)
    monkeypatch.setattr(base, "_parts", {slot: {} for slot in bases})
    # The parts of these tests have fields only; what a slot asks of a part is tested elsewhere.
    for slot in bases.values():
        monkeypatch.setattr(slot, "__abstractmethods__", frozenset())
