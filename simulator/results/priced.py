"""Prices put on what was counted: the energies of a result, from a run or at other prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Floats, Ints, grouped
from simulator.energy.derived import (
    action_energy_pj,
    energy_delay_pj_ms,
    latency_ms,
    leakage_energy_pj,
    sums_pj,
)
from simulator.energy.machine import ALWAYS_ON, MachinePrices
from simulator.energy.spans import Span
from simulator.errors import ResultError
from simulator.results.columns import (
    Table,
    concat,
    keys_of,
    named_actions,
    numbers,
    rows_of,
    take,
    text,
)
from simulator.results.schema import SCHEMAS

BOUNDS = ("energy_low_pj", "energy_pj", "energy_high_pj")
"""Columns of an energy with its bounds."""


def priced(tables: Mapping[str, Table], prices: MachinePrices) -> dict[str, Table]:
    """Return the tables with prices, always-on power, and the energies and times that follow.

    Rows of one image must be together and in the order of the layers, as a run makes them.
    Raises ResultError for an action that the machine does not have.
    """
    actions, layers, images = (tables[name] for name in ("actions", "layers", "images"))
    kinds = kinds_of(actions, prices)
    each_pj = action_energy_pj(actions["count"], kinds.prices_pj(prices)[kinds.rows])
    layer_pj = sums_pj(each_pj, _rows_of_layers(layers, actions), len(layers["image"]))
    dynamic_pj = sums_pj(layer_pj, _rows_of_images(images, layers), len(images["image"]))
    times_ms = latency_ms(images["latency_cycles"], prices.clock_mhz)
    times_alone_ms = times_ms / images["images_together"]
    leakage_pj = leakage_energy_pj(prices.power_uw, times_alone_ms)
    energy_pj = dynamic_pj + leakage_pj
    by_cause = energies(images, actions, kinds, prices, times_alone_ms)
    rows, count = _rows_of_images(images, by_cause), len(images["image"])
    totals: Table = {
        "latency_ms": times_ms,
        "dynamic_energy_pj": dynamic_pj,
        "leakage_energy_pj": leakage_pj,
        "energy_pj": energy_pj,
        "energy_delay_pj_ms": energy_delay_pj_ms(energy_pj, times_ms),
        "energy_low_pj": sums_pj(by_cause["energy_low_pj"], rows, count),
        "energy_high_pj": sums_pj(by_cause["energy_high_pj"], rows, count),
    }
    return {
        **tables,
        "prices": _price_table(prices),
        "leakage": _power_table(prices),
        "energies": by_cause,
        "actions": _with(actions, "actions", {"energy_pj": each_pj}),
        "layers": _with(layers, "layers", {"energy_pj": layer_pj}),
        "images": _with(images, "images", totals),
        **_savings(tables, prices),
    }


def savings_table(saved: Mapping[tuple[str, str], int], prices: MachinePrices) -> Table:
    """Return what the images of a stream do less often than alone, with its energy."""
    named = sorted(saved)
    counts = np.array([saved[action] for action in named], np.int64)
    each_pj = np.array([prices.price_pj[action] for action in named], np.float64)
    return {
        "part": text([part for part, _ in named]),
        "action": text([action for _, action in named]),
        "count": counts,
        "energy_pj": action_energy_pj(counts, each_pj),
    }


def _savings(tables: Mapping[str, Table], prices: MachinePrices) -> dict[str, Table]:
    """Return the savings of a stream at other prices; nothing where there is no stream."""
    table = tables.get("stream_savings")
    if table is None or not rows_of(table):
        return {}
    counts = numbers(table, "count").astype(np.int64).tolist()
    saved = dict(zip(named_actions(table), counts, strict=True))
    return {"stream_savings": savings_table(saved, prices)}


def _with(table: Table, name: str, more: Table) -> Table:
    """Return a table with more columns, in the order of the schema."""
    both = {**table, **more}
    return {column: both[column] for column in SCHEMAS[name].columns}


class Kinds(NamedTuple):
    """Hold the different actions of a table, as (part, action), and the kind of each row."""

    names: tuple[tuple[str, str], ...]
    rows: Ints

    def prices_pj(self, prices: MachinePrices) -> Floats:
        """Return the nominal price of each kind."""
        return np.array([prices.price_pj[name] for name in self.names], np.float64)


def kinds_of(actions: Table, prices: MachinePrices) -> Kinds:
    """Return the kinds of a table of actions. Raises ResultError for one without a price."""
    first, places = grouped(keys_of(actions, ("part", "action")))
    named = tuple(named_actions(take(actions, first)))
    unknown = sorted(f"{part}.{action}" for part, action in set(named) - prices.price_pj.keys())
    if unknown:
        raise ResultError("repricing", unknown[0], "must be an action of the machine")
    return Kinds(named, places)


def energies(
    images: Table, actions: Table, kinds: Kinds, prices: MachinePrices, times_ms: Floats
) -> Table:
    """Return the energies of each image by part, action and cause, with their bounds."""
    count, number = len(images["image"]), len(kinds.names)
    counted = np.zeros((count, number), np.int64)
    place = _rows_of_images(images, actions), kinds.rows
    np.add.at(counted, place, numbers(actions, "count"))
    named: list[tuple[str, str, str]] = []
    spans: list[Span] = []
    amounts: list[Floats] = []
    # In the order of their names, whatever the order in which a table holds them.
    for kind in sorted(range(number), key=kinds.names.__getitem__):
        part, action = kinds.names[kind]
        for cause, span in prices.actions[f"{part}.{action}"].causes.items():
            named.append((part, action, cause))
            spans.append(span)
            amounts.append(counted[:, kind].astype(np.float64))
    for power in prices.always_on:
        named.append((power.part, ALWAYS_ON, power.cause))
        spans.append(power.power_uw)
        # 1 uW for 1 ms is 1 nJ.
        amounts.append(leakage_energy_pj(1.0, times_ms))
    return _spread(
        images["image"], named, np.array(spans).reshape(-1, 3), np.array(amounts).reshape(-1, count)
    )


def _spread(
    image: object, named: Sequence[tuple[str, str, str]], spans: Floats, amounts: Floats
) -> Table:
    """Return a row for each image and name with an energy; amounts (names, images)."""
    energies = action_energy_pj(amounts[:, :, None], spans[:, None, :])
    own, row = np.nonzero((energies[:, :, 2] > 0).T)
    table: Table = {"image": np.asarray(image)[own]}
    columns = zip(*named, strict=True) if named else ((), (), ())
    for name, values in zip(("part", "action", "cause"), columns, strict=True):
        table[name] = text(list(values))[row]
    for place, name in enumerate(BOUNDS):
        table[name] = energies[row, own, place]
    return table


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
    each = prices.actions.values()
    return {
        "part": text(parts),
        "action": text(actions),
        "meaning": text([prices.meanings[name] for name in prices.actions]),
        "energy_pj": np.array([price.energy_pj for price in each], np.float64),
        "source": text([price.source for price in each]),
        "low_pj": np.array([price.low_pj for price in each], np.float64),
        "high_pj": np.array([price.high_pj for price in each], np.float64),
    }


def _power_table(prices: MachinePrices) -> Table:
    powers = prices.always_on
    spans = np.array([power.power_uw for power in powers], np.float64).reshape(-1, 3)
    return {
        "part": text([power.part for power in powers]),
        "power_uw": spans[:, 1].copy(),
        "source": text([power.source for power in powers]),
        "cause": text([power.cause for power in powers]),
        "low_uw": spans[:, 0].copy(),
        "high_uw": spans[:, 2].copy(),
    }
