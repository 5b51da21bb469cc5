"""The headline numbers of a result as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from simulator.config.wording import one_line
from simulator.results.findings import Finding
from simulator.results.provenance import switches
from simulator.results.result import Result
from simulator.results.stream_lines import WIDTH, entry, narrow, stream_lines, with_interval
from simulator.results.summary import short, summary
from simulator.results.units import ENERGY, POWER, TIME, TRAFFIC, number
from simulator.streams.statistics import CONFIDENCE

LINES = 47
# As many parts, timesteps and blocks fit on a terminal; further ones are summed or left out.
_PARTS = 9
_TIMESTEPS = 8
_BLOCKS = 12
_FINDINGS = 8
_LAYERS = 4
_SHOWN = (("latency_ms", TIME.symbol), ("energy_uj", ENERGY.symbol))


def terminal_table(result: Result) -> str:
    """Return the summary as plain text, at most LINES lines of WIDTH columns."""
    facts = summary(result)
    doubts, notes = (
        finding_lines([each for each in result.findings if (each.severity == "note") is noted])
        for noted in (False, True)
    )
    lines = [
        *_heading(result.provenance, facts),
        *_prices(result),
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
        lines += ["", *stream_lines(facts["stream"])]
    return _text([*doubts, *([""] if doubts else []), *lines, *([""] if notes else []), *notes])


def short_table(
    provenance: Mapping[str, Any],
    facts: Mapping[str, Any],
    findings: Sequence[Finding] = (),
    predictions: str = "",
) -> str:
    """Return the headline numbers as plain text, of a run without prices or of one in parts.

    `facts`: `image_facts`, stalls, and energy by part; `predictions`: how many are right, in words.
    """
    doubts = finding_lines(findings)
    stalls = [(s["cause"], s["cycles_mean"], s["share"]) for s in facts["stalls"] if s["share"]]
    paid = [part for part in facts["energy_by_part"] if part["energy_uj"]]
    parts = [(short(each["part"]), each["energy_uj"], each["share"]) for each in paid]
    energy = f"{number(facts['energy_uj'])} µJ per image; EDP {number(facts['energy_delay_uj_ms'])}"
    lines = [
        *doubts,
        *([""] if doubts else []),
        *_heading(provenance, facts),
        *(entry("Energy", f"{energy} µJ ms") if parts else entry("Prices", "none: times alone")),
        "",
        *_latency(facts),
        *entry("Utilization", _utilization_line(facts)),
        *entry("DRAM traffic", f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB per image"),
        *entry("Active tokens", f"{facts['active_tokens']['share']:.1%}"),
        *(entry("Synaptic ops", _operations_line(facts)) if parts else []),
        *(entry("Predictions", predictions) if predictions else []),
        "",
        f"  {'PE array stalls, by cause':<26}{'cycles':>14}{'% lat.':>8}",
        *(f"  {row}" for row in _shares(stalls, 26, 14)),
        *(["", f"  {'energy by part':<26}{'µJ':>14}{'%':>8}"] if parts else []),
        *(f"  {row}" for row in _shares(parts, 26, 14)),
    ]
    return _text(lines)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip()[:WIDTH] for line in lines)


def _latency(facts: Mapping[str, Any]) -> list[str]:
    names, cycles, ms = ("mean", "p50", "p95", "p99"), facts["latency_cycles"], facts["latency_ms"]
    return [
        f"{'Per image':<14}" + "".join(f"{name:>14}" for name in names),
        f"{'Latency':<14}" + "".join(f"{number(cycles[name]):>14}" for name in names) + " cycles",
        f"{'':<14}" + "".join(f"{number(ms[name]):>14}" for name in names) + " ms",
    ]


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return findings as lines of a terminal: the first few, and how many more there are."""
    lines = [
        line
        for each in findings[:_FINDINGS]
        for line in entry(each.severity.capitalize(), one_line(str(each), WIDTH * 2), lines=3)
    ]
    if len(findings) > _FINDINGS:
        more = f"{len(findings) - _FINDINGS} more findings in the table findings (--out, --json)"
        lines += entry("", f"and {more}")
    return lines


def _heading(provenance: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    machine, trace = provenance["architecture"], provenance["trace"]
    dataset = one_line(str(trace["dataset"].get("name", "unnamed data")))
    parts = ", ".join(one_line(machine[slot]) for slot in ("pe_array", "token_skip", "dataflow"))
    technology = f"{machine['clock_mhz']:g} MHz, {machine['node_nm']:g} nm"
    run = f"{one_line(facts['network'])}, {dataset}, images: {facts['images']}"
    return [
        *entry("Machine", f"{one_line(facts['machine'])}: {parts}, {technology}"),
        *entry("Trace", f"{one_line(trace['file'])}: {run}"),
        *(entry("Order", one_line(trace["order"]), lines=2) if "order" in trace else []),
        *_mapping(provenance.get("mapping")),
        *entry("Weights", facts["origin"], lines=3),
    ]


def _prices(result: Result) -> list[str]:
    table, engine = (result.provenance[name] for name in ("energy_table", "engine"))
    prices = f"{one_line(table['name'])}, {table['node_nm']:g} nm, {table['voltage_v']:g} V"
    return entry("Prices", f"{prices}; engine {one_line(engine)}; {switches(table)}", lines=3)


def _mapping(chosen: object) -> list[str]:
    """What was chosen, in the words of the search; nothing under the fixed rules."""
    text = chosen.get("summary") if isinstance(chosen, dict) else None
    return entry("Mapping", one_line(text, WIDTH * 3), lines=3) if isinstance(text, str) else []


def _speed(facts: Mapping[str, Any]) -> list[str]:
    roof = facts["roofline"]
    intensity = roof["operational_intensity_accumulations_per_byte"]
    per_byte = "no DRAM traffic" if intensity is None else f"{number(intensity)} acc/B"
    held = ", ".join(f"{one_line(unit)} {share:.1%}" for unit, share in facts["occupancy"].items())
    return [
        *_latency(facts),
        *entry("", _means_line(facts)),
        *entry(
            "Throughput",
            f"{number(facts['throughput_images_per_s'])} images/s "
            "(1 / mean latency: one image after another, no overlap)",
        ),
        *entry("Utilization", _utilization_line(facts)),
        *entry("Occupancy", held, lines=2),
        *entry("Firing rate", _firing_line(facts["firing"])),
        *entry(
            "Roofline",
            f"{roof['bound_by']}-bound: {per_byte}, "
            f"{number(roof['achieved_accumulations_per_cycle'])} of "
            f"{number(roof['attainable_accumulations_per_cycle'])} attainable acc/cycle "
            f"({roof['achieved_share']:.1%})",
            lines=2,
        ),
        *entry("DRAM traffic", f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB per image"),
        *entry("Area, power", _area_line(facts["area"]), lines=3),
        *entry("Synaptic ops", _operations_line(facts)),
        *entry("Layers", _layers_line(facts["layers"]), lines=2),
    ]


def _means_line(facts: Mapping[str, Any]) -> str:
    """Latency and energy of an image with their intervals over images."""
    found = facts["mean_intervals"]
    means = (f"{with_interval(found[name])} {unit}" for name, unit in _SHOWN)
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
    speedup = facts.get("logical_speedup")  # of a result in parts it is not known
    more = "" if speedup is None else f"; {number(speedup)} useful accumulations an addition"
    return f"{facts['utilization']:.1%} of adders add what is needed{more}"


def _operations_line(facts: Mapping[str, Any]) -> str:
    """Synaptic operations, their rate and energy, and the power with DRAM."""
    sops = facts["synaptic_operations"]
    parts = [
        f"{number(sops['sops_mean'] / 1e6)} M an image",
        f"{number(sops['gsops_per_s'])} GSOP/s at {number(facts['power_mw'])} mW in all",
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
    return [*entry("Energy", energy, lines=2), *(f"  {one:<48}  {other}" for one, other in pairs)]


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
        + "".join(f"{'-' if each is None else narrow(each):>9}" for each in values)
        for name, values in rows
    ]


def _shares(rows: Iterable[tuple[str, float, float]], name: int, value: int) -> list[str]:
    return [
        f"{one_line(text)[: name - 1]:<{name}}{number(amount):>{value}}{100 * share:>8.1f}"
        for text, amount, share in rows
    ]


def _token_map(facts: Mapping[str, Any]) -> list[str]:
    grid: Sequence[Sequence[float]] = facts["by_timestep_and_block"]
    if not grid:  # a network of layers
        return []
    head = f"{number(facts['mean'])} of {number(facts['slots'])} ({facts['share']:.1%}) per image"
    lines = entry("Active tokens", head)
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
    for habit in field:
        counts = f"{number(habit['macs'] / 1e6)} M MAC, {number(habit['acs'] / 1e6)} M AC"
        lines.append(f"  {habit['convention']:<18} {number(habit['energy_uj'])} µJ  ({counts})")
    return lines
