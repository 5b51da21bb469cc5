"""The headline numbers of a result.

Every number is defined in docs/metrics.md. Means are over images; rates such as occupancy are
ratios of sums over all images, so a long image weighs more than a short one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.results.checks import number_of_arrays
from simulator.results.columns import Table, numbers, rows_of, totals, words
from simulator.results.findings import Firing, facts_of
from simulator.results.image_facts import active_tokens, distribution, mean_of, ratio, token_facts
from simulator.results.intervals import DRAM, Intervals, has_bounds, intervals
from simulator.results.provenance import origin
from simulator.results.result import CAUSES, CONVENTIONS, Result
from simulator.results.stream import stream_summary
from simulator.streams.statistics import independent_mean


def summary(result: Result) -> dict[str, Any]:
    """Return plain numbers and texts, ready for JSON; names carry units. See docs/metrics.md."""
    images = result.columns("images")
    tables = {name: result.columns(name) for name in ("images", "firing", "units")}
    facts = facts_of(result.provenance, [tables])
    bounds = intervals(result) if has_bounds(result) else None
    total = bounds.total_pj if bounds else None
    stalls = totals(result.columns("stalls"), "cause", "stall_cycles")
    return {
        "findings": [finding._asdict() for finding in result.findings],
        **image_facts(result.provenance, images),
        "logical_speedup": _logical_speedup(result),
        "occupancy": dict(facts.occupancy),
        "energy_low_uj": total.low / 1e6 if total else None,
        "energy_high_uj": total.high / 1e6 if total else None,
        "energy_by_part": _energy_by_part(result, bounds),
        "energy_by_action": _energy_by_action(bounds) if bounds else [],
        "layers": _layers(result),
        "active_tokens": active_tokens(
            images,
            result.columns("active_tokens"),
            numbers(result.columns("layers"), "block"),
        ),
        "firing": _firing(facts.firing),
        "stalls": stall_facts(result.provenance, images, stalls),
        "roofline": _roofline(result),
        "field_energy": _field_energy(result),
        "area": _area(result, bounds),
        "stream": stream_summary(result),
    }


def image_facts(provenance: Mapping[str, Any], images: Table) -> dict[str, Any]:
    """Return those of the headline numbers that follow from the table of images alone."""
    clock_mhz = provenance["architecture"]["clock_mhz"]
    each, time_ms = numbers(images, "latency_cycles"), running_ms(images)
    cycles, latency = distribution(each), int(each.sum())
    weighted = numbers(images, "utilization") * each
    held = numbers(images, "pe_occupancy") * each
    return {
        "images": rows_of(images),
        "machine": provenance["architecture"]["name"],
        "network": provenance["trace"]["model"].get("name", "unnamed"),
        "origin": origin(provenance["trace"]["weights"]),
        "latency_cycles": cycles,
        "latency_ms": {name: value / (clock_mhz * 1e3) for name, value in cycles.items()},
        "mean_intervals": {
            name: independent_mean(numbers(images, column) / unit)._asdict()
            for name, column, unit in _ESTIMATED
        },
        "floor_cycles_mean": mean_of(images, "floor_cycles"),
        "ceiling_cycles_mean": mean_of(images, "ceiling_cycles"),
        "throughput_images_per_s": 1e3 * rows_of(images) / time_ms,
        "utilization": math.fsum(weighted.tolist()) / latency,
        "array_occupancy": math.fsum(held.tolist()) / latency,
        "energy_uj": mean_of(images, "energy_pj") / 1e6,
        "dynamic_energy_uj": mean_of(images, "dynamic_energy_pj") / 1e6,
        "leakage_energy_uj": mean_of(images, "leakage_energy_pj") / 1e6,
        "energy_delay_uj_ms": mean_of(images, "energy_delay_pj_ms") / 1e6,
        "power_mw": math.fsum(numbers(images, "energy_pj")) / time_ms * 1e-6,
        "synaptic_operations": _synaptic_operations(images, time_ms),
        "active_tokens": token_facts(images),
        "dram_bytes_mean": mean_of(images, "dram_bytes"),
    }


_ESTIMATED = (
    ("latency_ms", "latency_ms", 1.0),
    ("energy_uj", "energy_pj", 1e6),
    ("energy_delay_uj_ms", "energy_delay_pj_ms", 1e6),
)


def _energy_by_part(result: Result, bounds: Intervals | None) -> list[dict[str, Any]]:
    """Each part's mean energy per image, dynamic and leakage, the largest first.

    Entries: part, dynamic_uj, leakage_uj, energy_uj, share (of the energy of all parts), low_uj and
    high_uj (None in a result without bounds).
    """
    dynamic = totals(result.columns("actions"), "part", "energy_pj")
    powers_uw = totals(result.columns("leakage"), "part", "power_uw")
    spans = bounds.by_part() if bounds else {}
    time_ms = running_ms(result.columns("images"))
    parts = []
    for name in dynamic.keys() | powers_uw.keys():
        dynamic_uj = dynamic.get(name, 0.0) / (1e6 * result.images)
        # 1 uW for 1 ms is 1e-3 uJ.
        leakage_uj = powers_uw.get(name, 0.0) * time_ms * 1e-3 / result.images
        span = spans.get(name)
        parts.append(
            {
                "part": name,
                "dynamic_uj": dynamic_uj,
                "leakage_uj": leakage_uj,
                "energy_uj": dynamic_uj + leakage_uj,
                "low_uj": span.low / 1e6 if span else None,
                "high_uj": span.high / 1e6 if span else None,
            }
        )
    total = math.fsum(part["energy_uj"] for part in parts)
    for part in parts:
        part["share"] = ratio(part["energy_uj"], total)
    return sorted(parts, key=lambda part: (-part["energy_uj"], part["part"]))


def _energy_by_action(bounds: Intervals) -> list[dict[str, Any]]:
    """Mean energy per image with its bounds by part, action and cause, the largest first."""
    return [
        {
            "part": entry.part,
            "action": entry.action,
            "cause": entry.cause,
            "low_uj": entry.energy_pj.low / 1e6,
            "energy_uj": entry.energy_pj.nominal / 1e6,
            "high_uj": entry.energy_pj.high / 1e6,
        }
        for entry in sorted(bounds.entries, key=lambda entry: -entry.energy_pj.nominal)
    ]


def _area(result: Result, bounds: Intervals | None) -> dict[str, Any]:
    """Our floor of the area, power at rest, mean power on chip; what the authors state, or None."""
    machine, images = result.provenance["architecture"], result.columns("images")
    area = machine.get("area")
    powers_uw = totals(result.columns("leakage"), "part", "power_uw")
    dram_uw = powers_uw.pop(DRAM, 0.0)
    times_ms = running_ms(images)
    outside = totals(result.columns("actions"), "part", "energy_pj").get(DRAM, 0.0)
    # 1 uW for 1 ms is 1e3 pJ.
    outside += dram_uw * times_ms * 1e3
    on_chip_pj = math.fsum(numbers(images, "energy_pj")) - outside
    chip = bounds.chip_power_mw if bounds else None
    published = machine["document"].get("published") or {}
    return {
        "sram_mm2": area["sram_mm2"] if area else None,
        "logic_mm2": area["logic_mm2"] if area else None,
        "leakage_uw": math.fsum(powers_uw.values()),
        "dram_always_on_uw": dram_uw,
        # 1 pJ in 1 ms is 1e-6 mW.
        "on_chip_power_mw": on_chip_pj / times_ms * 1e-6,
        "on_chip_power_low_mw": chip.low if chip else None,
        "on_chip_power_high_mw": chip.high if chip else None,
        "published_area_mm2": published.get("area_mm2"),
        "published_power_mw": published.get("power_mw"),
        "published_source": published.get("source"),
    }


def running_ms(images: Table) -> float:
    """Return the time that all images take, one after another; images together share theirs."""
    return math.fsum(numbers(images, "latency_ms") / numbers(images, "images_together"))


def _logical_speedup(result: Result) -> float | None:
    """Useful accumulations of arrays by addition; None in an older result, which counts no rates.

    The head runs on the vector unit.
    """
    layers = result.columns("layers")
    if rows_of(layers) == 0 or numbers(layers, "input_rate").min() < 0:
        return None
    on_array = ~words(layers, "kind").where("head")
    added = int(numbers(layers, "additions").sum())
    return int(numbers(layers, "useful_accumulations")[on_array].sum()) / added if added else None


def _synaptic_operations(images: Table, time_ms: float) -> dict[str, float | None]:
    """A useful accumulation is a synaptic operation (SOP); 1e6 of them in 1 ms are 1 GSOP/s."""
    total = int(numbers(images, "useful_accumulations").sum())
    energy_pj = math.fsum(numbers(images, "energy_pj"))
    return {
        "sops_mean": total / rows_of(images),
        "gsops_per_s": total / time_ms * 1e-6,
        # GSOP/s/W are GSOP/J.
        "gsops_per_s_per_w": 1e3 * total / energy_pj if energy_pj else None,
        "pj_per_sop": energy_pj / total if total else None,
    }


def _layers(result: Result) -> list[dict[str, Any]]:
    """Means over images of each layer, in order of execution; input_rate is None if unknown."""
    table = result.columns("layers")
    names = words(table, "layer")
    _, first, place = np.unique(names.codes, return_index=True, return_inverse=True)
    found = np.bincount(place)
    means = {
        column: np.bincount(place, numbers(table, column)) / found
        for column in ("input_rate", "useful_accumulations", "additions", "energy_pj")
    }
    total_pj = math.fsum(means["energy_pj"])
    facts = []
    for group in np.argsort(first).tolist():
        row, energy_pj = first[group], float(means["energy_pj"][group])
        rate = float(means["input_rate"][group])
        facts.append(
            {name: words(table, name).word(row) for name in ("layer", "stage", "kind")}
            | {
                "block": int(numbers(table, "block")[row]),
                "input_rate": rate if rate >= 0 else None,
                "sops_mean": float(means["useful_accumulations"][group]),
                "additions_mean": float(means["additions"][group]),
                "energy_uj": energy_pj / 1e6,
                "energy_share": ratio(energy_pj, total_pj),
            }
        )
    return facts


def _firing(tensors: Mapping[str, Firing]) -> list[dict[str, Any]]:
    """Each tensor's share of values that are not zero, over all images; halted tokens left out."""
    return [
        {
            "tensor": name,
            "layer": each.layer,
            "kind": each.kind,
            "rate": ratio(each.nonzero, each.live),
        }
        for name, each in tensors.items()
    ]


def stall_facts(
    provenance: Mapping[str, Any], images: Table, cycles: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return mean cycles per image and share of the latency by cause, the largest first.

    `cycles`: by cause, of the arrays of all cores and of all images.
    """
    latency = int(numbers(images, "latency_cycles").sum()) * number_of_arrays(provenance)
    facts = [
        {
            "cause": cause,
            "meaning": meaning,
            "cycles_mean": cycles.get(cause, 0) / rows_of(images),
            "share": cycles.get(cause, 0) / latency,
        }
        for cause, meaning in CAUSES.items()
    ]
    return sorted(facts, key=lambda entry: -float(str(entry["share"])))


def _roofline(result: Result) -> dict[str, Any]:
    """Where all images together stand under the machine's two roofs.

    A run without DRAM traffic has no operational intensity (None) and is bound by computing.
    """
    roofs = result.provenance["architecture"]["roofline"]
    peak, bandwidth = roofs["peak_accumulations_per_cycle"], roofs["dram_bytes_per_cycle"]
    images = result.columns("images")
    latency = int(numbers(images, "latency_cycles").sum())
    added = int(numbers(images, "additions").sum())
    moved = int(numbers(images, "dram_bytes").sum())
    intensity = added / moved if moved else None
    attainable = peak if intensity is None else min(peak, intensity * bandwidth)
    return {
        "peak_accumulations_per_cycle": peak,
        "dram_bytes_per_cycle": bandwidth,
        "ridge_accumulations_per_byte": peak / bandwidth,
        "operational_intensity_accumulations_per_byte": intensity,
        "achieved_accumulations_per_cycle": added / latency,
        "attainable_accumulations_per_cycle": attainable,
        "achieved_share": ratio(added / latency, attainable),
        "bound_by": "compute" if attainable == peak else "memory",
    }


def _field_energy(result: Result) -> list[dict[str, Any]]:
    """Mean MACs, ACs and energy per image by the field's habit, for each convention."""
    table = result.columns("field_energy")
    sums_of = {name: totals(table, "convention", name) for name in ("macs", "acs", "energy_pj")}
    facts = []
    for convention in CONVENTIONS:
        sums = {name: sums.get(convention, 0.0) for name, sums in sums_of.items()}
        means = {name: value / result.images for name, value in sums.items()}
        energy_uj = means.pop("energy_pj") / 1e6
        facts.append({"convention": convention, **means, "energy_uj": energy_uj})
    return facts


def short(part: str) -> str:
    """Return a part's path without what all parts of a core share."""
    return part.removeprefix("cores.0.")
