"""A made-up search, for tests of what reads searches."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.results.sweep_result import SweepResult

HOSTILE = "</script><script>alert(1)</script>"
FOUND = ("", "few_images", "dead_network, few_images")
"""The findings of every third point."""
SPACE: dict[str, Any] = {
    "schema": "stasim-space/1",
    "name": HOSTILE,
    "base": "base.yaml",
    "parameters": {"d": {"choices": [{"kind": "none"}]}},
    "images": None,
    "objectives": {"latency_ms": "minimize", "accuracy": "maximize"},
    "constraints": {},
    "search": {"strategy": "random", "points": 64, "seed": 0, "batch": 16},
}


def sample_sweep(points: int = 64) -> SweepResult:
    """Latency is 10 a + b and does not depend on c; accuracy is better for the slow."""
    rng = np.random.default_rng(0)
    rows: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
    for number in range(points):
        point: dict[str, Any] = {
            "a": int(rng.integers(4)),
            "b": float(rng.uniform(0.0, 4.0)),
            "c": ["left", HOSTILE][int(rng.integers(2))],
            "d": {"kind": "none"},
        }
        status = ("ok", "ok", "ok", "infeasible", "failed")[number % 5]
        metrics = {"latency_ms": 1 + 10 * point["a"] + point["b"], "accuracy": 0.1 * point["a"]}
        outcome = {
            "number": number,
            "status": status,
            "message": "" if status == "ok" else HOSTILE,
            "metrics": {} if status == "failed" else metrics,
            "violation": float(status == "infeasible"),
            "replay": "none" if status == "failed" else "simulated",
            "findings": "" if status == "failed" else FOUND[number % 3],
        }
        rows.append((number, point, outcome))
    provenance = {
        "stasim": "0.1.0",
        "space": SPACE,
        "space_hash": "sha256:0",
        "base": "sha256:1",
        "traces": {"t.npz": "sha256:2"},
        "versions": {"numpy": "2"},
    }
    return SweepResult.of(provenance, ["a", "b", "c", "d"], rows)
