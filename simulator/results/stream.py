"""What a stream of images took: its tables from arrivals and finishes, checks and headline numbers.

Every number is defined in docs/metrics.md. `position` counts the images of the stream; `image`
names the one of the trace, whose counts and energies are those of the image alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.config.arrays import Floats, Ints
from simulator.results.columns import Table, named_actions, numbers, rows_of, text, words
from simulator.streams.statistics import CONFIDENCE, Estimate, mean_estimate, percentile_estimate

if TYPE_CHECKING:
    from simulator.results.result import Result

PERCENTILES = (50, 95, 99)


def stream_tables(
    passages: Mapping[str, Ints], units: Sequence[str], servers: Ints, busy_cycles: Ints
) -> dict[str, Table]:
    """Return the tables of a stream.

    `passages`: position, image, place, arrival_cycle, start_cycle and finish_cycle of its images,
    in order of position.
    """
    arrival, start, finish = (passages[f"{name}_cycle"] for name in ("arrival", "start", "finish"))
    duration = max(int(finish.max() - arrival[0]), 1)
    return {
        "stream": {**passages, **_spans(arrival, start, finish)},
        "stream_queue": queue_of(arrival, start, finish),
        "stream_units": {
            "unit": text(units),
            "servers": servers,
            "busy_cycles": busy_cycles,
            "occupancy": busy_cycles / (servers * duration),
        },
    }


def _spans(arrival: Ints, start: Ints, finish: Ints) -> dict[str, Ints]:
    return {
        "queueing_cycles": start - arrival,
        "service_cycles": finish - start,
        "latency_cycles": finish - arrival,
    }


def queue_of(arrival: Ints, start: Ints, finish: Ints) -> Table:
    """Count images that wait and images in flight after each cycle in which either changes."""
    cycles = np.concatenate([arrival, start, finish])
    ones, none = np.ones(len(arrival), np.int64), np.zeros(len(arrival), np.int64)
    cycle, group = np.unique(cycles, return_inverse=True)
    changes = {
        "waiting": np.concatenate([ones, -ones, none]),
        "in_flight": np.concatenate([none, ones, -ones]),
    }
    levels: dict[str, Ints] = {}
    for name, change in changes.items():
        by_cycle = np.zeros(len(cycle), np.int64)
        np.add.at(by_cycle, group, change)
        levels[name] = np.cumsum(by_cycle)
    before = {name: np.concatenate([[0], level[:-1]]) for name, level in levels.items()}
    changed = np.any([levels[name] != before[name] for name in levels], axis=0)
    return {"cycle": cycle[changed], **{name: level[changed] for name, level in levels.items()}}


def broken_stream(provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    """Yield every rule that the tables of a stream break, one line each."""
    stream = tables["stream"]
    if not rows_of(stream):
        return
    columns = {name: numbers(stream, name) for name in stream}
    arrival, start, finish = (columns[f"{name}_cycle"] for name in ("arrival", "start", "finish"))
    strays = np.setdiff1d(columns["image"], numbers(tables["images"], "image"))
    if len(strays):
        yield f"stream.image: {strays[:5].tolist()}: must be listed in the table images"
    for name, span in _spans(arrival, start, finish).items():
        for row in np.flatnonzero((columns[name] != span) | (span < 0))[:5].tolist():
            yield f"stream.{name}: position {row}: {columns[name][row]}: must be {span[row]}"
    queue = queue_of(arrival, start, finish)
    facts = tables["stream_queue"]
    if any(not np.array_equal(numbers(facts, name), numbers(queue, name)) for name in queue):
        yield "stream_queue: must follow from the arrivals, starts and finishes of the stream"
    places = provenance.get("stream", {}).get("in_flight")
    most = int(numbers(queue, "in_flight").max(initial=0))
    if type(places) is not int or most > places:
        yield f"stream_queue.in_flight: {most}: must be at most stream.in_flight, {places}"
    yield from _savings(tables)
    units, duration = tables["stream_units"], max(int(finish.max() - arrival[0]), 1)
    share = numbers(units, "busy_cycles") / (numbers(units, "servers") * duration)
    for row in np.flatnonzero((share > 1) | (share != numbers(units, "occupancy"))).tolist():
        yield (
            f"stream_units.occupancy: row {row}: {numbers(units, 'occupancy')[row]}: must be "
            f"{share[row]}, at most 1"
        )


def _savings(tables: Mapping[str, Table]) -> Iterator[str]:
    """Every saving of a stream whose energy is not its count times the price."""
    saved, prices = tables["stream_savings"], tables["prices"]
    each_pj = dict(zip(named_actions(prices), numbers(prices, "energy_pj").tolist(), strict=True))
    counts, energies = numbers(saved, "count").tolist(), numbers(saved, "energy_pj").tolist()
    for action, count, energy in zip(named_actions(saved), counts, energies, strict=True):
        if energy != count * each_pj.get(action, math.nan):
            yield f"stream_savings.energy_pj: {'.'.join(action)}: {energy}: must be count x price"


def stream_summary(result: Result) -> dict[str, Any] | None:
    """Return headline numbers of a stream, None for a result without one; see docs/metrics.md."""
    stream = result.columns("stream")
    if not rows_of(stream):
        return None
    facts = result.provenance["stream"]
    per_ms = result.provenance["architecture"]["clock_mhz"] * 1e3
    arrival, finish = numbers(stream, "arrival_cycle"), np.sort(numbers(stream, "finish_cycle"))
    images, duration = len(arrival), max(int(finish[-1] - arrival[0]), 1)
    queue = result.columns("stream_queue")
    alone = (numbers(result.columns("images"), name) for name in ("image", "dynamic_energy_pj"))
    by_image = dict(zip(*(column.tolist() for column in alone), strict=True))
    dynamic_pj = math.fsum(by_image[image] for image in numbers(stream, "image").tolist())
    dynamic_pj -= math.fsum(numbers(result.columns("stream_savings"), "energy_pj").tolist())
    power_uw = math.fsum(numbers(result.columns("leakage"), "power_uw").tolist())
    # 1 uW for 1 ms is 1e-3 uJ.
    leakage_uj = power_uw * duration / per_ms * 1e-3 / images
    units = result.columns("stream_units")
    names, occupancy = words(units, "unit"), numbers(units, "occupancy")
    latency_ms = {
        name: numbers(stream, f"{name}_cycles") / per_ms
        for name in ("latency", "queueing", "service")
    }
    energy_uj = dynamic_pj / images / 1e6 + leakage_uj
    return {
        "arrivals": facts["arrivals"],
        "in_flight": facts["in_flight"],
        "images": images,
        "confidence": CONFIDENCE,
        "duration_ms": duration / per_ms,
        **{f"{name}_ms": _spread(values) for name, values in latency_ms.items()},
        "offered_images_per_s": _offered(arrival, per_ms) if facts["open"] else None,
        "throughput_images_per_s": images / duration * per_ms * 1e3,
        "finish_rate_images_per_s": _rate(finish, per_ms),
        "waiting_mean": int(numbers(stream, "queueing_cycles").sum()) / duration,
        "waiting_max": int(numbers(queue, "waiting").max(initial=0)),
        "in_flight_mean": int(numbers(stream, "service_cycles").sum()) / duration,
        "in_flight_max": int(numbers(queue, "in_flight").max(initial=0)),
        "energy_uj": energy_uj,
        # 1 uJ in 1 ms is 1 mW.
        "power_mw": energy_uj * images / (duration / per_ms),
        "dynamic_energy_uj": dynamic_pj / images / 1e6,
        "leakage_energy_uj": leakage_uj,
        "occupancy": dict(zip(names.tolist(), occupancy.tolist(), strict=True)),
    }


def _spread(values: Floats) -> dict[str, dict[str, float | None]]:
    facts = {"mean": mean_estimate(values)}
    facts |= {f"p{percent}": percentile_estimate(values, percent) for percent in PERCENTILES}
    return {name: estimate._asdict() for name, estimate in facts.items()}


def _offered(arrival: Ints, per_ms: float) -> float | None:
    """Images a second between the first arrival and the last."""
    span = int(arrival[-1] - arrival[0])
    return (len(arrival) - 1) / span * per_ms * 1e3 if span else None


def _rate(finish: Ints, per_ms: float) -> dict[str, float | None] | None:
    """Images a second between the first finish and the last: 1 / the mean gap between finishes."""
    if len(finish) < 2 or finish[-1] == finish[0]:
        return None
    gap = mean_estimate(np.diff(finish) / (per_ms * 1e3))
    low = None if gap.high is None else 1 / gap.high
    high = None if gap.low is None or gap.low <= 0 else 1 / gap.low
    return Estimate(1 / gap.value, low, high)._asdict()
