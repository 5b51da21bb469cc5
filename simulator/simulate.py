"""A trace on a machine: lower, replay, attribute and price, image by image."""

from __future__ import annotations

import base64
import importlib.metadata
import platform
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import simulator
from simulator.architecture import Architecture
from simulator.energy.field_convention import CONVENTIONS, trace_field_energy
from simulator.energy.field_layers import field_layers
from simulator.energy.machine import MachinePrices, sum_by_layer
from simulator.engine.attribution import stalls
from simulator.engine.reference import simulate as simpy_engine
from simulator.engine.replay import replay as numba_engine
from simulator.lowering import Lowered, lower, make_plan
from simulator.lowering.tables import CATEGORIES, DRAM, OTHER_CORES, PE_ARRAY, VECTOR_UNIT, units_of
from simulator.operations import read_network
from simulator.program import Program, Timeline
from simulator.results.bounds import check_latency, latency_bounds
from simulator.results.picture import png, thumbnail
from simulator.results.provenance import Rows, add_price_rows, machine_provenance
from simulator.results.result import Result
from simulator.results.schema import SCHEMA, SCHEMAS
from simulator.timeline import Recording, record
from simulator.trace import Image, Trace, pack_bits

ENGINES: dict[str, Callable[[Program], Timeline]] = {
    "numba": numba_engine,
    "simpy": simpy_engine,
}


class Simulation:
    """A trace opened on a machine; `run` turns images into a Result.

    `pictured`: images of which the result keeps the picture and the masks, token by token.

    Raises LoweringError if the trace cannot be executed there, PricingError if an action of the
    machine has no price in its energy table: both before anything is simulated.
    """

    def __init__(
        self,
        trace: Trace,
        architecture: Architecture,
        *,
        engine: str = "numba",
        command: str = "",
        pictured: Collection[int] = (),
    ) -> None:
        self.trace = trace
        self.architecture = architecture
        self.engine = engine
        self.command = command
        self.pictured = pictured
        self.network = read_network(trace)
        self.plan = make_plan(self.network, architecture)
        self.prices = MachinePrices(architecture)
        self.cores = len(architecture.cores)
        self.peak = architecture.core.pe_array.peak_accumulations_per_cycle * self.cores

    def run(self, images: Iterable[int]) -> Result:
        """Simulate some images of the trace, by index; each runs alone on an idle machine."""
        rows: dict[str, Rows] = {
            name: {column: [] for column in schema.columns} for name, schema in SCHEMAS.items()
        }
        add_price_rows(self.prices, rows)
        for index in images:
            self.run_image(self.trace.read(index), rows)
        tables = {name: pd.DataFrame(columns) for name, columns in rows.items()}
        return Result(self.provenance(), tables)

    def run_image(self, image: Image, rows: dict[str, Rows]) -> None:
        """Simulate one image and append its rows to the tables."""
        lowered, timeline = self.replay(image)
        latency = timeline.makespan_cycles
        energies = self._actions(image.index, lowered, rows)
        self._layers(image.index, lowered, timeline, energies, rows)
        self._stalls(image.index, lowered, timeline, rows)
        busy = self._units(image.index, lowered, latency, rows)
        self._active_tokens(image, rows)
        if image.index in self.pictured:
            self._picture(image, rows)
        self._field_energy(image, rows)
        self._image(image, lowered, latency, busy, sum(energies), rows)

    def replay(self, image: Image) -> tuple[Lowered, Timeline]:
        """An image's program and when each of its operations runs."""
        lowered = lower(self.plan, image)
        return lowered, ENGINES[self.engine](lowered.program)

    def record(self, index: int) -> Recording:
        """An image of the trace as a timeline."""
        image = self.trace.read(index)
        lowered, timeline = self.replay(image)
        name = f"{self.architecture.name}, image {index} ({self._image_id(index)})"
        return record(self.plan, image, lowered, timeline, name)

    def _actions(self, image: int, lowered: Lowered, rows: dict[str, Rows]) -> list[float]:
        """Counts times prices; returns the energy of each layer in pJ."""
        priced = self.prices.priced(lowered.counts)
        names = [plan.layer.name for plan in self.plan.layers]
        columns: Rows = {
            "image": [image] * len(priced),
            "layer": [names[layer] for layer, *_ in priced],
            "part": [part for _, part, *_ in priced],
            "action": [action for *_, action, _, _ in priced],
            "count": [count for *_, count, _ in priced],
            "energy_pj": [energy_pj for *_, energy_pj in priced],
        }
        for name, values in columns.items():
            rows["actions"][name].extend(values)
        return sum_by_layer(priced, len(names))

    def _layers(
        self,
        image: int,
        lowered: Lowered,
        timeline: Timeline,
        energies: list[float],
        rows: dict[str, Rows],
    ) -> None:
        program, count = lowered.program, len(self.plan.layers)
        kinds = (units_of(PE_ARRAY, self.cores), units_of(VECTOR_UNIT, self.cores), (DRAM,))
        # The last place is for joins, whose unit is -1, and for the other units.
        kind_of = np.full(len(program.unit_servers) + 1, len(kinds))
        for kind, units in enumerate(kinds):
            kind_of[list(units)] = kind
        width = len(kinds) + 1
        pe_busy, vector_busy, dram_busy, _ = (
            np.bincount(
                lowered.op_layer * width + kind_of[program.unit],
                program.busy_cycles,
                minlength=count * width,
            )
            .astype(np.int64)
            .reshape(count, width)
            .T.tolist()
        )
        first = np.full(count, np.iinfo(np.int64).max)
        last = np.zeros(count, np.int64)
        real = program.unit >= 0
        np.minimum.at(first, lowered.op_layer[real], timeline.start[real])
        np.maximum.at(last, lowered.op_layer[real], timeline.finish[real])
        layers = [plan.layer for plan in self.plan.layers]
        columns: Rows = {
            "image": [image] * count,
            "layer": [layer.name for layer in layers],
            "stage": [layer.stage for layer in layers],
            "block": [-1 if layer.block is None else layer.block for layer in layers],
            "kind": [layer.kind for layer in layers],
            "first_start_cycle": np.minimum(first, last).tolist(),
            "last_finish_cycle": last.tolist(),
            "pe_busy_cycles": pe_busy,
            "vector_busy_cycles": vector_busy,
            "dram_busy_cycles": dram_busy,
            "useful_accumulations": lowered.useful_accumulations.tolist(),
            "rows": lowered.rows.tolist(),
            "live_rows": lowered.live_rows.tolist(),
            "dram_bytes": (lowered.dram_bits // 8).tolist(),
            "energy_pj": energies,
        }
        for name, values in columns.items():
            rows["layers"][name].extend(values)

    def _stalls(
        self, image: int, lowered: Lowered, timeline: Timeline, rows: dict[str, Rows]
    ) -> None:
        """Idle cycles of the arrays of all cores by the layer waited for and the cause."""
        causes, layers = len(CATEGORIES), len(self.plan.layers)
        arrays = units_of(PE_ARRAY, self.cores)
        by_both = []
        for unit in arrays:
            why = lowered.op_category
            if len(arrays) > 1:
                others = [other for other in arrays if other != unit]
                why = np.where(np.isin(lowered.program.unit, others), OTHER_CORES, why)
            category = (lowered.op_layer * causes + why).astype(np.int32)
            found = stalls(lowered.program, timeline, category, unit, layers * causes)
            by_both.append(found[:-1])
        matrix = np.sum(by_both, axis=0).reshape(layers, causes)
        for cause, name in enumerate(CATEGORIES):
            table = rows["stalls"]
            table["image"].append(image)
            table["cause"].append(name)
            table["stall_cycles"].append(int(matrix[:, cause].sum()))
        for layer, cause in np.argwhere(matrix).tolist():
            table = rows["layer_stalls"]
            table["image"].append(image)
            table["layer"].append(self.plan.layers[layer].layer.name)
            table["cause"].append(CATEGORIES[cause])
            table["stall_cycles"].append(int(matrix[layer, cause]))

    def _units(
        self, image: int, lowered: Lowered, latency: int, rows: dict[str, Rows]
    ) -> npt.NDArray[np.int64]:
        program = lowered.program
        real = program.unit >= 0
        busy = np.bincount(
            program.unit[real], program.busy_cycles[real], minlength=len(program.unit_servers)
        ).astype(np.int64)
        for unit, name in enumerate(lowered.unit_names):
            servers = int(program.unit_servers[unit])
            table = rows["units"]
            table["image"].append(image)
            table["unit"].append(name)
            table["servers"].append(servers)
            table["busy_cycles"].append(int(busy[unit]))
            table["occupancy"].append(float(busy[unit] / (servers * latency)))
        return busy

    def _active_tokens(self, image: Image, rows: dict[str, Rows]) -> None:
        table, blocks = rows["active_tokens"], range(self.network.blocks)
        active = [image.active[str(block)].sum(axis=1).tolist() for block in blocks]
        for step in range(self.network.timesteps):
            for block in blocks:
                table["image"].append(image.index)
                table["timestep"].append(step)
                table["block"].append(block)
                table["active_tokens"].append(active[block][step])
                table["tokens"].append(self.network.tokens)

    def _picture(self, image: Image, rows: dict[str, Rows]) -> None:
        """What the network saw, and which of its tokens were computed where."""
        table = rows["token_masks"]
        for step in range(self.network.timesteps):
            for block in range(self.network.blocks):
                table["image"].append(image.index)
                table["timestep"].append(step)
                table["block"].append(block)
                packed = pack_bits(image.active[str(block)][step])
                table["active_hex"].append(packed.tobytes().hex())
        pixels = thumbnail(self.network, image)
        if pixels is not None:
            rows["pictures"]["image"].append(image.index)
            rows["pictures"]["png_base64"].append(base64.b64encode(png(pixels)).decode("ascii"))

    def _field_energy(self, image: Image, rows: dict[str, Rows]) -> None:
        layers = field_layers(self.network, image)
        stages = sorted({layer.stage for layer in layers})
        table = rows["field_energy"]
        for convention in CONVENTIONS:
            energy = trace_field_energy(layers, convention)
            for stage in stages:
                own = [layer for layer in energy.layers if layer.stage == stage]
                table["image"].append(image.index)
                table["stage"].append(stage)
                table["convention"].append(convention)
                table["macs"].append(float(sum(layer.mac_count for layer in own)))
                table["acs"].append(float(sum(layer.ac_count for layer in own)))
                table["energy_pj"].append(energy.stage_energy_pj(stage))

    def _image(
        self,
        image: Image,
        lowered: Lowered,
        latency: int,
        busy: npt.NDArray[np.int64],
        dynamic_pj: float,
        rows: dict[str, Rows],
    ) -> None:
        useful = int(lowered.useful_accumulations.sum())
        bounds = latency_bounds(lowered.program)
        check_latency(latency, bounds, f"{self.trace.path}: image {image.index}")
        latency_ms = latency / (self.architecture.clock_mhz * 1e3)
        leakage_pj = self.prices.leakage_pj(latency)
        active = sum(int(mask.sum()) for mask in image.active.values())
        values = {
            "image": image.index,
            "image_id": self._image_id(image.index),
            "label": image.label,
            "prediction": image.prediction,
            "latency_cycles": latency,
            "latency_ms": latency_ms,
            "useful_accumulations": useful,
            "utilization": useful / (self.peak * latency),
            "pe_occupancy": float(
                busy[list(units_of(PE_ARRAY, self.cores))].sum() / (self.cores * latency)
            ),
            "dram_bytes": int((lowered.dram_bits // 8).sum()),
            "dynamic_energy_pj": dynamic_pj,
            "leakage_energy_pj": leakage_pj,
            "energy_pj": dynamic_pj + leakage_pj,
            "energy_delay_pj_ms": (dynamic_pj + leakage_pj) * latency_ms,
            "active_tokens": active,
            "token_slots": self.network.timesteps * self.network.blocks * self.network.tokens,
            "floor_cycles": bounds.floor_cycles,
            "ceiling_cycles": bounds.ceiling_cycles,
        }
        for name, value in values.items():
            rows["images"][name].append(value)

    def _image_id(self, index: int) -> str:
        """The data set's name of an image, or its number."""
        ids = self.trace.manifest["dataset"].get("image_ids", [])
        return str(ids[index]) if index < len(ids) else str(index)

    def provenance(self) -> dict[str, Any]:
        """What was run on what, and by what."""
        manifest = self.trace.manifest
        return {
            "schema": SCHEMA,
            "stasim": simulator.__version__,
            "engine": self.engine,
            "command": self.command,
            **machine_provenance(self.architecture, self.prices, self.network.granularity),
            "trace": {
                "file": self.trace.path.name,
                "content_hash": self.trace.content_hash,
                "model": manifest["model"],
                "dataset": manifest["dataset"],
                "weights": manifest["weights"],
            },
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in ("numpy", "numba", "simpy")},
        }
