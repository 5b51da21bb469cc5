"""Prices put on what was counted: the energies of a result, from a run or at other prices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.energy.derived import (
    action_energy_pj,
    energy_delay_pj_ms,
    latency_ms,
    leakage_energy_pj,
    sums_pj,
)
from simulator.energy.machine import MachinePrices
from simulator.errors import ResultError
from simulator.results.columns import Floats, Ints, Table, concat, keys_of, rows_of, text
from simulator.results.schema import SCHEMAS


def priced(tables: Mapping[str, Table], prices: MachinePrices) -> dict[str, Table]:
    """Return the tables with prices, leakage, and the energies and times that follow.

    Rows of one image must be together and in the order of the layers, as a run makes them.
    Raises ResultError for an action that the machine does not have.
    """
    actions, layers, images = (tables[name] for name in ("actions", "layers", "images"))
    each_pj = action_energy_pj(actions["count"], _price_of_rows(actions, prices))
    layer_pj = sums_pj(each_pj, _rows_of_layers(layers, actions), len(layers["image"]))
    dynamic_pj = sums_pj(layer_pj, _rows_of_images(images, layers), len(images["image"]))
    times_ms = latency_ms(images["latency_cycles"], prices.clock_mhz)
    together = images["images_together"]
    leakage_pj = leakage_energy_pj(prices.power_uw, times_ms / together)
    energy_pj = dynamic_pj + leakage_pj
    totals: Table = {
        "latency_ms": times_ms,
        "dynamic_energy_pj": dynamic_pj,
        "leakage_energy_pj": leakage_pj,
        "energy_pj": energy_pj,
        "energy_delay_pj_ms": energy_delay_pj_ms(energy_pj, times_ms),
    }
    return {
        **tables,
        "prices": _price_table(prices),
        "leakage": _leakage_table(prices),
        "actions": _with(actions, "actions", {"energy_pj": each_pj}),
        "layers": _with(layers, "layers", {"energy_pj": layer_pj}),
        "images": _with(images, "images", totals),
    }


def _with(table: Table, name: str, more: Table) -> Table:
    """Return a table with more columns, in the order of the schema."""
    both = {**table, **more}
    return {column: both[column] for column in SCHEMAS[name].columns}


def _price_of_rows(actions: Table, prices: MachinePrices) -> Floats:
    """Return the price of each row's action."""
    keys = keys_of(actions, ("part", "action"))
    _, first, places = np.unique(keys, return_index=True, return_inverse=True)
    pairs = zip(actions["part"][first].tolist(), actions["action"][first].tolist(), strict=True)
    named = [(str(part), str(action)) for part, action in pairs]
    unknown = sorted(f"{part}.{action}" for part, action in set(named) - prices.price_pj.keys())
    if unknown:
        raise ResultError(f"repricing: {unknown[0]}: must be an action of the machine")
    each: Floats = np.array([prices.price_pj[pair] for pair in named], np.float64)[places]
    return each


def _rows_of_images(images: Table, table: Table) -> Ints:
    """Return the row in the table of images that each row belongs to."""
    wanted, order = images["image"], np.argsort(images["image"])  # type: ignore[arg-type]
    place = np.searchsorted(wanted, table["image"], sorter=order)  # type: ignore[arg-type]
    rows: Ints = order[place]
    return rows


def _rows_of_layers(layers: Table, actions: Table) -> Ints:
    """Return the row in the table of layers that each row of actions belongs to."""
    names = ("image", "layer")
    keys = keys_of(
        concat([{name: table[name] for name in names} for table in (layers, actions)]), names
    )
    own, wanted = np.split(keys, [rows_of(layers)])
    order = np.argsort(own)
    rows: Ints = order[np.searchsorted(own, wanted, sorter=order)]
    return rows


def _price_table(prices: MachinePrices) -> Table:
    parts, _, actions = zip(*(name.rpartition(".") for name in prices.actions), strict=True)
    return {
        "part": text(parts),
        "action": text(actions),
        "meaning": text([prices.meanings[name] for name in prices.actions]),
        "energy_pj": np.array([price.energy_pj for price in prices.actions.values()], np.float64),
        "source": text([price.source for price in prices.actions.values()]),
    }


def _leakage_table(prices: MachinePrices) -> Table:
    return {
        "part": text(list(prices.leakage)),
        "power_uw": np.array([leak.power_uw for leak in prices.leakage.values()], np.float64),
        "source": text([leak.source for leak in prices.leakage.values()]),
    }
