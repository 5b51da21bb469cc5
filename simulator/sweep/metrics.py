"""What a design is judged by: the names that objectives and constraints of a space may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from simulator.architecture import Architecture
from simulator.components.base import Primitive
from simulator.energy import EnergyTable
from simulator.energy.area import machine_area
from simulator.errors import SpaceError
from simulator.results.columns import numbers
from simulator.results.result import Result
from simulator.results.summary import running_ms

ACCURACY = "accuracy"


class Metric(NamedTuple):
    """Describe a number of a design: its meaning and unit, and whether more is better.

    `of_machine`: from the machine alone, known before anything is simulated; else `of_result`.
    """

    meaning: str
    maximize: bool = False
    of_machine: Callable[[Architecture, EnergyTable], float] | None = None
    of_result: Callable[[Result], float] | None = None


def _mean(column: str, scale: float = 1.0) -> Callable[[Result], float]:
    return lambda result: float(numbers(result.columns("images"), column).mean()) * scale


def _share(part: str, entire: str) -> Callable[[Result], float]:
    def ratio(result: Result) -> float:
        images = result.columns("images")
        return int(numbers(images, part).sum()) / int(numbers(images, entire).sum())

    return ratio


def _power_mw(result: Result) -> float:
    """pJ / ms is nW."""
    energy_pj = numbers(result.columns("images"), "energy_pj").sum()
    return float(energy_pj) / running_ms(result.columns("images")) * 1e-6


def _pj_per_sop(result: Result) -> float:
    images = result.columns("images")
    work = int(numbers(images, "useful_accumulations").sum())
    return float(numbers(images, "energy_pj").sum()) / max(work, 1)


def _accuracy(result: Result) -> float:
    return accuracy_of(result.provenance["trace"]["weights"], result.provenance["trace"]["file"])


def accuracy_of(weights: dict[str, Any], trace: str) -> float:
    """Return what the trace says of the accuracy of its weights; SpaceError if it says nothing."""
    stated = weights.get("accuracy")
    value = stated.get("test_top1") if isinstance(stated, dict) else None
    if not isinstance(value, int | float):
        raise SpaceError(f"{trace}: states no accuracy (weights: {weights.get('origin')})")
    return float(value)


def _banks(architecture: Architecture) -> list[Primitive]:
    """Every SRAM bank of the machine: what leaks is what there is."""
    return [
        primitive
        for _, part in architecture.parts()
        for primitive in part.leakage()
        if primitive.operation == "sram_leakage"
    ]


def _sram_kib(architecture: Architecture, table: EnergyTable) -> float:
    return sum(bank.times * bank.size_kib for bank in _banks(architecture))


def _sram_area_mm2(architecture: Architecture, table: EnergyTable) -> float:
    return float(machine_area(architecture, table)["sram_mm2"])


def _area_mm2(architecture: Architecture, table: EnergyTable) -> float:
    area = machine_area(architecture, table)
    return float(area["sram_mm2"] + area["logic_mm2"])


METRICS: dict[str, Metric] = {
    "latency_ms": Metric("mean latency of an image", of_result=_mean("latency_ms")),
    "latency_cycles": Metric("mean latency of an image", of_result=_mean("latency_cycles")),
    "energy_uj": Metric("mean energy of an image", of_result=_mean("energy_pj", 1e-6)),
    "energy_delay_uj_ms": Metric(
        "mean of energy x latency of an image (EDP)",
        of_result=_mean("energy_delay_pj_ms", 1e-6),
    ),
    "power_mw": Metric("energy over latency, DRAM included", of_result=_power_mw),
    "pj_per_sop": Metric("energy of a synaptic operation, DRAM included", of_result=_pj_per_sop),
    "dram_kib": Metric("DRAM traffic of an image", of_result=_mean("dram_bytes", 1 / 1024)),
    "utilization": Metric(
        "mean share of the adders in use", maximize=True, of_result=_mean("utilization")
    ),
    "active_tokens": Metric(
        "computed tokens of those without halting", of_result=_share("active_tokens", "token_slots")
    ),
    ACCURACY: Metric(
        "test_top1 that the trace states for its weights", maximize=True, of_result=_accuracy
    ),
    "sram_kib": Metric("capacity of all SRAM", of_machine=_sram_kib),
    "area_mm2": Metric(
        "area of SRAM and of the logic that has a source: a floor", of_machine=_area_mm2
    ),
    "sram_area_mm2": Metric("area of all SRAM banks by CACTI", of_machine=_sram_area_mm2),
}


def machine_metrics(architecture: Architecture, table: EnergyTable) -> dict[str, float]:
    """Return all metrics that the machine alone decides, by its prices; raise PricingError."""
    return {
        name: metric.of_machine(architecture, table)
        for name, metric in METRICS.items()
        if metric.of_machine
    }


def result_metrics(result: Result, wanted: set[str]) -> dict[str, float]:
    """Return all metrics of a result; the accuracy only if wanted, as not every trace has one."""
    return {
        name: metric.of_result(result)
        for name, metric in METRICS.items()
        if metric.of_result and (name != ACCURACY or name in wanted)
    }
