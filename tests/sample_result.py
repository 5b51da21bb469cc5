"""A small result whose tables agree with each other, for tests of what reads results.

The numbers are made up by simple rules from the position of the image and the layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from simulator.results.result import SCHEMA, SCHEMAS, Result

CLOCK_MHZ = 500
PEAK = 1024
TOKENS = 64
GRID = (8, 8)
PICTURED = 2
# A grey picture of 2 x 2 pixels.
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNgcGBo"
    "+A8AAwUBwFNbFZ8AAAAASUVORK5CYII="
)
PRICES = {
    ("pe_array", "accumulate"): 0.05,
    ("spike_buffer", "read"): 1.5,
    ("weight_buffer", "read"): 4.25,
    ("membrane_buffer", "read"): 2.0,
    ("membrane_buffer", "write"): 2.25,
    ("vector_unit", "lif_update"): 0.1,
    ("mask_buffer", "read"): 0.5,
    ("token_skip", "scan"): 0.01,
    ("dram", "read"): 99.6,
}
LOW, HIGH = 0.5, 2.0
"""Every price's bounds over its nominal value."""
LEAKAGE_UW = {"weight_buffer": 350.5, "spike_buffer": 120.25}
CAUSE_OF_STAGE = {
    "sps": "dram_weights",
    "blocks": "weight_port",
    "halting": "halting",
    "head": "dram_activations",
}


class Layer(NamedTuple):
    """A layer of the made-up network."""

    name: str
    stage: str
    block: int
    kind: str


def layers(blocks: int) -> list[Layer]:
    """The layers of a network with so many blocks."""
    named = [Layer("sps.0.conv", "sps", -1, "conv2d"), Layer("sps.1.conv", "sps", -1, "conv2d")]
    for block in range(blocks):
        path = f"blocks.{block}"
        named += [
            Layer(f"{path}.qkv", "blocks", block, "linear"),
            Layer(f"{path}.scores", "blocks", block, "attention_scores"),
            Layer(f"{path}.context", "blocks", block, "attention_context"),
            Layer(f"{path}.mlp", "blocks", block, "linear"),
            Layer(f"{path}.halting", "halting", block, "halting"),
        ]
    return [*named, Layer("head", "head", -1, "head")]


def sample_result(
    images: Iterable[int] = range(3),
    blocks: int = 2,
    timesteps: int = 2,
    engine: str = "numba",
    origin: str = "calibrated",
) -> Result:
    """The result of a run over these images; `check()` holds."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
    for image in images:
        _add_image(rows, image, blocks, timesteps)
    for (part, action), energy_pj in PRICES.items():
        price = (f"{action} of {part}", energy_pj, "made up [28 nm]", *_bounds(energy_pj))
        rows["prices"].append((part, action, *price))
    for part, power_uw in LEAKAGE_UW.items():
        power = (power_uw, "made up [28 nm]", "sram_leakage", *_bounds(power_uw))
        rows["leakage"].append((part, *power))
    return Result(provenance(engine, origin, blocks, timesteps), frames(rows))


def frames(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, pd.DataFrame]:
    """Tables of these rows."""
    return {name: pd.DataFrame(rows[name], columns=[*SCHEMAS[name].columns]) for name in SCHEMAS}


def _add_image(
    rows: dict[str, list[tuple[Any, ...]]], image: int, blocks: int, timesteps: int
) -> None:
    active = {
        (timestep, block): max(TOKENS - 5 * block - 9 * timestep - 3 * (image % 4), 4)
        for timestep in range(timesteps)
        for block in range(blocks)
    }
    for (timestep, block), count in active.items():
        rows["active_tokens"].append((image, timestep, block, count, TOKENS))
        if image < PICTURED:
            packed = ((1 << count) - 1).to_bytes(TOKENS // 8, "little")
            rows["token_masks"].append((image, timestep, block, packed.hex()))
    if image < PICTURED:
        rows["pictures"].append((image, PICTURE))
    cycle, energies, useful, traffic, busy, vector = 0, [], 0, 0, 0, 0
    additions = 0
    for position, layer in enumerate(layers(blocks)):
        live = sum(n for (_, b), n in active.items() if b == layer.block) or TOKENS * timesteps
        pe = 0 if layer.kind == "halting" else 10 * live + 50 * position
        stall = 40 + 7 * position + image
        work, dram_bytes = 300 * pe, 64 * live
        counts = _counts(layer, live, work, dram_bytes)
        energy_pj = []
        for (part, action), count in counts.items():
            energy_pj.append(count * PRICES[part, action])
            rows["actions"].append((image, layer.name, part, action, count, energy_pj[-1]))
        start, cycle = cycle, cycle + pe + stall
        cause = CAUSE_OF_STAGE[layer.stage]
        rows["layer_stalls"].append((image, layer.name, cause, stall))
        told = (*layer, start, cycle, pe, live, dram_bytes // 16, work)
        # The head runs on the vector unit.
        added = 0 if layer.kind == "head" else work // 3
        fires = 0.1 + 0.01 * position + 0.001 * image
        rest = (TOKENS * timesteps, live, dram_bytes, math.fsum(energy_pj), added, fires)
        rows["layers"].append((image, *told, *rest))
        energies += energy_pj
        useful, traffic = useful + work, traffic + dram_bytes
        additions += added
        busy, vector = busy + pe, vector + live
    latency = cycle + 25
    # After its last tile the array waits for the vector unit.
    rows["layer_stalls"].append((image, "head", "vector_unit", latency - cycle))
    by_cause: dict[str, int] = {}
    for _, _, cause, stall in rows["layer_stalls"][-len(layers(blocks)) - 1 :]:
        by_cause[cause] = by_cause.get(cause, 0) + stall
    rows["stalls"] += [(image, cause, cycles) for cause, cycles in by_cause.items()]
    held = {"pe_array": busy, "vector_unit": vector, "dram": traffic // 16}
    rows["units"] += [(image, unit, 1, n, n / latency) for unit, n in held.items()]
    _add_totals(rows, image, (latency, busy, useful, additions, traffic), math.fsum(energies))
    for stage, acs in (("sps", 4e6), ("blocks", 9e6), ("head", 0.0)):
        macs = {"sps": 5e5, "blocks": 2e6, "head": 4e3}[stage]
        rows["field_energy"] += [
            (image, stage, "integers_as_acs", macs / 2, acs, 4.6 * macs / 2 + 0.9 * acs),
            (image, stage, "integers_as_macs", macs, acs, 4.6 * macs + 0.9 * acs),
        ]


def _counts(layer: Layer, live: int, work: int, dram_bytes: int) -> dict[tuple[str, str], int]:
    if layer.kind == "halting":
        return {("token_skip", "scan"): live, ("mask_buffer", "read"): live, ("dram", "read"): live}
    return {
        ("pe_array", "accumulate"): work,
        ("spike_buffer", "read"): live * 30,
        ("weight_buffer", "read"): work // 64,
        ("membrane_buffer", "read"): live * 12,
        ("membrane_buffer", "write"): live * 12,
        ("vector_unit", "lif_update"): live * 384,
        ("dram", "read"): dram_bytes // 8,
    }


def _add_totals(
    rows: dict[str, list[tuple[Any, ...]]],
    image: int,
    cycles: tuple[int, int, int, int, int],
    dynamic: float,
) -> None:
    latency, busy, useful, additions, traffic = cycles
    latency_ms = latency / (CLOCK_MHZ * 1e3)
    leakage = sum(LEAKAGE_UW.values()) * latency_ms * 1e3
    slots = [row for row in rows["active_tokens"] if row[0] == image]
    energy_pj = dynamic + leakage
    work = (useful, additions / (PEAK * latency), busy / latency, traffic)
    energies = (dynamic, leakage, energy_pj, energy_pj * latency_ms)
    tokens = (sum(row[3] for row in slots), sum(row[4] for row in slots))
    name = (image, f"test/{image:05d}", image % 10, image % 10)
    bounds = (busy // 2, 3 * latency)
    between = (_add_energies(rows, image, latency_ms), energy_pj * HIGH)
    rows["images"].append(
        (*name, latency, latency_ms, *work, *energies, *tokens, *bounds, 1, *between, additions)
    )


def _bounds(energy: float) -> tuple[float, float]:
    return energy * LOW, energy * HIGH


def _add_energies(rows: dict[str, list[tuple[Any, ...]]], image: int, latency_ms: float) -> float:
    """Add the energies of an image by part, action and cause; their sum at the low bound."""
    sums: dict[tuple[str, str, str], float] = {}
    for own, _, part, action, _, energy_pj in rows["actions"]:
        if own == image:
            name = (part, action, f"{action} price")
            sums[name] = sums.get(name, 0.0) + energy_pj
    for part, power_uw in LEAKAGE_UW.items():
        sums[part, "always on", "sram_leakage"] = power_uw * latency_ms * 1e3
    for name, energy_pj in sums.items():
        low, high = _bounds(energy_pj)
        rows["energies"].append((image, *name, low, energy_pj, high))
    return math.fsum(sums.values()) * LOW


def provenance(engine: str, origin: str, blocks: int, timesteps: int) -> dict[str, Any]:
    """Where the made-up result comes from."""
    return {
        "schema": SCHEMA,
        "stasim": "0.1.0",
        "engine": engine,
        "command": "python -m simulator.run --arch sample.yaml --trace sample.npz",
        "architecture": {
            "name": "sample_machine",
            "source": "made up",
            "content_hash": "sha256:" + "ab" * 32,
            "clock_mhz": CLOCK_MHZ,
            "node_nm": 28,
            "voltage_v": 0.9,
            "pe_array": "spike_skip",
            "token_skip": "compact",
            "dataflow": "timestep_serial",
            "roofline": {"peak_accumulations_per_cycle": PEAK, "dram_bytes_per_cycle": 25.6},
            "document": {
                "schema": "stasim-architecture/1",
                "clock_mhz": CLOCK_MHZ,
                "weight_buffer": {"width_bits": 128},
                "spike_buffer": {"width_bits": 64},
            },
        },
        "energy_table": {
            "name": "horowitz_28nm",
            "summary": "made up",
            "node_nm": 28,
            "voltage_v": 0.9,
        },
        "trace": {
            "file": "sample.npz",
            "content_hash": "sha256:" + "cd" * 32,
            "model": {
                "name": "sample_spikformer",
                "family": "spikformer",
                "timesteps": timesteps,
                "blocks": blocks,
                "tokens": TOKENS,
                "token_grid": list(GRID),
                "halting": {"granularity": "two_dimensional"},
            },
            "dataset": {"name": "cifar10", "split": "test", "source": "samples", "images": 20},
            "weights": {
                "origin": origin,
                "seed": 0,
                "accuracy": {"test_top1": 0.95, "test_images": 10} if origin == "trained" else None,
                "notes": "made up",
            },
        },
        "versions": {"python": "3.11.2", "numpy": "2.4.6", "numba": "0.66.0"},
    }
