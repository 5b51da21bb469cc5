"""What must hold between the tables of a result: cycles, energies and bounds agree.

Whole numbers agree exactly; floats are sums of rounded terms and agree to TOLERANCE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

TOLERANCE = 1e-9
"""Relative; a sum of a million float64 terms, each rounded once, is far inside."""

_TOLD = 10


def broken_sums(provenance: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Every rule that the tables break, one line each, the first few of them."""
    problems = [
        *_cycles(provenance, tables),
        *_counts(tables),
        *_masks(tables),
        *_energies(tables),
        *_derived(provenance, tables),
    ]
    if len(problems) > _TOLD:
        problems[_TOLD:] = [f"... and {len(problems) - _TOLD} more"]
    return problems


def _cycles(provenance: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Bounds of the latency; each array is busy or stalls; stalls by layer are the stalls."""
    cores = provenance["architecture"].get("cores", 1)
    busy = _sums(tables["layers"], "pe_busy_cycles")
    stalls = _sums(tables["stalls"], "stall_cycles")
    for row in tables["images"].to_dict("records"):
        image, latency = row["image"], row["latency_cycles"]
        if not row["floor_cycles"] <= latency <= row["ceiling_cycles"]:
            bounds = f"floor_cycles {row['floor_cycles']} to ceiling_cycles {row['ceiling_cycles']}"
            yield f"images.latency_cycles: image {image}: {latency}: must be {bounds}"
        total = busy.get(image, 0) + stalls.get(image, 0)
        if total != cores * latency:
            times = f" x {cores} cores" if cores > 1 else ""
            yield (
                f"stalls.stall_cycles: image {image}: {stalls.get(image, 0)} with "
                f"layers.pe_busy_cycles {busy.get(image, 0)}: must sum to latency_cycles "
                f"{latency}{times}"
            )
    by_cause = _sums(tables["stalls"], "stall_cycles", "cause")
    by_layer = _sums(tables["layer_stalls"], "stall_cycles", "cause")
    for image, cause in sorted(by_cause.keys() | by_layer.keys()):
        told, whole = by_layer.get((image, cause), 0), by_cause.get((image, cause), 0)
        if told != whole:
            yield f"layer_stalls.stall_cycles: image {image}, {cause}: {told}: must sum to {whole}"


def _counts(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Totals of an image are the sums over its layers, blocks and timesteps."""
    rules = (
        ("useful_accumulations", "layers", "useful_accumulations"),
        ("dram_bytes", "layers", "dram_bytes"),
        ("active_tokens", "active_tokens", "active_tokens"),
        ("token_slots", "active_tokens", "tokens"),
    )
    images = tables["images"].to_dict("records")
    for total, table, column in rules:
        sums = _sums(tables[table], column)
        for row in images:
            if row[total] != sums.get(row["image"], 0):
                told = f"images.{total}: image {row['image']}: {row[total]}"
                yield f"{told}: must be the sum {sums.get(row['image'], 0)} of {table}.{column}"
    for table, part, whole in (
        ("layers", "live_rows", "rows"),
        ("active_tokens", "active_tokens", "tokens"),
    ):
        frame = tables[table]
        for image in frame.loc[frame[part] > frame[whole], "image"].unique():
            yield f"{table}.{part}: image {image}: must be at most {whole}"


def _masks(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """A mask holds as many tokens as are active, and room for all."""
    key = ["image", "timestep", "block"]
    rows = tables["token_masks"].merge(tables["active_tokens"], on=key, how="left")
    for row in rows.to_dict("records"):
        bits = bytes.fromhex(row["active_hex"])
        active = int.from_bytes(bits, "little").bit_count()
        place = "token_masks.active_hex: " + ", ".join(f"{name} {row[name]}" for name in key)
        if active != row["active_tokens"]:
            yield f"{place}: {active} tokens: must be the active_tokens, {row['active_tokens']}"
        elif len(bits) != -(-int(row["tokens"]) // 8):
            yield f"{place}: {len(bits)} bytes: must hold a bit for each of {row['tokens']} tokens"


def _energies(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Energy = count x price; actions sum to layers and to the dynamic energy of the image."""
    actions = tables["actions"]
    prices = {
        (row["part"], row["action"]): row["energy_pj"]
        for row in tables["prices"].to_dict("records")
    }
    for row in actions.to_dict("records"):
        expected = row["count"] * prices[row["part"], row["action"]]
        if not _close(row["energy_pj"], expected):
            place = f"image {row['image']}, {row['layer']}, {row['part']}.{row['action']}"
            yield f"actions.energy_pj: {place}: {row['energy_pj']}: must be {expected}"
    by_layer = _sums(actions, "energy_pj", "layer")
    for row in tables["layers"].to_dict("records"):
        expected = by_layer.get((row["image"], row["layer"]), 0.0)
        if not _close(row["energy_pj"], expected):
            place = f"image {row['image']}, {row['layer']}"
            yield f"layers.energy_pj: {place}: {row['energy_pj']}: must be {expected}"
    dynamic = _sums(actions, "energy_pj")
    for row in tables["images"].to_dict("records"):
        expected = dynamic.get(row["image"], 0.0)
        if not _close(row["dynamic_energy_pj"], expected):
            told = f"image {row['image']}: {row['dynamic_energy_pj']}"
            yield f"images.dynamic_energy_pj: {told}: must be the actions' {expected}"


def _derived(provenance: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What follows from the clock, the power at rest and other columns of the same row."""
    per_ms = provenance["architecture"]["clock_mhz"] * 1e3
    peak = provenance["architecture"]["roofline"]["peak_accumulations_per_cycle"]
    power_uw = math.fsum(tables["leakage"]["power_uw"].tolist())
    for row in tables["images"].to_dict("records"):
        energy_pj = row["dynamic_energy_pj"] + row["leakage_energy_pj"]
        expected = {
            "latency_ms": row["latency_cycles"] / per_ms,
            "utilization": row["useful_accumulations"] / (peak * row["latency_cycles"]),
            # 1 uW for 1 ms is 1 nJ.
            "leakage_energy_pj": power_uw * row["latency_ms"] * 1e3,
            "energy_pj": energy_pj,
            "energy_delay_pj_ms": energy_pj * row["latency_ms"],
        }
        for column, value in expected.items():
            if not _close(row[column], value):
                yield f"images.{column}: image {row['image']}: {row[column]}: must be {value}"


def _sums(table: pd.DataFrame, column: str, by: str = "") -> dict[Any, Any]:
    """Sums by image, or by (image, `by`); floats are rounded once."""
    keys = table["image"].tolist()
    if by:
        keys = list(zip(keys, table[by].tolist(), strict=True))
    groups: dict[Any, list[Any]] = {}
    for key, value in zip(keys, table[column].tolist(), strict=True):
        groups.setdefault(key, []).append(value)
    add = math.fsum if table[column].dtype == "float64" else sum
    return {key: add(values) for key, values in groups.items()}


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=0.0)
