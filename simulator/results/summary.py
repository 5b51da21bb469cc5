"""The headline numbers of a result, and the same as text for a terminal.

Every number is defined in docs/metrics.md. Means are over images; rates such as occupancy are
ratios of sums over all images, so a long image weighs more than a short one.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.config.wording import one_line
from simulator.results.checks import number_of_arrays
from simulator.results.columns import Table, numbers, rows_of, totals, words
from simulator.results.findings import Finding
from simulator.results.intervals import DRAM, Intervals, has_bounds, intervals
from simulator.results.result import CAUSES, CONVENTIONS, Result
from simulator.results.stream import stream_summary
from simulator.results.units import ENERGY, POWER, TIME, TRAFFIC, between, number
from simulator.streams.statistics import CONFIDENCE, independent_mean

PERCENTILES = (50, 95, 99)
WIDTH = 100
LINES = 47
# As many parts, timesteps and blocks fit on a terminal; further ones are summed or left out.
_PARTS = 9
_TIMESTEPS = 8
_BLOCKS = 12
_FINDINGS = 8
_LAYERS = 4


def summary(result: Result) -> dict[str, Any]:
    """Plain numbers and texts, ready for JSON; names carry units. See docs/metrics.md."""
    images = result.columns("images")
    clock_mhz = result.provenance["architecture"]["clock_mhz"]
    each = numbers(images, "latency_cycles")
    cycles = _distribution(each)
    milliseconds = {name: value / (clock_mhz * 1e3) for name, value in cycles.items()}
    latency, arrays = int(each.sum()), number_of_arrays(result.provenance)
    weighted = numbers(images, "utilization") * each
    held = numbers(images, "pe_occupancy") * each
    time_ms = running_ms(result)
    bounds = intervals(result) if has_bounds(result) else None
    total = bounds.total_pj if bounds else None
    return {
        "findings": [finding._asdict() for finding in result.findings],
        "images": result.images,
        "machine": result.provenance["architecture"]["name"],
        "network": result.provenance["trace"]["model"].get("name", "unnamed"),
        "origin": origin(result.provenance["trace"]["weights"]),
        "latency_cycles": cycles,
        "latency_ms": milliseconds,
        "mean_intervals": {
            name: independent_mean(numbers(images, column) / unit)._asdict()
            for name, column, unit in _ESTIMATED
        },
        "floor_cycles_mean": _mean(images, "floor_cycles"),
        "ceiling_cycles_mean": _mean(images, "ceiling_cycles"),
        "throughput_images_per_s": 1e3 * result.images / time_ms,
        "utilization": math.fsum(weighted.tolist()) / latency,
        "logical_speedup": _logical_speedup(result),
        "array_occupancy": math.fsum(held.tolist()) / latency,
        "occupancy": _occupancy(result.columns("units"), latency),
        "energy_uj": _mean(images, "energy_pj") / 1e6,
        "energy_low_uj": total.low / 1e6 if total else None,
        "energy_high_uj": total.high / 1e6 if total else None,
        "dynamic_energy_uj": _mean(images, "dynamic_energy_pj") / 1e6,
        "leakage_energy_uj": _mean(images, "leakage_energy_pj") / 1e6,
        "energy_delay_uj_ms": _mean(images, "energy_delay_pj_ms") / 1e6,
        "energy_by_part": _energy_by_part(result, bounds),
        "energy_by_action": _energy_by_action(bounds) if bounds else [],
        "power_mw": math.fsum(numbers(images, "energy_pj")) / time_ms * 1e-6,
        "synaptic_operations": synaptic_operations(images, time_ms),
        "layers": _layers(result),
        "active_tokens": _active_tokens(images, result.columns("active_tokens")),
        "firing": _firing(result.columns("firing")),
        "stalls": _stalls(result.columns("stalls"), latency * arrays, result.images),
        "roofline": _roofline(result, latency),
        "dram_bytes_mean": _mean(images, "dram_bytes"),
        "field_energy": _field_energy(result),
        "area": _area(result, bounds),
        "stream": stream_summary(result),
    }


_ESTIMATED = (
    ("latency_ms", "latency_ms", 1.0),
    ("energy_uj", "energy_pj", 1e6),
    ("energy_delay_uj_ms", "energy_delay_pj_ms", 1e6),
)


_SHOWN = (("latency_ms", TIME.symbol), ("energy_uj", ENERGY.symbol))


def origin(weights: Mapping[str, Any]) -> str:
    """How the weights of a trace came to be, in words, from its manifest's `weights`."""
    if weights["origin"] == "calibrated":
        return (
            "calibrated: random weights whose batch norms are fitted to published firing rates; "
            "not trained, so no accuracy applies"
        )
    if weights["origin"] == "random":
        return "random weights: not trained, so no accuracy applies; the spike rates are arbitrary"
    accuracy = weights.get("accuracy")
    if not isinstance(accuracy, dict):
        return "trained weights; the trace states no accuracy"
    return "trained weights: " + ", ".join(_accuracy_words(accuracy))


def _accuracy_words(accuracy: Mapping[str, Any]) -> list[str]:
    """What a trace states of its network's accuracy, in words; unknown entries by their names."""
    facts = {str(name): value for name, value in accuracy.items()}
    words, top1, images = [], facts.pop("test_top1", None), facts.pop("test_images", None)
    if isinstance(top1, int | float):
        of = f" of {images:,} test images" if isinstance(images, int) else ""
        words.append(f"{top1:.1%}{of} classified rightly (top-1)")
    tokens = facts.pop("active_tokens", None)
    if isinstance(tokens, int | float):
        words.append(f"{tokens:.1%} of the tokens computed on them")
    rest = (f"{one_line(name).replace('_', ' ')} {value}" for name, value in facts.items())
    return [*words, *rest]


def _energy_by_part(result: Result, bounds: Intervals | None) -> list[dict[str, Any]]:
    """Each part's mean energy per image, dynamic and leakage, the largest first.

    Entries: part, dynamic_uj, leakage_uj, energy_uj, share (of the energy of all parts), low_uj and
    high_uj (None in a result without bounds).
    """
    dynamic = totals(result.columns("actions"), "part", "energy_pj")
    powers_uw = totals(result.columns("leakage"), "part", "power_uw")
    spans, time_ms = bounds.by_part() if bounds else {}, running_ms(result)
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
        part["share"] = _ratio(part["energy_uj"], total)
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
    times_ms = running_ms(result)
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


def running_ms(result: Result) -> float:
    """Return the time that all images take, one after another; images together share theirs."""
    images = result.columns("images")
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


def synaptic_operations(images: Table, time_ms: float) -> dict[str, float | None]:
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
                "energy_share": _ratio(energy_pj, total_pj),
            }
        )
    return facts


def _distribution(values: npt.NDArray[Any]) -> dict[str, float]:
    """Mean, extremes and percentiles; a percentile is the value of an image (nearest rank)."""
    ranks = np.percentile(values, PERCENTILES, method="inverted_cdf")
    facts = {f"p{rank}": float(value) for rank, value in zip(PERCENTILES, ranks, strict=True)}
    mean = math.fsum(values) / len(values)
    return {"mean": mean, "min": float(values.min()), **facts, "max": float(values.max())}


def _occupancy(units: Table, latency: int) -> dict[str, float]:
    """Busy cycles of each unit per server and cycle of latency, over all images."""
    names, servers = words(units, "unit"), numbers(units, "servers")
    return {
        unit: busy / (int(servers[names.where(unit)].max()) * latency)
        for unit, busy in totals(units, "unit", "busy_cycles").items()
    }


def _active_tokens(images: Table, steps: Table) -> dict[str, Any]:
    """Means per image; `by_timestep_and_block[timestep][block]`, and the same without halting."""
    facts: dict[str, Any] = {
        "mean": _mean(images, "active_tokens"),
        "slots": _mean(images, "token_slots"),
    }
    facts["share"] = _ratio(facts["mean"], facts["slots"])
    timesteps, row = np.unique(numbers(steps, "timestep"), return_inverse=True)
    blocks, column = np.unique(numbers(steps, "block"), return_inverse=True)
    shape = (len(timesteps), len(blocks))
    place = row * len(blocks) + column
    found = np.bincount(place, minlength=shape[0] * shape[1])
    for name, counted in (
        ("by_timestep_and_block", "active_tokens"),
        ("tokens_by_timestep_and_block", "tokens"),
    ):
        sums = np.bincount(place, numbers(steps, counted), minlength=len(found))
        facts[name] = (sums / np.maximum(found, 1)).reshape(shape).tolist()
    return facts


def _firing(table: Table) -> list[dict[str, Any]]:
    """Each tensor's share of values that are not zero, over all images; halted tokens left out."""
    if not rows_of(table):
        return []
    live, nonzero = (totals(table, "tensor", name) for name in ("live", "nonzero"))
    names, layers, kinds = (words(table, name) for name in ("tensor", "layer", "kind"))
    first = {name: int(names.where(name).argmax()) for name in live}
    return [
        {
            "tensor": name,
            "layer": layers.word(first[name]),
            "kind": kinds.word(first[name]),
            "rate": _ratio(nonzero[name], values),
        }
        for name, values in live.items()
    ]


def _stalls(table: Table, latency: int, images: int) -> list[dict[str, Any]]:
    """Mean cycles per image and share of the latency (of all cores) by cause, the largest first."""
    cycles = totals(table, "cause", "stall_cycles")
    facts = [
        {
            "cause": cause,
            "meaning": meaning,
            "cycles_mean": cycles.get(cause, 0) / images,
            "share": cycles.get(cause, 0) / latency,
        }
        for cause, meaning in CAUSES.items()
    ]
    return sorted(facts, key=lambda entry: -float(str(entry["share"])))


def _roofline(result: Result, latency: int) -> dict[str, Any]:
    """Where all images together stand under the machine's two roofs.

    A run without DRAM traffic has no operational intensity (None) and is bound by computing.
    """
    roofs = result.provenance["architecture"]["roofline"]
    peak, bandwidth = roofs["peak_accumulations_per_cycle"], roofs["dram_bytes_per_cycle"]
    images = result.columns("images")
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
        "achieved_share": _ratio(added / latency, attainable),
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


def _mean(table: Table, name: str) -> float:
    return math.fsum(numbers(table, name)) / rows_of(table)


def _ratio(part: float, entire: float) -> float:
    return part / entire if entire else 0.0


def terminal_table(result: Result) -> str:
    """The summary as plain text, at most LINES lines of WIDTH columns."""
    facts = summary(result)
    doubts, notes = (
        finding_lines([each for each in result.findings if (each.severity == "note") is noted])
        for noted in (False, True)
    )
    lines = [
        *_heading(result, facts),
        "",
        *_speed(facts),
        "",
        *_energy_and_stalls(facts),
        "",
        *_token_map(facts["active_tokens"]),
        "",
        *_habit(facts["field_energy"]),
    ]
    lines = lines[:LINES]
    if facts["stream"]:
        lines += ["", *_stream(facts["stream"])]
    lines = [*doubts, *([""] if doubts else []), *lines, *([""] if notes else []), *notes]
    return "\n".join(line.rstrip()[:WIDTH] for line in lines)


def time_table(result: Result) -> str:
    """Latency, stalls and traffic as plain text, of a run that was not priced."""
    facts = summary(result)
    cycles, stalls = facts["latency_cycles"], facts["stalls"]
    names = ("mean", "p50", "p95", "p99")
    lines = [
        *_heading(result, facts)[:-1],
        *_entry("Prices", "none: times alone"),
        "",
        f"{'Per image':<14}" + "".join(f"{name:>14}" for name in names),
        f"{'Latency':<14}" + "".join(f"{number(cycles[name]):>14}" for name in names) + " cycles",
        f"{'':<14}" + "".join(f"{number(facts['latency_ms'][name]):>14}" for name in names) + " ms",
        *_entry("Utilization", _utilization_line(facts)),
        *_entry("DRAM traffic", f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB per image"),
        "",
        f"  {'PE array stalls, by cause':<26}{'cycles':>14}{'% lat.':>8}",
    ]
    rows = [(each["cause"], each["cycles_mean"], each["share"]) for each in stalls if each["share"]]
    lines += [f"  {row}" for row in _shares(rows, 26, 14)]
    return "\n".join(line.rstrip()[:WIDTH] for line in lines)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Findings as lines of a terminal: the first few, and how many more there are."""
    lines = [
        line
        for each in findings[:_FINDINGS]
        for line in _entry(each.severity.capitalize(), one_line(str(each), WIDTH * 2), lines=3)
    ]
    if len(findings) > _FINDINGS:
        more = f"{len(findings) - _FINDINGS} more findings in the table findings (--out, --json)"
        lines += _entry("", f"and {more}")
    return lines


def _stream(facts: Mapping[str, Any]) -> list[str]:
    """A stream: latency with queueing and service apart, rates, energy with the idle machine's."""
    parts = ("latency", "queueing", "service")
    lines = [
        *_entry(
            "Stream",
            f"{one_line(facts['arrivals'])}: {facts['images']} images, "
            f"at most {facts['in_flight']} in flight, {number(facts['duration_ms'])} ms; "
            f"in brackets {facts['confidence']:.0%} "
            "intervals, ... where the stream is too short for a bound",
            lines=2,
        ),
        f"{'  ms':<14}" + "".join(f"{part:<28}" for part in parts),
    ]
    for name in ("mean", "p50", "p95", "p99"):
        cells = (_interval(facts[f"{part}_ms"][name]) for part in parts)
        lines.append(f"{'  ' + name:<14}" + "".join(f"{cell:<28}" for cell in cells))
    offered, rate = facts["offered_images_per_s"], facts["finish_rate_images_per_s"]
    between = f"; between finishes {_interval(rate)}" if rate else ""
    asked = f"; offered {number(offered)}" if offered else ""
    held = ", ".join(f"{one_line(unit)} {share:.1%}" for unit, share in facts["occupancy"].items())
    return [
        *lines,
        *_entry(
            "  throughput",
            f"{number(facts['throughput_images_per_s'])} images/s{between}{asked}",
        ),
        *_entry(
            "  images",
            f"waiting {number(facts['waiting_mean'])} on average, {facts['waiting_max']} at most; "
            f"in flight {number(facts['in_flight_mean'])}, {facts['in_flight_max']}",
        ),
        *_entry("  occupancy", held, lines=2),
        *_entry(
            "  energy",
            f"{number(facts['energy_uj'])} µJ per image: {number(facts['dynamic_energy_uj'])} "
            f"dynamic, {number(facts['leakage_energy_uj'])} leakage, the idle machine's included; "
            f"{number(facts['power_mw'])} mW",
            lines=2,
        ),
    ]


def _interval(estimate: Mapping[str, float | None]) -> str:
    """A value with its interval; ... where the stream is too short for a bound."""
    return f"{number(estimate['value'] or 0.0)} {between(estimate['low'], estimate['high'])}"


def _heading(result: Result, facts: Mapping[str, Any]) -> list[str]:
    machine, trace = result.provenance["architecture"], result.provenance["trace"]
    dataset = one_line(str(trace["dataset"].get("name", "unnamed data")))
    parts = ", ".join(one_line(machine[slot]) for slot in ("pe_array", "token_skip", "dataflow"))
    technology = f"{machine['clock_mhz']:g} MHz, {machine['node_nm']:g} nm"
    table = result.provenance["energy_table"]
    prices = f"{one_line(table['name'])}, {table['node_nm']:g} nm, {table['voltage_v']:g} V"
    run = f"{one_line(facts['network'])}, {dataset}, images: {facts['images']}"
    engine = f"engine {one_line(result.provenance['engine'])}"
    return [
        *_entry("Machine", f"{one_line(facts['machine'])}: {parts}, {technology}"),
        *_entry("Trace", f"{one_line(trace['file'])}: {run}"),
        *(_entry("Order", one_line(trace["order"]), lines=2) if "order" in trace else []),
        *_mapping(result.provenance.get("mapping")),
        *_entry("Weights", facts["origin"], lines=3),
        *_entry("Prices", f"{prices}; {engine}; {switches(result)}", lines=3),
    ]


def _mapping(chosen: object) -> list[str]:
    """What was chosen, in the words of the search; nothing under the fixed rules."""
    text = chosen.get("summary") if isinstance(chosen, dict) else None
    return _entry("Mapping", one_line(text, WIDTH * 3), lines=3) if isinstance(text, str) else []


def switches(result: Result) -> str:
    """Return what was priced beyond the table, as a result names it."""
    table = result.provenance["energy_table"]
    terms = ", ".join(map(str, table.get("terms", []))) or "no terms beyond the table"
    cells, dram = table.get("sram_cells", "lstp_300k"), table.get("dram_power", "table")
    return one_line(f"{terms}; SRAM {cells}; DRAM {dram}", WIDTH * 2)


def _speed(facts: Mapping[str, Any]) -> list[str]:
    names = ("mean", "p50", "p95", "p99")
    roof, cycles, ms = facts["roofline"], facts["latency_cycles"], facts["latency_ms"]
    intensity = roof["operational_intensity_accumulations_per_byte"]
    per_byte = "no DRAM traffic" if intensity is None else f"{number(intensity)} acc/B"
    held = ", ".join(f"{one_line(unit)} {share:.1%}" for unit, share in facts["occupancy"].items())
    return [
        f"{'Per image':<14}" + "".join(f"{name:>14}" for name in names),
        f"{'Latency':<14}" + "".join(f"{number(cycles[name]):>14}" for name in names) + " cycles",
        f"{'':<14}" + "".join(f"{number(ms[name]):>14}" for name in names) + " ms",
        *_entry("", _means_line(facts)),
        *_entry(
            "Throughput",
            f"{number(facts['throughput_images_per_s'])} images/s "
            "(1 / mean latency: one image after another, no overlap)",
        ),
        *_entry("Utilization", _utilization_line(facts)),
        *_entry("Occupancy", held, lines=2),
        *_entry("Firing rate", _firing_line(facts["firing"])),
        *_entry(
            "Roofline",
            f"{roof['bound_by']}-bound: {per_byte}, "
            f"{number(roof['achieved_accumulations_per_cycle'])} of "
            f"{number(roof['attainable_accumulations_per_cycle'])} attainable acc/cycle "
            f"({roof['achieved_share']:.1%})",
            lines=2,
        ),
        *_entry("DRAM traffic", f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB per image"),
        *_entry("Area, power", _area_line(facts["area"]), lines=3),
        *_entry("Synaptic ops", operations_line(facts["synaptic_operations"], facts["power_mw"])),
        *_entry("Layers", _layers_line(facts["layers"]), lines=2),
    ]


def _means_line(facts: Mapping[str, Any]) -> str:
    """Latency and energy of an image with their intervals over images."""
    found = facts["mean_intervals"]
    means = (f"{_interval(found[name])} {unit}" for name, unit in _SHOWN)
    return f"n = {facts['images']}; {CONFIDENCE:.0%} of the means: {', '.join(means)}"


def _firing_line(firing: Sequence[Mapping[str, Any]]) -> str:
    """The range over all layers of spikes, and where its ends are."""
    neurons = [each for each in firing if each["layer"] and each["kind"] == "spikes"]
    if not neurons:
        return "not known: the result is from before it was counted"
    ends = (f(neurons, key=lambda each: float(each["rate"])) for f in (min, max))
    return " to ".join(f"{each['rate']:.2%} ({one_line(each['tensor'])})" for each in ends)


def _utilization_line(facts: Mapping[str, Any]) -> str:
    """Adders in use, and how many accumulations an addition brings."""
    speedup = facts["logical_speedup"]
    more = "" if speedup is None else f"; {number(speedup)} useful accumulations an addition"
    return f"{facts['utilization']:.1%} of adders add what is needed{more}"


def operations_line(sops: Mapping[str, Any], power_mw: float) -> str:
    """Synaptic operations, their rate and energy, and the power of all, DRAM included."""
    parts = [
        f"{number(sops['sops_mean'] / 1e6)} M an image",
        f"{number(sops['gsops_per_s'])} GSOP/s at {number(power_mw)} mW in all",
    ]
    if sops["pj_per_sop"] is not None and sops["gsops_per_s_per_w"] is not None:
        parts.append(f"{number(sops['gsops_per_s_per_w'])} GSOP/s/W")
        parts.append(f"{number(sops['pj_per_sop'])} pJ/SOP")
    return ", ".join(parts)


def _layers_line(layers: Sequence[Mapping[str, Any]]) -> str:
    """The layers that take most energy, with the rate of what enters them."""
    most = sorted(layers, key=lambda layer: -layer["energy_uj"])[:_LAYERS]
    facts = []
    for layer in most:
        rate = layer["input_rate"]
        fires = "" if rate is None else f" ({rate:.1%})"
        facts.append(f"{one_line(layer['layer'])} {layer['energy_share']:.0%}{fires}")
    return "most energy (inputs that are not zero): " + ", ".join(facts)


def _area_line(area: Mapping[str, Any]) -> str:
    """SRAM and logic, power on chip and at rest, and the authors' figures where they are given."""
    low, high = area["on_chip_power_low_mw"], area["on_chip_power_high_mw"]
    bounds = "" if low is None else f" ({number(low)} to {number(high)})"
    power = (
        f"{number(area['on_chip_power_mw'])} mW on chip{bounds}, "
        f"{number(POWER.of(area['leakage_uw']))} mW of it always on"
    )
    if area["dram_always_on_uw"]:
        power += f"; DRAM {number(POWER.of(area['dram_always_on_uw']))} mW always on"
    if area["sram_mm2"] is None:
        return power
    sizes = f"SRAM {number(area['sram_mm2'])} mm², logic {number(area['logic_mm2'])} mm²"
    stated = [
        f"{number(area[key])} {unit}"
        for key, unit in (("published_area_mm2", "mm²"), ("published_power_mw", "mW"))
        if area[key] is not None
    ]
    return f"{sizes}; {power}" + (f" (published: {', '.join(stated)})" if stated else "")


def _energy_and_stalls(facts: Mapping[str, Any]) -> list[str]:
    stalls = [(s["cause"], s["cycles_mean"], s["share"]) for s in facts["stalls"] if s["share"]]
    low, high = facts["energy_low_uj"], facts["energy_high_uj"]
    bounds = "" if low is None else f" ({number(low)} to {number(high)} between price bounds)"
    energy = (
        f"{number(facts['energy_uj'])} µJ per image{bounds}: {number(facts['dynamic_energy_uj'])} "
        f"dynamic, {number(facts['leakage_energy_uj'])} always on; "
        f"EDP {number(facts['energy_delay_uj_ms'])} µJ ms"
    )
    left = [f"{'by part, µJ':<21}{'nominal':>9}{'low':>9}{'high':>9}", *_by_part(facts)]
    right = [
        f"{'PE array stalls, by cause':<26}{'cycles':>14}{'% lat.':>8}",
        *_shares(stalls, 26, 14),
    ]
    pairs = zip_longest(left, right, fillvalue="")
    return [*_entry("Energy", energy, lines=2), *(f"  {one:<48}  {other}" for one, other in pairs)]


def _by_part(facts: Mapping[str, Any]) -> list[str]:
    """Return a line a part, the last ones summed; - for a bound that an older result lacks."""
    rows = [
        (short(p["part"]), [p["energy_uj"], p["low_uj"], p["high_uj"]])
        for p in facts["energy_by_part"]
    ]
    if len(rows) > _PARTS:
        columns = zip(*(values for _, values in rows[_PARTS - 1 :]), strict=True)
        sums = [None if None in column else math.fsum(column) for column in columns]
        rows[_PARTS - 1 :] = [(f"({len(rows) - _PARTS + 1} other parts)", sums)]
    return [
        f"{one_line(name)[:20]:<21}"
        + "".join(f"{'-' if each is None else _narrow(each):>9}" for each in values)
        for name, values in rows
    ]


def _narrow(value: float) -> str:
    """Return a number in eight characters, small ones with fewer digits."""
    text = number(value)
    return text if len(text) <= 8 else f"{value:.2g}"


def _shares(rows: Iterable[tuple[str, float, float]], name: int, value: int) -> list[str]:
    return [
        f"{one_line(text)[: name - 1]:<{name}}{number(amount):>{value}}{100 * share:>8.1f}"
        for text, amount, share in rows
    ]


def _token_map(facts: Mapping[str, Any]) -> list[str]:
    grid: Sequence[Sequence[float]] = facts["by_timestep_and_block"]
    head = f"{number(facts['mean'])} of {number(facts['slots'])} ({facts['share']:.1%}) per image"
    lines = _entry("Active tokens", head)
    if not grid:
        return lines
    blocks = range(min(len(grid[0]), _BLOCKS))
    more = f"  (of {len(grid[0])})" if len(grid[0]) > _BLOCKS else ""
    lines.append(f"  {'timestep, block':<16}" + "".join(f"{block:>6}" for block in blocks) + more)
    rows = [(str(timestep), row) for timestep, row in enumerate(grid)]
    if len(rows) > _TIMESTEPS:
        means = [sum(column) / len(grid) for column in zip(*grid, strict=True)]
        rows = [(f"mean of {len(grid)}", means)]
    for name, row in rows:
        lines.append(f"  {name:<16}" + "".join(f"{row[block]:>6.1f}" for block in blocks))
    return lines


def _habit(field: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["Field's habit (4.6 pJ a MAC, 0.9 pJ an AC, 45 nm, nothing else; not this machine)"]
    for entry in field:
        counts = f"{number(entry['macs'] / 1e6)} M MAC, {number(entry['acs'] / 1e6)} M AC"
        lines.append(f"  {entry['convention']:<18} {number(entry['energy_uj'])} µJ  ({counts})")
    return lines


def _entry(name: str, text: str, lines: int = 1) -> list[str]:
    """A named line, wrapped into a few."""
    wrapped = textwrap.wrap(text, WIDTH - 14, max_lines=lines, placeholder=" ...") or [""]
    return [f"{name if i == 0 else '':<14}{line}" for i, line in enumerate(wrapped)]


def short(part: str) -> str:
    """A part's path without what all parts of a core share."""
    return part.removeprefix("cores.0.")
