"""Small results of several made-up designs on several made-up workloads, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.results.result import Result
from tests.sample_result import sample_result

DESIGNS = ("dense", "sparse", "sparse_compact")
WORKLOADS = ("cifar", "cifar_baseline")


def sample_runs(
    folder: Path,
    designs: Sequence[str] = DESIGNS,
    workloads: Sequence[str] = WORKLOADS,
    images: int = 3,
    blocks: int = 2,
    timesteps: int = 2,
) -> list[str]:
    """Saves a result for each pair; returns the folders. Later designs are faster."""
    paths = []
    for place, design in enumerate(designs):
        for workload in workloads:
            result = sample_result(range(images), blocks, timesteps)
            machine, trace = result.provenance["architecture"], result.provenance["trace"]
            machine["name"], machine["content_hash"] = design, f"sha256:{design}"
            trace["file"], trace["content_hash"] = f"{workload}.npz", f"sha256:{workload}"
            _hurry(result, place + 1)
            result.check()
            path = folder / f"{design}-{workload}"
            result.save(path)
            paths.append(str(path))
    return paths


def _hurry(result: Result, times: int) -> None:
    """A clock so many times as fast: everything that follows from it stays true."""
    machine = result.provenance["architecture"]
    machine["clock_mhz"] *= times
    images = result.tables["images"]
    images["latency_ms"] /= times
    images["leakage_energy_pj"] /= times
    energies = result.tables["energies"]
    for bound in ("energy_low_pj", "energy_pj", "energy_high_pj"):
        energies.loc[energies["action"] == "always on", bound] /= times
        images[bound] = energies.groupby("image")[bound].sum().to_numpy()
    images["energy_pj"] = images["dynamic_energy_pj"] + images["leakage_energy_pj"]
    images["energy_delay_pj_ms"] = images["energy_pj"] * images["latency_ms"]
