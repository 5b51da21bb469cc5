"""Saved results of shipped machines on a small trace, for tests that need true counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.architecture import load_architecture
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[1]
MACHINES = ("dense_pe", "sparse_pe", "loas")


def real_runs(
    folder: Path,
    machines: Sequence[str] = MACHINES,
    images: int = 3,
    overrides: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Simulate a tiny trace on each machine; return the folders of the results.

    `overrides`: values to replace by the name of the machine.
    """
    path = tiny_trace(folder / "tiny.npz", images=images)
    saved = []
    for name in machines:
        words = (overrides or {}).get(name, ())
        with Trace.open(path) as trace:
            machine = load_architecture(ROOT / "arch_configs" / f"{name}.yaml", list(words))
            given = "".join(f" --set {word}" for word in words)
            command = f"python -m simulator.run --arch {name} --trace {path}{given}"
            result = Simulation(trace, machine, command=command).run(range(images))
        result.save(folder / name)
        saved.append(str(folder / name))
    return saved
