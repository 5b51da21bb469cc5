"""What simulated images gave, as arrays with an image axis, and the tables that they make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.energy.derived import occupancy, utilization
from simulator.energy.field_layers import FieldColumns
from simulator.energy.rates import Rates
from simulator.lowering import Plan
from simulator.lowering.tables import CATEGORIES, INTERCONNECT, OTHER_ARRAYS, OTHER_IMAGES
from simulator.results.columns import Table, Text, text

BUSY_KINDS = ("pe_busy_cycles", "vector_busy_cycles", "dram_busy_cycles")


class SimulatedImages(NamedTuple):
    """Hold I images on a plan of L layers and U units: integers and rates, without prices.

    Attributes:
        image, label, prediction: int64 (I,).
        ids: the data set's names of the images.
        latency_cycles, floor_cycles, ceiling_cycles: int64 (I,).
        layer_busy_cycles: int64 (I, L, BUSY_KINDS).
        first_start_cycle, last_finish_cycle: int64 (I, L).
        useful_accumulations, additions, dram_bytes, rows, live_rows: int64 (I, L).
        counts: int64 (I, L, A), how often each layer did each of `actions`.
        actions: sorted (part, action).
        stall_cycles: int64 (I, L, CATEGORIES), idle cycles of all arrays by layer waited for.
        unit_busy_cycles: int64 (I, U).
        images_together: int64 (I,), images that ran together with each, itself included.
        servers: int64 (U,), how many operations each unit holds at once.
        active_tokens: int64 (I, timesteps, blocks).
        field: energy by the field's habit.
        rates: what of each image's tensors is not zero.
    """

    image: Ints
    ids: tuple[str, ...]
    label: Ints
    prediction: Ints
    latency_cycles: Ints
    floor_cycles: Ints
    ceiling_cycles: Ints
    layer_busy_cycles: Ints
    first_start_cycle: Ints
    last_finish_cycle: Ints
    useful_accumulations: Ints
    additions: Ints
    dram_bytes: Ints
    rows: Ints
    live_rows: Ints
    counts: Ints
    actions: tuple[tuple[str, str], ...]
    stall_cycles: Ints
    unit_busy_cycles: Ints
    images_together: Ints
    servers: Ints
    active_tokens: Ints
    field: FieldColumns
    rates: Rates


def image_tables(images: SimulatedImages, plan: Plan) -> dict[str, Table]:
    """Return the tables that belong to images, without the energies that prices give."""
    return {
        "images": _images(images, plan),
        "layers": _layers(images, plan),
        "units": _units(images, plan),
        "stalls": _stalls(images, plan),
        "layer_stalls": _layer_stalls(images, plan),
        "actions": _actions(images, plan),
        "active_tokens": _active_tokens(images, plan),
        "field_energy": _field_energy(images),
        "firing": _firing(images, plan),
    }


def _images(images: SimulatedImages, plan: Plan) -> Table:
    cores, latency = plan.machine.cores, images.latency_cycles
    additions = images.additions.sum(axis=1)
    adders = plan.described.core.adders * cores
    arrays = list(plan.graph.with_role("pe_array"))
    held = images.unit_busy_cycles[:, arrays].sum(axis=1)
    timesteps, blocks = images.active_tokens.shape[1:]
    return {
        "image": images.image,
        "image_id": text(images.ids),
        "label": images.label,
        "prediction": images.prediction,
        "latency_cycles": latency,
        "useful_accumulations": images.useful_accumulations.sum(axis=1),
        "utilization": utilization(additions * images.images_together, adders, latency),
        "pe_occupancy": occupancy(held, len(arrays), latency),
        "dram_bytes": images.dram_bytes.sum(axis=1),
        "active_tokens": images.active_tokens.sum(axis=(1, 2)),
        "token_slots": np.full(len(latency), timesteps * blocks * plan.network.tokens),
        "floor_cycles": images.floor_cycles,
        "ceiling_cycles": images.ceiling_cycles,
        "images_together": images.images_together,
        "additions": additions,
    }


def _layers(images: SimulatedImages, plan: Plan) -> Table:
    layers = [each.layer for each in plan.layers]
    image, layer = _places(images.rows.shape)
    of_block = np.array([-1 if each.block is None else each.block for each in layers])
    busy = {
        name: images.layer_busy_cycles[:, :, kind].reshape(-1)
        for kind, name in enumerate(BUSY_KINDS)
    }
    return {
        "image": images.image[image],
        "layer": _layer_names(plan)[layer],
        "stage": text([each.stage for each in layers])[layer],
        "block": of_block[layer],
        "kind": text([each.kind for each in layers])[layer],
        "first_start_cycle": images.first_start_cycle.reshape(-1),
        "last_finish_cycle": images.last_finish_cycle.reshape(-1),
        **busy,
        "useful_accumulations": images.useful_accumulations.reshape(-1),
        "rows": images.rows.reshape(-1),
        "live_rows": images.live_rows.reshape(-1),
        "dram_bytes": images.dram_bytes.reshape(-1),
        "additions": images.additions.reshape(-1),
        "input_rate": images.field.input_rate.reshape(-1),
    }


def _units(images: SimulatedImages, plan: Plan) -> Table:
    image, unit = _places(images.unit_busy_cycles.shape)
    busy, servers = images.unit_busy_cycles.reshape(-1), images.servers[unit]
    return {
        "image": images.image[image],
        "unit": text(plan.unit_names)[unit],
        "servers": servers,
        "busy_cycles": busy,
        "occupancy": occupancy(busy, servers, images.latency_cycles[image]),
    }


def _stalls(images: SimulatedImages, plan: Plan) -> Table:
    # Images that run alone never wait for others, and without links nothing waits for one.
    possible = np.ones(len(CATEGORIES), np.bool_)
    possible[OTHER_IMAGES] = (images.images_together > 1).any()
    possible[INTERCONNECT] = plan.graph.interconnect is not None
    possible[OTHER_ARRAYS] = len(plan.architecture.core.arrays) > 1
    causes = np.flatnonzero(possible)
    cycles = images.stall_cycles.sum(axis=1)[:, causes]
    image, cause = _places(cycles.shape)
    return {
        "image": images.image[image],
        "cause": text(CATEGORIES)[causes[cause]],
        "stall_cycles": cycles.reshape(-1),
    }


def _layer_stalls(images: SimulatedImages, plan: Plan) -> Table:
    image, layer, cause = found = np.nonzero(images.stall_cycles)
    return {
        "image": images.image[image],
        "layer": _layer_names(plan)[layer],
        "cause": text(CATEGORIES)[cause],
        "stall_cycles": images.stall_cycles[found],
    }


def _actions(images: SimulatedImages, plan: Plan) -> Table:
    image, layer, action = found = np.nonzero(images.counts)
    parts, names = zip(*images.actions, strict=True)
    return {
        "image": images.image[image],
        "layer": _layer_names(plan)[layer],
        "part": text(parts)[action],
        "action": text(names)[action],
        "count": images.counts[found],
    }


def _active_tokens(images: SimulatedImages, plan: Plan) -> Table:
    image, timestep, block = _places(images.active_tokens.shape)
    return {
        "image": images.image[image],
        "timestep": timestep,
        "block": block,
        "active_tokens": images.active_tokens.reshape(-1),
        "tokens": np.full(len(image), plan.network.tokens),
    }


def _field_energy(images: SimulatedImages) -> Table:
    field = images.field
    image, convention, stage = _places(field.macs.shape)
    return {
        "image": images.image[image],
        "stage": text(field.stages)[stage],
        "convention": text(field.conventions)[convention],
        "macs": field.macs.reshape(-1),
        "acs": field.acs.reshape(-1),
        "energy_pj": field.energy_pj.reshape(-1),
    }


def _firing(images: SimulatedImages, plan: Plan) -> Table:
    makers = {
        name: each.layer.name
        for each in plan.layers
        for name in (each.layer.output, *(op.output for op in each.layer.vector_ops))
    }
    shown = [
        spec
        for name, spec in plan.network.tensors.items()
        if spec.kind == "spikes" or name not in makers
    ]
    counts = [(images.rates.live(each.name), images.rates.nonzero(each.name)) for each in shown]
    image, tensor = _places((len(images.image), len(shown)))
    return {
        "image": images.image[image],
        "tensor": text([each.name for each in shown])[tensor],
        "layer": text([makers.get(each.name, "") for each in shown])[tensor],
        "kind": text([each.kind for each in shown])[tensor],
        "live": np.stack([live for live, _ in counts], axis=1).reshape(-1),
        "nonzero": np.stack([nonzero for _, nonzero in counts], axis=1).reshape(-1),
    }


def _layer_names(plan: Plan) -> Text:
    return text([each.layer.name for each in plan.layers])


def _places(shape: tuple[int, ...]) -> Ints:
    """Return the place along each axis of every cell, the last axis fastest."""
    return np.indices(shape).reshape(len(shape), -1)
