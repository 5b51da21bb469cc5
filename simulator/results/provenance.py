"""What a result states of its machine and of its prices, from a run or a repricing."""

from __future__ import annotations

from typing import Any

from simulator.architecture import Architecture
from simulator.energy.area import machine_area
from simulator.energy.machine import MachinePrices


def machine_provenance(
    architecture: Architecture, prices: MachinePrices, granularity: str
) -> dict[str, Any]:
    """The sections of the provenance on the machine and of its prices.

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
