"""What an arm costs on simulated machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.numbers import interval
from simulator.architecture import load_architecture
from simulator.errors import LoweringError
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace

ARCHITECTURES = Path(__file__).parents[2] / "arch_configs"
MACHINES = ("dense_pe", "sparse_pe_noskip", "sparse_pe")
# On the stream machines that differ in kind; the last ones are sparse_pe with fields of their own.
KINDS = {
    "dense_pe": (),
    "sparse_pe": (),
    "sparse_pe_resident": (),
    "small weight buffer": ("cores.0.buffers.weights.size_kib=16",),
    "16 images together": ("dataflow.images_together=16",),
    # The mapper keeps what fits: two thirds of both blocks' weights, and fetches the rest anew.
    "a third of weights off chip": (
        "dataflow.mapping=auto",
        "cores.0.buffers.weights.size_kib=112",
    ),
    # 4 us at 500 MHz, as if something off the chip decided.
    "slow decisions": ("cores.0.vector_unit.score_latency_cycles=2048",),
}
DATAFLOWS = ("timestep_serial", "tick_batched")
DRAM = "memories.dram"

Row = dict[str, Any]


def simulate(
    trace: Path,
    dataflows: Sequence[str] = DATAFLOWS,
    images: int | None = None,
    machines: Iterable[str] = MACHINES,
) -> tuple[list[Row], list[Row]]:
    """A trace on each machine under every dataflow that can run it: rows of costs, of counts.

    Means over the first `images` of the trace, by default all. A dataflow that a trace forbids
    (tick_batched, where tokens halt over timesteps) has no row. The counts are the field's and
    depend on no machine.
    """
    costs: list[Row] = []
    counts: list[Row] = []
    for machine in machines:
        for dataflow in dataflows:
            try:
                result = run(trace, machine, dataflow, images)
            except LoweringError:
                if dataflow == DATAFLOWS[0]:
                    raise
                continue
            costs.append({"machine": machine, "dataflow": dataflow, **cost_of(result)})
            counts = counts or list(counts_of(result))
    return costs, counts


def run(trace: Path, machine: str, dataflow: str, images: int | None) -> Result:
    """The first images of a trace on a machine."""
    own = KINDS.get(machine, ())
    path = ARCHITECTURES / f"{'sparse_pe' if own else machine}.yaml"
    architecture = load_architecture(path, [f"dataflow.kind={dataflow}", *own])
    with Trace.open(trace) as opened:
        return Simulation(opened, architecture).run(range(images or opened.images))


def cost_of(result: Result) -> Row:
    """Cycles, utilization, energy and what the halting itself takes, a mean image."""
    images, actions, layers, stalls = (
        result.tables[name] for name in ("images", "actions", "layers", "stalls")
    )
    count, latency = len(images), images.latency_cycles.sum()
    adders = result.provenance["architecture"]["roofline"]["peak_accumulations_per_cycle"]
    halting = layers[layers.kind == "halting"]
    waiting = stalls[stalls.cause.isin(("halting", "token_skip"))]
    return {
        "latency_cycles": latency / count,
        "latency_ms": images.latency_ms.mean(),
        "utilization": images.additions.sum() / (adders * latency),
        "occupancy": images.pe_occupancy.mean(),
        "energy_pj": images.energy_pj.mean(),
        "energy_low_pj": images.energy_low_pj.mean(),
        "energy_high_pj": images.energy_high_pj.mean(),
        "always_on_pj": images.leakage_energy_pj.mean(),
        "dram_pj": _energy(actions, DRAM) / count,
        "halting_stall_cycles": _stalled(waiting, "halting") / count,
        "skip_stall_cycles": _stalled(waiting, "token_skip") / count,
        "halting_busy_cycles": halting.vector_busy_cycles.sum() / count,
        "halting_energy_pj": halting.energy_pj.sum() / count,
        "active_tokens": images.active_tokens.sum() / images.token_slots.sum(),
        "latency_reach_ms": reach(images.latency_ms),
        "energy_reach_pj": reach(images.energy_pj),
    }


def reach(values: pd.Series) -> float | None:
    """Half of Student's 95 % interval of the mean over images; None of a single image."""
    low, high = interval(values)
    return (high - low) / 2 if len(values) > 1 else None


def counts_of(result: Result) -> Iterator[Row]:
    """MACs, ACs and energy of the field's habit, by stage and convention, a mean image."""
    table = result.tables["field_energy"]
    keys, columns = ["stage", "convention"], ["macs", "acs", "energy_pj"]
    sums = table.groupby(keys)[columns].sum() / len(result.tables["images"])
    for row in sums.reset_index().to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def _energy(actions: pd.DataFrame, part: str) -> float:
    return float(actions.loc[actions.part == part, "energy_pj"].sum())


def _stalled(stalls: pd.DataFrame, cause: str) -> float:
    return float(stalls.loc[stalls.cause == cause, "stall_cycles"].sum())
