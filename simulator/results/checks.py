"""What must hold between the tables of a result: cycles, energies and bounds agree.

Whole numbers agree exactly; floats are sums of rounded terms and agree to TOLERANCE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Bools, Floats, Ints, grouped
from simulator.energy.derived import (
    action_energy_pj,
    energy_delay_pj_ms,
    latency_ms,
    leakage_energy_pj,
    sums_pj,
    utilization,
)
from simulator.results.columns import Column, Table, concat, keys_of, numbers, rows_of, words
from simulator.results.stream import broken_stream

TOLERANCE = 1e-9
"""Relative; a sum of a million float64 terms, each rounded once, is far inside."""

_STATED = 10


def broken_sums(provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> list[str]:
    """Return every rule that the tables break, one line each, the first few of them."""
    problems = [
        *_cycles(provenance, tables),
        *_counts(tables),
        *_masks(tables),
        *_energies(tables),
        *_derived(provenance, tables),
        *_bounds(tables),
        *broken_stream(provenance, tables),
    ]
    if len(problems) > _STATED:
        problems[_STATED:] = [f"... and {len(problems) - _STATED} more"]
    return problems


def number_of_arrays(provenance: Mapping[str, Any]) -> int:
    """Return the PE arrays of all cores; results before there were engines have one a core."""
    machine = provenance["architecture"]
    return int(machine.get("arrays", machine.get("cores", 1)))


def _cycles(provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    """Bounds of the latency; each array is busy or stalls; stalls by layer are the stalls."""
    arrays, images = number_of_arrays(provenance), tables["images"]
    latency, floor, ceiling = (
        numbers(images, name) for name in ("latency_cycles", "floor_cycles", "ceiling_cycles")
    )
    busy = _sums(images, tables["layers"], "pe_busy_cycles")
    stalls = _sums(images, tables["stalls"], "stall_cycles")
    outside = (latency < floor) | (latency > ceiling)
    for row in _where(outside):
        bounds = f"floor_cycles {floor[row]} to ceiling_cycles {ceiling[row]}"
        yield f"images.latency_cycles: {_image(images, row)}: {latency[row]}: must be {bounds}"
    # Whole numbers of Python: arrays x latency may not fit into 64 bits.
    wrong = busy.astype(object) + stalls.astype(object) != arrays * latency.astype(object)
    for row in _where(wrong):
        times = f" x {arrays} arrays" if arrays > 1 else ""
        yield (
            f"stalls.stall_cycles: {_image(images, row)}: {stalls[row]} with "
            f"layers.pe_busy_cycles {busy[row]}: must sum to latency_cycles {latency[row]}{times}"
        )
    key = ("image", "cause")
    both, rows = _joined(key, tables["stalls"], tables["layer_stalls"])
    by_cause, by_layer = (
        _added(numbers(tables[name], "stall_cycles"), place, rows_of(both))
        for name, place in zip(("stalls", "layer_stalls"), rows, strict=True)
    )
    for row in _where(by_cause != by_layer):
        place = f"image {both['image'][row]}, {words(both, 'cause').word(row)}"
        yield f"layer_stalls.stall_cycles: {place}: {by_layer[row]}: must sum to {by_cause[row]}"


def _counts(tables: Mapping[str, Table]) -> Iterator[str]:
    """Totals of an image are the sums over its layers, blocks and timesteps."""
    images = tables["images"]
    rules = (
        ("useful_accumulations", "layers", "useful_accumulations"),
        ("additions", "layers", "additions"),
        ("dram_bytes", "layers", "dram_bytes"),
        ("active_tokens", "active_tokens", "active_tokens"),
        ("token_slots", "active_tokens", "tokens"),
    )
    for total, name, column in rules:
        sums, totals = _sums(images, tables[name], column), numbers(images, total)
        for row in _where(totals != sums):
            facts = f"images.{total}: {_image(images, row)}: {totals[row]}"
            yield f"{facts}: must be the sum {sums[row]} of {name}.{column}"
    for name, part, entire in (
        ("layers", "live_rows", "rows"),
        ("active_tokens", "active_tokens", "tokens"),
    ):
        table = tables[name]
        more = numbers(table, part) > numbers(table, entire)
        for image in np.unique(numbers(table, "image")[more]):
            yield f"{name}.{part}: image {image}: must be at most {entire}"


def _masks(tables: Mapping[str, Table]) -> Iterator[str]:
    """A mask holds as many tokens as are active, and room for all."""
    key = ("image", "timestep", "block")
    masks, active = tables["token_masks"], tables["active_tokens"]
    both, (rows, others) = _joined(key, masks, active)
    expected = {
        name: _added(numbers(active, name), others, rows_of(both))[rows].tolist()
        for name in ("active_tokens", "tokens")
    }
    names = [numbers(masks, name).tolist() for name in key]
    found = zip(*names, masks["active_hex"].tolist(), *expected.values(), strict=True)
    for *values, text, tokens_active, tokens in found:
        bits = bytes.fromhex(text)
        count = int.from_bytes(bits, "little").bit_count()
        named = ", ".join(f"{name} {value}" for name, value in zip(key, values, strict=True))
        place = f"token_masks.active_hex: {named}"
        if count != tokens_active:
            yield f"{place}: {count} tokens: must be the active_tokens, {tokens_active}"
        elif len(bits) != -(-tokens // 8):
            yield f"{place}: {len(bits)} bytes: must hold a bit for each of {tokens} tokens"


def _energies(tables: Mapping[str, Table]) -> Iterator[str]:
    """Energy = count x price; actions sum to layers and to the dynamic energy of the image."""
    actions, layers, images, prices = (
        tables[name] for name in ("actions", "layers", "images", "prices")
    )
    both, (rows, priced) = _joined(("part", "action"), actions, prices)
    each_pj = np.full(rows_of(both), math.nan)
    each_pj[priced] = prices["energy_pj"]
    energies = numbers(actions, "energy_pj")
    expected = action_energy_pj(numbers(actions, "count"), each_pj[rows])
    for row in _apart(energies, expected):
        layer, part, action = (
            words(actions, name).word(row) for name in ("layer", "part", "action")
        )
        place = f"actions.energy_pj: {_image(actions, row)}, {layer}, {part}.{action}"
        yield f"{place}: {energies[row]}: must be {expected[row]}"
    both, (rows, own) = _joined(("image", "layer"), layers, actions)
    by_layer = _added(energies, own, rows_of(both))[rows]
    for row in _apart(numbers(layers, "energy_pj"), by_layer):
        place = f"layers.energy_pj: {_image(layers, row)}, {words(layers, 'layer').word(row)}"
        yield f"{place}: {layers['energy_pj'][row]}: must be {by_layer[row]}"
    dynamic = _sums(images, actions, "energy_pj")
    for row in _apart(numbers(images, "dynamic_energy_pj"), dynamic):
        facts = f"{_image(images, row)}: {images['dynamic_energy_pj'][row]}"
        yield f"images.dynamic_energy_pj: {facts}: must be the actions' {dynamic[row]}"


def _derived(provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    """What follows from the clock, the power at rest and other columns of the same row."""
    machine, images = provenance["architecture"], tables["images"]
    power_uw = math.fsum(numbers(tables["leakage"], "power_uw"))
    cycles, times_ms = images["latency_cycles"], numbers(images, "latency_ms")
    together = numbers(images, "images_together")
    energy_pj = numbers(images, "dynamic_energy_pj") + numbers(images, "leakage_energy_pj")
    peak = machine["roofline"]["peak_accumulations_per_cycle"]
    expected = {
        "latency_ms": latency_ms(cycles, machine["clock_mhz"]),
        "utilization": utilization(
            numbers(images, "additions") * together,
            peak,
            numbers(images, "latency_cycles").astype(float),
        ),
        "leakage_energy_pj": leakage_energy_pj(power_uw, times_ms / together),
        "energy_pj": energy_pj,
        "energy_delay_pj_ms": energy_delay_pj_ms(energy_pj, times_ms),
    }
    for column, values in expected.items():
        for row in _apart(numbers(images, column), values):
            facts = f"images.{column}: {_image(images, row)}: {images[column][row]}"
            yield f"{facts}: must be {values[row]}"


def _bounds(tables: Mapping[str, Table]) -> Iterator[str]:
    """Energies by cause lie between their bounds and sum to those of the image."""
    images, energies = tables["images"], tables["energies"]
    if not rows_of(energies):
        return
    low, nominal, high = (
        numbers(energies, name) for name in ("energy_low_pj", "energy_pj", "energy_high_pj")
    )
    for row in _where((low > nominal) | (nominal > high)):
        part, action = (words(energies, name).word(row) for name in ("part", "action"))
        place = f"energies.energy_pj: {_image(energies, row)}, {part}, {action}"
        yield f"{place}: {nominal[row]}: must be {low[row]} to {high[row]}"
    for name in ("energy_low_pj", "energy_pj", "energy_high_pj"):
        sums = _sums(images, energies, name)
        for row in _apart(numbers(images, name), sums):
            facts = f"images.{name}: {_image(images, row)}: {images[name][row]}"
            yield f"{facts}: must be the energies' {sums[row]}"


def _where(rows: Bools) -> list[int]:
    places: list[int] = np.flatnonzero(rows).tolist()
    return places


def _image(table: Table, row: int) -> str:
    return f"image {table['image'][row]}"


def _joined(key: Sequence[str], *tables: Table) -> tuple[Table, list[Ints]]:
    """Return the different keys of all these tables, and the place there of each table's rows."""
    keyed: Table = concat([{name: table[name] for name in key} for table in tables])
    first, places = grouped(keys_of(keyed, key))
    ends = np.cumsum([rows_of(table) for table in tables])[:-1]
    named: dict[str, Column] = {name: column[first] for name, column in keyed.items()}
    return named, np.split(places, ends)


def _sums(images: Table, table: Table, column: str) -> npt.NDArray[Any]:
    """Return the sum of a column for each row of the table of images."""
    both, (rows, own) = _joined(("image",), images, table)
    sums: npt.NDArray[Any] = _added(numbers(table, column), own, rows_of(both))[rows]
    return sums


def _added(values: npt.NDArray[Any], place: Ints, places: int) -> npt.NDArray[Any]:
    """Return the sum of the values at each place; whole numbers are exact, however large."""
    if values.dtype.kind == "f":
        return sums_pj(values, place, places)
    large = len(values) * float(values.max(initial=0)) >= 2.0**63
    sums = np.zeros(places, object if large else np.int64)
    np.add.at(sums, place, values.astype(sums.dtype))
    return sums


def _apart(values: Floats, expected: Floats) -> list[int]:
    """Return the rows whose value is not the expected one, as `math.isclose` sees it."""
    larger = np.maximum(np.abs(values), np.abs(expected))
    with np.errstate(invalid="ignore"):
        close = (values == expected) | (np.abs(values - expected) <= TOLERANCE * larger)
    # Infinity is close to itself only.
    return _where(~close | (np.isinf(expected) & (values != expected)))
