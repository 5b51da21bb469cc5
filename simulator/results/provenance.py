"""What a result states of its machine and of its prices, from a run or a repricing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.architecture import Architecture
from simulator.config.wording import one_line
from simulator.energy.area import machine_area
from simulator.energy.machine import MachinePrices


def machine_provenance(
    architecture: Architecture, prices: MachinePrices, granularity: str
) -> dict[str, Any]:
    """Return the sections of the provenance on the machine and of its prices.

    `granularity`: of the trace's halting, on which the dataflow that ran may depend.
    """
    dram, core, cores = architecture.memories.dram, architecture.core, architecture.cores
    return {
        "architecture": {
            "name": architecture.name,
            "source": architecture.source,
            "content_hash": architecture.content_hash,
            "clock_mhz": architecture.clock_mhz,
            "node_nm": architecture.technology.node_nm,
            "voltage_v": prices.table.voltage_v,
            "pe_array": " + ".join(array.kind for array in core.arrays.values()),
            "token_skip": architecture.token_skip.kind,
            "dataflow": architecture.for_halting(granularity).dataflow.kind,
            "cores": len(cores),
            "arrays": len(cores) * len(core.arrays),
            "area": None if prices.time_only else machine_area(architecture, prices.table),
            "document": architecture.model_dump(mode="json", by_alias=True),
            "roofline": {
                "peak_accumulations_per_cycle": core.adders * len(cores),
                "dram_bytes_per_cycle": dram.bits_per_cycle(architecture.clock_mhz) / 8,
            },
        },
        "energy_table": {
            "name": prices.table.name,
            "summary": prices.table.summary,
            "node_nm": prices.table.node_nm,
            "voltage_v": prices.table.voltage_v,
            **prices.switches,
        },
    }


def origin(weights: Mapping[str, Any]) -> str:
    """Return how the weights of a trace came to be, in words, from its manifest's `weights`."""
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


_PROOFS = {
    "replay": "replay",
    "another_image": "another image",
    "flop_counter": "torch's FLOP counter",
    "causality": "in time",
    "not_causal": "layers that saw the future",
}


def stated(capture: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result repeats of how its trace was captured."""
    kept = ("proof", "never_fires", "share_of_macs_on_real_operands")
    return {key: capture[key] for key in kept if key in capture}


def proofs(capture: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a captured network's trace proves of itself, and warns of, by name."""
    proof = capture.get("proof")
    proof = proof if isinstance(proof, dict) else {}
    found = [(name, proof[key]) for key, name in _PROOFS.items() if key in proof]
    share = capture.get("share_of_macs_on_real_operands")
    if isinstance(share, int | float) and share:
        found.append(("MACs on real operands", f"{share:.1%}"))
    if capture.get("never_fires"):
        found.append(("never fires on these images", capture["never_fires"]))
    return [(name, one_line(_listed(value), 300)) for name, value in found]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def switches(table: Mapping[str, Any]) -> str:
    """Return what was priced beyond a table, as a result's `energy_table` names it."""
    terms = ", ".join(map(str, table.get("terms", []))) or "no terms beyond the table"
    cells, dram = table.get("sram_cells", "lstp_300k"), table.get("dram_power", "table")
    return one_line(f"{terms}; SRAM {cells}; DRAM {dram}", 200)
