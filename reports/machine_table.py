"""The machines side by side: what a reader asks first of each, and every field that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures.base import Card, Plot, Plots, Run, words
from reports.texts import text
from simulator.errors import SimulatorError
from simulator.results.intervals import machine_of
from simulator.results.result import Result
from simulator.results.units import AREA, CAPACITY, POWER, UNITS

COMPARING = "Comparing designs"
SAME_IN_ALL = ("schema", "name", "source", "published")
"""Fields of a machine that describe the file, not the machine."""


def machine_cards(runs: Sequence[Run]) -> list[Card]:
    """Return the table of the machines, and the fields in which they differ."""
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.design, run)
    mappings = [run.result.provenance["architecture"]["document"] for run in firsts.values()]
    chosen = _differing_keys([document.get("dataflow") or {} for document in mappings])
    widths = [_widths(document) for document in mappings]
    apart = _differing_keys(widths)
    sheet = {name: _row(run, chosen, apart) for name, run in firsts.items()}
    rows: list[list[Any]] = []
    alike = [key for key in widths[0] if key not in apart] if len(firsts) > 1 else []
    same = [f"bits of {_listed(widths[0], alike)}"] if alike else []
    for field in next(iter(sheet.values())):
        values = [row[field] for row in sheet.values()]
        if len(values) > 1 and len(set(map(str, values))) == 1:
            same += [f"{field} {_plain(values[0])}"] if values[0] not in (None, "") else []
        else:
            rows.append([field, *values])
    note = text("machines") + (f" {text('machines', 'same')} {'; '.join(same)}." if same else "")
    table = pd.DataFrame(rows, columns=["field", *firsts], dtype=object)
    cards = [_card("machines", note, table, is_open=True)]
    fields = differing_fields({name: run.result for name, run in firsts.items()})
    if len(firsts) > 1 and len(fields):
        cards.append(_card("fields", text("fields"), fields))
    return cards


def _card(name: str, note: str, table: pd.DataFrame, is_open: bool = False) -> Card:
    plots: Plots = {(): Plot(note, None, table, marked=True)}
    return Card(name, text(name, "title"), COMPARING, (), plots, open=is_open)


def _row(run: Run, chosen: Sequence[str], apart: Sequence[str]) -> dict[str, Any]:
    """One machine; None where a result does not say.

    `chosen`: fields of its dataflow to show; `apart`: whose widths.
    """
    machine, area = run.result.provenance["architecture"], run.facts["area"]
    roofs, document = machine["roofline"], machine["document"]
    bandwidth = roofs["dram_bytes_per_cycle"] * machine["clock_mhz"] / 1e3
    sram = area["sram_mm2"]
    return {
        "PE array": words(machine["pe_array"]),
        "cores": machine.get("cores", 1),
        "adders": _adders(run.result),
        "peak (accumulations/cycle)": roofs["peak_accumulations_per_cycle"],
        "tile of the array": _shape(_core(document).get("pe_array")),
        "token skip": words(machine["token_skip"]),
        "dataflow": words(machine["dataflow"]),
        "mapping": _listed(document.get("dataflow") or {}, chosen),
        "precision (bits)": _listed(_widths(document), apart),
        CAPACITY.head("buffers"): _capacity_kib(document),
        "DRAM": _dram(document),
        UNITS["bandwidth"].head("DRAM"): bandwidth,
        UNITS["clock"].head("clock"): machine["clock_mhz"],
        UNITS["node"].head("node"): machine["node_nm"],
        UNITS["supply"].head("supply"): machine["voltage_v"],
        AREA.head("area, floor"): None if sram is None else sram + area["logic_mm2"],
        AREA.head("area, published"): area["published_area_mm2"],
        POWER.head("power at rest"): POWER.of(area["leakage_uw"]),
        POWER.head("power, published"): area["published_power_mw"],
        "prices": run.result.provenance["energy_table"]["name"],
    }


def _core(document: Mapping[str, Any]) -> Mapping[str, Any]:
    cores = document.get("cores")
    return cores[0] if isinstance(cores, list) and cores else {}


def _adders(result: Result) -> int | None:
    """Adders of all arrays, as their parts state them for the area."""
    try:
        machine = machine_of(result, {})
    except SimulatorError:
        return None
    logic = [piece for core in machine.cores for piece in core.pe_array.logic()]
    return sum(piece.times for piece in logic if piece.operation == "add") or None


def _shape(array: Mapping[str, Any] | None) -> str:
    """The whole numbers of an array that say how large a tile it takes."""
    sizes = {
        name: value
        for name, value in (array or {}).items()
        if type(value) is int and not name.endswith(("_bits", "_cycles", "_words"))
    }
    return ", ".join(f"{value} {words(name)}" for name, value in sizes.items())


def _differing_keys(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all; all keys of a single one."""
    keys = dict.fromkeys(key for document in documents for key in document if key != "kind")
    if len(documents) == 1:
        return [*keys]
    return [key for key in keys if len({str(each.get(key)) for each in documents}) > 1]


def _listed(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Those of the values, each with its name."""
    return ", ".join(f"{words(key)} {_plain(values[key])}" for key in keys if key in values)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return words(value) if isinstance(value, str) else json.dumps(value)


def _widths(document: Mapping[str, Any]) -> dict[str, Any]:
    """The widths that a machine states, each once; in older results its parts state them."""
    stated = document.get("precision") or {}
    widths: dict[str, Any] = {
        name.removesuffix("_bits"): bits for name, bits in stated.items() if bits is not None
    }
    core = {} if widths else _core(document)
    for part in ("pe_array", "vector_unit"):
        for name, value in (core.get(part) or {}).items():
            if name.endswith(("_bits", "membrane_width")) and type(value) is int:
                widths.setdefault(name.removesuffix("_bits").removesuffix("_width"), value)
    return widths


def _capacity_kib(document: Mapping[str, Any]) -> float | None:
    """Of all buffers of all cores and the global one."""
    cores = document.get("cores")
    each = cores if isinstance(cores, list) else []
    parts = [part for core in each for part in (core.get("buffers") or {}).values()]
    parts.append((document.get("memories") or {}).get("global_buffer"))
    sizes = [part["size_kib"] for part in parts if isinstance(part, Mapping) and "size_kib" in part]
    return sum(sizes) if sizes else None


def _dram(document: Mapping[str, Any]) -> str:
    dram = (document.get("memories") or {}).get("dram") or {}
    if "channels" not in dram:
        return str(dram.get("kind", ""))
    return ", ".join(filter(None, [dram.get("technology"), f"{dram['channels']} channels"]))


def differing_fields(results: Mapping[str, Result]) -> pd.DataFrame:
    """Return a row a field in which machines differ, a column a design; "–": no such field."""
    documents = {
        name: dict(_leaves("", result.provenance["architecture"]["document"]))
        for name, result in results.items()
    }
    paths = dict.fromkeys(path for leaves in documents.values() for path in leaves)
    rows = []
    for path in paths:
        values = [leaves.get(path, "–") for leaves in documents.values()]
        if path.split(".")[0] not in SAME_IN_ALL and len(set(map(str, values))) > 1:
            rows.append([path, *values])
    return pd.DataFrame(rows, columns=["field", *documents], dtype=object)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted path; of equal cores the first, as `cores`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        alike = all(each == value[0] for each in value)
        yield f"{path}.count", len(value)
        for place, inner in enumerate(value[:1] if alike else value):
            yield from _leaves(path if alike else f"{path}.{place}", inner)
    else:
        yield path, value if isinstance(value, int | float | str) else _plain(value)
