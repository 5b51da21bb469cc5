"""What makes the numbers of a result doubtful: a registry of checks, a check = one function.

    @check("silent_layer", "warning")
    def _silent_layer(facts: Facts) -> Found:
        for tensor, firing in facts.neurons.items():
            if not firing.nonzero:
                yield firing.layer, "fires in no image"

A check yields (place, message) for each thing that it finds; the place is a layer, a unit, a field
of the machine, or empty. Findings follow from a result alone: every Result has them in its table
`findings`, also one that was saved before the check existed. In the summary and on the page they
come in the order of severity and then of the checks below; a new check is one more function here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.config.arrays import Floats, Ints, grouped
from simulator.config.wording import one_line
from simulator.errors import ResultError
from simulator.results.columns import Table, keys_of, numbers, rows_of, text, totals, words
from simulator.results.schema import SEVERITIES

Found = Iterator[tuple[str, str]]
_NAMED = 5
"""So many images or layers are named in a message."""
_BOUND = 0.95
"""A unit that is held for a larger share of the time decides alone how long a run takes."""


class Finding(NamedTuple):
    """Describe why to doubt a number. `severity`: one of SEVERITIES; `check`: its finder."""

    severity: str
    check: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class Firing(NamedTuple):
    """Describe a tensor over all images: the layer that makes it (empty: an input), its values.

    `live`: values of tokens that have not halted; `nonzero`: those that are not zero; `silent`:
    images in which all are zero.
    """

    layer: str
    kind: str
    live: int
    nonzero: int
    silent: tuple[int, ...]


class Facts(NamedTuple):
    """Hold what checks look at; `image`, `latency_cycles`, `floor_cycles`, `utilization`: by image.

    `firing`: by tensor; empty for results from before the table. `occupancy`: by unit.
    """

    provenance: Mapping[str, Any]
    image: Ints
    latency_cycles: Ints
    floor_cycles: Ints
    utilization: Floats
    firing: Mapping[str, Firing]
    occupancy: Mapping[str, float]

    @property
    def neurons(self) -> dict[str, Firing]:
        """Return the tensors of spikes that layers make, where any token lives."""
        return {
            name: each
            for name, each in self.firing.items()
            if each.layer and each.kind == "spikes" and each.live
        }

    @property
    def inputs(self) -> dict[str, Firing]:
        """Return the tensors that no layer makes."""
        return {name: each for name, each in self.firing.items() if not each.layer}


Check = Callable[[Facts], Found]
CHECKS: dict[str, tuple[str, Check]] = {}
"""Severity and function by name."""


def check(name: str, severity: str) -> Callable[[Check], Check]:
    """Register a check."""

    def register(function: Check) -> Check:
        assert severity in SEVERITIES
        assert name not in CHECKS
        CHECKS[name] = severity, function
        return function

    return register


def findings(facts: Facts) -> list[Finding]:
    """Return what all checks find, the most severe first."""
    found = [
        Finding(severity, name, one_line(place), message)
        for name, (severity, function) in CHECKS.items()
        for place, message in dict.fromkeys(function(facts))
    ]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def refuse_doubtful(found: Sequence[Finding]) -> None:
    """Raise ResultError with every finding but the notes: what `--strict` does."""
    doubts = [f"{each.severity}: {each}" for each in found if each.severity != "note"]
    if doubts:
        raise ResultError("\n".join(doubts))


def severity_of(name: str) -> str:
    """Return the severity of a check; an error's where it is none of this version's."""
    return CHECKS[name][0] if name in CHECKS else SEVERITIES[0]


def meaning_of(name: str) -> str:
    """Return what a check finds, in a sentence; empty where it is none of this version's."""
    return (CHECKS[name][1].__doc__ or "").partition("\n")[0] if name in CHECKS else ""


def split_findings(names: str) -> list[str]:
    """Return the checks that a cell of a search's column `findings` names."""
    return names.split(", ") if names else []


def findings_table(provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> Table:
    """Return the findings of a result as its table."""
    found = findings(facts_of(provenance, [tables]))
    columns = zip(*found, strict=True) if found else [()] * len(Finding._fields)
    return {name: text(column) for name, column in zip(Finding._fields, columns, strict=True)}


def facts_of(provenance: Mapping[str, Any], parts: Iterable[Mapping[str, Table]]) -> Facts:
    """Return the facts of a result in parts, each with the tables images, firing and units."""
    images: list[Table] = []
    firing: dict[str, Firing] = {}
    busy: dict[str, int] = {}
    servers: dict[str, int] = {}
    for part in parts:
        images.append(part["images"])
        for name, each in _firing(part["firing"]).items():
            firing[name] = _both(firing[name], each) if name in firing else each
        names, counts = words(part["units"], "unit"), numbers(part["units"], "servers")
        for name, cycles in totals(part["units"], "unit", "busy_cycles").items():
            busy[name] = busy.get(name, 0) + cycles
            servers[name] = int(counts[names.where(name)].max())

    def column(name: str) -> Any:
        return np.concatenate([numbers(table, name) for table in images])

    latency = max(int(column("latency_cycles").sum()), 1)
    return Facts(
        provenance,
        column("image"),
        column("latency_cycles"),
        column("floor_cycles"),
        column("utilization"),
        firing,
        {name: cycles / (servers[name] * latency) for name, cycles in busy.items()},
    )


def _firing(table: Table) -> dict[str, Firing]:
    if not rows_of(table):
        return {}
    names, layers, kinds = (words(table, name) for name in ("tensor", "layer", "kind"))
    image, live, nonzero = (numbers(table, name) for name in ("image", "live", "nonzero"))
    first, place = grouped(keys_of(table, ("tensor",)))
    sums = np.zeros((len(first), 2), np.int64)
    np.add.at(sums, place, np.stack([live, nonzero], axis=1))
    silent: dict[int, list[int]] = {}
    for row in np.flatnonzero((nonzero == 0) & (live > 0)).tolist():
        silent.setdefault(int(place[row]), []).append(int(image[row]))
    return {
        names.word(row): Firing(
            layers.word(row), kinds.word(row), values, ones, tuple(silent.get(number, ()))
        )
        for number, (row, (values, ones)) in enumerate(
            zip(first.tolist(), sums.tolist(), strict=True)
        )
    }


def _both(one: Firing, other: Firing) -> Firing:
    return one._replace(
        live=one.live + other.live,
        nonzero=one.nonzero + other.nonzero,
        silent=one.silent + other.silent,
    )


def _listed(values: Iterable[Any]) -> str:
    """Return the first few values in words."""
    stated = [*map(str, values)]
    more = f" and {len(stated) - _NAMED} more" if len(stated) > _NAMED else ""
    return ", ".join(stated[:_NAMED]) + more


@check("dead_network", "error")
def _dead_network(facts: Facts) -> Found:
    """Nothing fires: cycles and energy are those of walking over zeros."""
    neurons = facts.neurons.values()
    if neurons and not any(each.nonzero for each in neurons):
        yield "", "the network is dead: firing rate 0 in all layers; no number below means anything"


@check("silent_input", "error")
def _silent_input(facts: Facts) -> Found:
    """The network was shown nothing."""
    for name, each in facts.inputs.items():
        if each.silent:
            count = len(facts.image)
            which = "all images" if len(each.silent) == count else f"images {_listed(each.silent)}"
            yield name, f"the network's input is all zero in {which} of {count}"


@check("too_fast", "error")
def _too_fast(facts: Facts) -> Found:
    """More work was done than the array can do, or in less time than a unit was held."""
    over = facts.utilization > 1
    if over.any():
        most = f"up to {facts.utilization.max():.1%}"
        yield (
            "cores.pe_array",
            f"utilization is above 100 % ({most}, images {_listed(facts.image[over])}): the array "
            "takes less time than its peak allows, so its cycles are wrong",
        )
    under = facts.latency_cycles < facts.floor_cycles
    if under.any():
        yield "", f"latency below floor_cycles in images {_listed(facts.image[under])}"


@check("silent_layer", "warning")
def _silent_layer(facts: Facts) -> Found:
    """A layer that never fires costs nothing behind it: as a rule its threshold is wrong."""
    neurons = facts.neurons
    if any(each.nonzero for each in neurons.values()):  # else the network is dead
        for name, each in neurons.items():
            if not each.nonzero:
                yield name, f"never fires, in any of {len(facts.image)} images"


@check("saturated_layer", "warning")
def _saturated_layer(facts: Facts) -> Found:
    """A layer that always fires tells its reader nothing."""
    for name, each in facts.neurons.items():
        if each.nonzero == each.live:
            yield name, f"always fires: all values, in all of {len(facts.image)} images"


@check("rounded_input", "warning")
def _rounded_input(facts: Facts) -> Found:
    """An input of real values was rounded to bit-planes."""
    rounding = facts.provenance["trace"].get("rounding") or {}
    for name, error in rounding.items():
        if name in facts.inputs:
            yield name, f"the input was not of whole numbers: rounded, by up to {error:.3g}"


@check("unknown_weights", "warning")
def _unknown_weights(facts: Facts) -> Found:
    """Spike rates of a network that was not trained, or not tested, stand for none that was."""
    weights = facts.provenance["trace"]["weights"]
    if weights["origin"] == "random":
        yield "trace.weights", "are random: firing rates say nothing of a trained network"
    elif weights["origin"] == "trained" and not weights.get("accuracy"):
        yield (
            "trace.weights",
            "are said to be trained, but no accuracy shows it",
        )


@check("narrow_machine", "warning")
def _narrow_machine(facts: Facts) -> Found:
    """A machine that is narrower than the numbers of the trace computes something else."""
    trained, machine = _widths(facts)
    for name, what in (("weights_bits", "weights"), ("activations_bits", "integers")):
        if trained.get(name, 0) > machine.get(name, 32):
            yield (
                f"precision.{name}",
                f"{machine[name]} bits: the {what} of the trace have {trained[name]}, so what the "
                "trace states of its accuracy does not hold on this machine",
            )


@check("wide_products", "warning")
def _wide_products(facts: Facts) -> Found:
    """Products of spikes that do not fit the width that the machine states."""
    trained, machine = _widths(facts)
    needed, stated = trained.get("products_bits", 0), machine.get("products_bits", 32)
    if needed > stated:
        yield (
            "precision.products_bits",
            f"{stated} bits: a product of this network can need {needed}, and takes them",
        )


def _widths(facts: Facts) -> tuple[dict[str, int], dict[str, int]]:
    """Return the widths of the trace and of the machine; {} of results that do not state them."""
    provenance = facts.provenance
    document = provenance["architecture"].get("document") or {}
    return provenance["trace"].get("precision") or {}, document.get("precision") or {}


@check("order_without_stages", "warning")
def _order_without_stages(facts: Facts) -> Found:
    """The dataflow's order in time concerns blocks, and the trace declares none."""
    machine, trace = facts.provenance["architecture"], facts.provenance["trace"]
    if trace.get("stages_missing"):
        stages = _listed(trace["stages_missing"])
        yield (
            "dataflow",
            f"{machine['dataflow']} orders timesteps of the stages {stages}, which the trace does "
            f"not name: it runs {trace.get('order', 'all timesteps together')}",
        )


@check("few_images", "note")
def _few_images(facts: Facts) -> Found:
    """A percentile of few images is their maximum."""
    count = len(facts.image)
    needed = {95: 20, 99: 100}
    short = [f"p{rank}" for rank, fewest in needed.items() if count < fewest]
    if short:
        fewest = max(fewest for fewest in needed.values() if count < fewest)
        yield "", f"{' and '.join(short)} of n = {count} images: the slowest; needs n of {fewest}"


@check("one_unit", "note")
def _one_unit(facts: Facts) -> Found:
    """One unit is held all the time: no other part of the machine moves the latency."""
    for unit, share in facts.occupancy.items():
        if share > _BOUND:
            stated = math.floor(share * 1000) / 10
            yield unit, f"is held {stated} % of the time: no other part moves the latency much"
