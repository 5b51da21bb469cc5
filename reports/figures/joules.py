"""Layers and whole runs under the machine's roofs in joules: the roofline model of energy.

Choi, Bedard, Fowler and Vuduc (IPDPS 2013): work cannot take less energy than its operations and
its bytes cost, and than what is always on draws in the least time. All prices are the result's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREY,
    VERMILION,
    Plot,
    group_marks,
    line,
    log_axis,
    table,
)
from reports.figures.cycles import marker
from reports.texts import text
from simulator.energy.pricing import table_names
from simulator.errors import SimulatorError
from simulator.results.intervals import DRAM, machine_of, node_of
from simulator.results.moved import DRAM_BITS
from simulator.results.result import Result
from simulator.results.units import number

HOVER = "%{text}: %{x:,.3~r} acc/B, %{y:,.3~r} acc/nJ"
PJ_PER_NJ = 1e3
_STEPS = 61
_MOST_SAID = 4
"""Of more machines the note states the prices of the first."""
Floats = npt.NDArray[np.float64]


class EnergyRoofs(NamedTuple):
    """Hold the least energy of an addition, a DRAM byte and a cycle (pJ), and the peaks."""

    addition_pj: float
    byte_pj: float
    cycle_pj: float
    peak: float
    bandwidth: float

    def dynamic(self, intensity: Floats) -> Floats:
        """Return the additions per nJ that counted actions allow at additions per byte."""
        return np.asarray(PJ_PER_NJ / (self.addition_pj + self.byte_pj / intensity))

    def total(self, intensity: Floats) -> Floats:
        """Return the same with what is always on, over the least time that the roofs allow."""
        cycles = np.maximum(1 / self.peak, 1 / (intensity * self.bandwidth))
        least_pj = self.addition_pj + self.byte_pj / intensity + self.cycle_pj * cycles
        return np.asarray(PJ_PER_NJ / least_pj)

    @property
    def balance(self) -> float:
        """Return the additions per byte at which the byte costs as much as its additions."""
        return self.byte_pj / self.addition_pj


def energy_roofs(result: Result) -> EnergyRoofs | None:
    """Return the roofs at the result's own prices; None where it states no machine or price."""
    try:
        # Which actions add does not depend on the table; that of the result may be a user's own.
        name = table_names()[0]
        machine = machine_of(result, {"energy_table": name, **node_of(name)})
    except SimulatorError:
        return None
    rows = result.tables["prices"][["part", "action", "energy_pj"]].itertuples(index=False)
    prices = {(part, action): float(price) for part, action, price in rows}
    # Only arrays have actions that add.
    named = [(path, name) for path, part in machine.parts() for name in getattr(part, "adds", ())]
    adds = [prices.get(each) for each in named]
    bits = [prices.get((DRAM, action)) for action in DRAM_BITS]
    addition_pj = min((price for price in adds if price), default=0.0)
    bit_pj = min((price for price in bits if price), default=0.0)
    if not addition_pj or not bit_pj:
        return None
    stated = result.provenance["architecture"]
    power_uw = math.fsum(result.tables["leakage"]["power_uw"].tolist())
    roof = stated["roofline"]
    return EnergyRoofs(
        addition_pj,
        8 * bit_pj,
        power_uw / stated["clock_mhz"],  # 1 uW over 1 us is 1 pJ
        roof["peak_accumulations_per_cycle"],
        roof["dram_bytes_per_cycle"],
    )


class Efficiency(NamedTuple):
    """Hold a run under its roofs: additions per byte and per nJ of its layers and of it all."""

    name: str
    roofs: EnergyRoofs
    layers: pd.DataFrame
    intensity: float
    achieved: float


def efficiency(result: Result, name: str = "") -> Efficiency | None:
    """Return a run's additions per nJ; None without roofs, additions or DRAM traffic."""
    roofs, images = energy_roofs(result), result.tables["images"]
    layers = result.tables["layers"].groupby("layer", sort=False)
    frame = layers[["additions", "dram_bytes", "energy_pj"]].sum()
    frame = frame.set_axis(["added", "bytes", "energy_pj"], axis=1)
    frame = frame[(frame > 0).all(axis=1)]
    added, moved = int(images["additions"].sum()), int(images["dram_bytes"].sum())
    if roofs is None or not moved or added <= 0 or frame.empty:
        return None
    frame = frame.assign(intensity=frame["added"] / frame["bytes"])
    frame = frame.assign(achieved=PJ_PER_NJ * frame["added"] / frame["energy_pj"])
    frame = frame.assign(roof=roofs.dynamic(frame["intensity"].to_numpy(float)))
    achieved = PJ_PER_NJ * added / math.fsum(images["energy_pj"])
    return Efficiency(name, roofs, frame, added / moved, achieved)


def joules_plot(found: Sequence[Efficiency]) -> Plot:
    """Draw runs under their roofs, the layers as small marks."""
    figure = go.Figure()
    xs = [x for each in found for x in (*each.layers["intensity"], each.roofs.balance)]
    low, high = min(xs) / 3, max(xs) * 3
    drawn: dict[EnergyRoofs, str] = {}
    ys: list[float] = []
    for place, each in enumerate(found):
        if each.roofs not in drawn:
            drawn[each.roofs] = each.name
            dash = ("solid", "dash", "dot", "dashdot")[(len(drawn) - 1) % 4]
            ys += _add_roofs(figure, each, low, high, dash).tolist()
        ys += _add_points(figure, each, place)
    figure.update_xaxes(**log_axis([low, high]), title=text("joules", "across"))
    figure.update_yaxes(**log_axis(ys), title=text("joules", "up"))
    figure.update_layout(height=480)
    said = [*drawn.items()][:_MOST_SAID]
    note = " ".join([text("joules"), *(_words(roofs, name) for roofs, name in said)])
    return Plot(note, figure, _table(found))


def _words(roofs: EnergyRoofs, name: str) -> str:
    shown = {key: number(value) for key, value in roofs._asdict().items()}
    return text("joules", "roofs", of=f" of {name}" if name else "", **shown)


def _add_roofs(figure: go.Figure, each: Efficiency, low: float, high: float, dash: str) -> Floats:
    """Both roofs as lines; return their values."""
    xs = np.geomspace(low, high, _STEPS)
    named = f" of {each.name}" if each.name else ""
    lines = (each.roofs.dynamic(xs), each.roofs.total(xs))
    for name, colour, ys in zip(("roof", "all"), (GREY, BLUE), lines, strict=True):
        style = {"color": colour, "width": 2, "dash": dash}
        line(figure, xs.tolist(), ys.tolist(), text("joules", name) + named, style)
    return np.concatenate(lines)


def _add_points(figure: go.Figure, each: Efficiency, place: int) -> list[float]:
    """The layers and the whole run; return what they achieve."""
    layers, name = each.layers, each.name or "layers"
    entire = marker(place, 16) | {"line": {"width": 2, "color": VERMILION}}
    group_marks(figure, layers, name, marker(place, 7), HOVER)
    run = pd.DataFrame({"intensity": [each.intensity], "achieved": [each.achieved]}, ["whole run"])
    group_marks(figure, run, name, entire, HOVER, legend=False)
    return [*layers["achieved"].tolist(), each.achieved]


def _table(found: Sequence[Efficiency]) -> pd.DataFrame:
    heading = {
        "added": "additions",
        "bytes": "DRAM bytes",
        "energy_pj": "dynamic energy (pJ)",
        "intensity": "additions per byte",
        "achieved": "additions per nJ",
        "roof": "roof, additions per nJ",
    }
    tables = [table(each.layers, "layer", heading).assign(design=each.name) for each in found]
    rows = pd.concat(tables, ignore_index=True)
    if any(each.name for each in found):
        rows.insert(0, "design", rows.pop("design"))
        return rows
    return rows.drop(columns="design")
