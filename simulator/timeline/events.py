"""What a timeline shows of one replayed image: tracks of slices, and counters.

A track is one server of a unit. On it stand the operations as they held the server, in runs: a run
is what the server did for one step (a layer at a timestep) without serving another in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.config.arrays import Ints
from simulator.lowering import Lowered, Plan
from simulator.lowering.tables import CATEGORIES
from simulator.program import Program, Timeline
from simulator.timeline.windows import BUSY, array_windows, place_of
from simulator.trace import Image

WORK = {
    "array_latency": "compute",
    "weight_port": "load weights",
    "dram_weights": "fetch weights",
    "dram_activations": "move activations",
    "vector_unit": "neurons",
    "token_skip": "scan mask",
    "halting": "halting decision",
    "global_buffer": "move through global buffer",
    "interconnect": "move over link",
}
"""What an operation of a category does."""

LOADS = ("weight_port", "dram_weights", "dram_activations", "global_buffer", "interconnect")
"""Categories whose operations bring what another one needs: an arrow leads to its user."""

WINDOWS = 1000
"""The bandwidth counter is a mean over so many equal parts of the latency."""


class Slice(NamedTuple):
    """Describe something from one cycle up to another; `sends` and `receives` are ids of arrows."""

    name: str
    start_cycle: int
    end_cycle: int
    arguments: Mapping[str, int | str]
    sends: tuple[int, ...] = ()
    receives: tuple[int, ...] = ()


class ImageRun(NamedTuple):
    """Describe what a server did for one step in a row: from its first operation to its last."""

    entire: Slice
    operations: list[Slice]


class Track(NamedTuple):
    """Describe a server of a unit; runs follow one another, and so do the operations in a run."""

    name: str
    runs: list[ImageRun]


class Counter(NamedTuple):
    """Describe a quantity that keeps each value until the next sample (cycle, value)."""

    name: str
    unit: str
    samples: list[tuple[int, float]]


class TimelineRecording(NamedTuple):
    """Hold one image from an idle machine on; cycle 0 is its start."""

    name: str
    clock_mhz: float
    latency_cycles: int
    tracks: list[Track]
    counters: list[Counter]


def record(
    plan: Plan, image: Image, lowered: Lowered, timeline: Timeline, name: str
) -> TimelineRecording:
    """Return all that happened to an image, at the cycles that the engine gave."""
    ops = _Operations(plan, lowered, timeline)
    tracks = [
        track
        for unit, unit_name in enumerate(lowered.unit_names)
        for track in ops.tracks(unit, unit_name)
    ]
    counters = [
        _active_tokens(plan, image, lowered, timeline),
        _fetched_tiles(lowered, timeline),
        _bandwidth(plan, lowered, timeline),
        *_stalled(plan, lowered, timeline),
    ]
    clock_mhz = plan.architecture.clock_mhz
    return TimelineRecording(name, clock_mhz, timeline.makespan_cycles, tracks, counters)


def record_stream(
    name: str, clock_mhz: float, stream: Mapping[str, Any], queue: Mapping[str, Any]
) -> TimelineRecording:
    """Return a stream: a track for each place with the images that were in it, and the queue.

    `stream`, `queue`: columns of the tables stream and stream_queue of a result.
    """
    runs: dict[int, list[ImageRun]] = {}
    columns = ("position", "image", "place", "arrival_cycle", "start_cycle", "finish_cycle")
    for row in zip(*(stream[column].tolist() for column in columns), strict=True):
        position, image, place, arrival, start, finish = row
        arguments = {
            "image": image,
            "position": position,
            "arrival_cycle": arrival,
            "queueing_cycles": start - arrival,
        }
        entire = Slice(f"image {image} (position {position})", start, finish, arguments)
        runs.setdefault(place, []).append(ImageRun(entire, []))
    tracks = [Track(f"place {place}", runs[place]) for place in sorted(runs)]
    counters = [
        Counter(
            title,
            "images",
            [*zip(queue["cycle"].tolist(), map(float, queue[column].tolist()), strict=True)],
        )
        for title, column in (("waiting", "waiting"), ("in flight", "in_flight"))
    ]
    end = int(stream["finish_cycle"].max(initial=0))
    return TimelineRecording(name, clock_mhz, end, tracks, counters)


class _Operations:
    """The operations of a program as slices."""

    def __init__(self, plan: Plan, lowered: Lowered, timeline: Timeline) -> None:
        self.program, self.timeline = lowered.program, timeline
        self.step = lowered.op_step
        self.work = [WORK[CATEGORIES[category]] for category in lowered.op_category.tolist()]
        self.places = [place_of(plan, step) for step in range(len(plan.steps))]
        self.sends, self.receives = _arrows(lowered)

    def tracks(self, unit: int, name: str) -> Iterator[Track]:
        """Yield a track for each server of a unit that did anything."""
        servers = _by_server(self.program, self.timeline, unit)
        for server, ops in enumerate(servers):
            if ops:
                yield Track(name if len(servers) == 1 else f"{name} {server}", self._runs(ops))

    def _runs(self, ops: list[int]) -> list[ImageRun]:
        """The operations of a server, cut wherever the step changes."""
        runs: list[ImageRun] = []
        first = 0
        for place in range(1, len(ops) + 1):
            if place == len(ops) or self.step[ops[place]] != self.step[ops[first]]:
                inside = [self._slice(op) for op in ops[first:place]]
                label, arguments = self.places[self.step[ops[first]]]
                span = (inside[0].start_cycle, inside[-1].end_cycle)
                runs.append(ImageRun(Slice(label, *span, arguments), inside))
                first = place
        return runs

    def _slice(self, op: int) -> Slice:
        start, ready = int(self.timeline.start[op]), int(self.timeline.ready[op])
        end = start + int(self.program.busy_cycles[op])
        label, _ = self.places[self.step[op]]
        return Slice(
            f"{self.work[op]}: {label}",
            start,
            end,
            {
                "op": op,
                "ready_cycle": ready,
                "waited_cycles": start - ready,
                "results_after_cycles": int(self.program.latency_cycles[op]),
            },
            self.sends.get(op, ()),
            self.receives.get(op, ()),
        )


def _arrows(lowered: Lowered) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]:
    """An arrow for each edge from a load to an operation on another unit; ids count from 1."""
    source, target = _edges(lowered.program)
    loads = np.isin(lowered.op_category[source], [CATEGORIES.index(name) for name in LOADS])
    unit = lowered.program.unit
    kept = loads & (unit[source] >= 0) & (unit[target] >= 0) & (unit[source] != unit[target])
    sends: dict[int, tuple[int, ...]] = {}
    receives: dict[int, tuple[int, ...]] = {}
    pairs = zip(source[kept].tolist(), target[kept].tolist(), strict=True)
    for arrow, (one, other) in enumerate(pairs, start=1):
        sends[one] = (*sends.get(one, ()), arrow)
        receives[other] = (*receives.get(other, ()), arrow)
    return sends, receives


def _edges(program: Program) -> tuple[Ints, Ints]:
    """Predecessor and successor of every edge."""
    counts = np.diff(program.pred_ptr)
    return program.pred.astype(np.int64), np.repeat(np.arange(len(counts)), counts)


def _by_server(program: Program, timeline: Timeline, unit: int) -> list[list[int]]:
    """The operations of a unit by the server that held them, in time order.

    Which of several free servers takes an operation changes no cycle; here it is the first one.
    """
    servers: list[list[int]] = [[] for _ in range(int(program.unit_servers[unit]))]
    free_at = [0] * len(servers)
    own = np.flatnonzero(program.unit == unit)
    for op in own[np.lexsort((own, timeline.start[own]))].tolist():
        start = int(timeline.start[op])
        server = next(place for place, cycle in enumerate(free_at) if cycle <= start)
        servers[server].append(op)
        free_at[server] = start + int(program.busy_cycles[op])
    return servers


def _active_tokens(plan: Plan, image: Image, lowered: Lowered, timeline: Timeline) -> Counter:
    """Active tokens of the block and timestep that began last (of all timesteps run together)."""
    begins: dict[tuple[int, int], int] = {}
    real = lowered.program.unit >= 0
    first = np.full(len(plan.steps), np.iinfo(np.int64).max)
    computing = real & (lowered.op_category == CATEGORIES.index("array_latency"))
    np.minimum.at(first, lowered.op_step[computing], timeline.start[computing])
    for index, step in enumerate(plan.steps):
        block = plan.layers[step.layer].layer.block
        if block is not None and first[index] < np.iinfo(np.int64).max:
            key = (block, step.timestep)
            begins[key] = min(begins.get(key, int(first[index])), int(first[index]))
    samples = []
    for (block, timestep), cycle in begins.items():
        rows = image.active[str(block)]
        active = rows if timestep == ALL_TIMESTEPS else rows[timestep]
        samples.append((cycle, float(active.sum())))
    return Counter("active tokens", "tokens", sorted(samples))


def _fetched_tiles(lowered: Lowered, timeline: Timeline) -> Counter:
    """Tiles of weights between the start of their fetch from DRAM and the end of their last use."""
    program, category = lowered.program, lowered.op_category
    fetch = CATEGORIES.index("dram_weights")
    movers = [CATEGORIES.index(name) for name in ("weight_port", "global_buffer", "interconnect")]
    source, target = _edges(program)
    # Who waits for a fetch in order to fetch has no use for what it brought.
    kept = np.isin(category[source], [fetch, *movers]) & (category[target] != fetch)
    moves = np.isin(category, movers)
    used_until = np.zeros(len(program.unit), np.int64)
    # Backwards, so that a move knows how long what it moves is used.
    pairs = zip(source[kept][::-1].tolist(), target[kept][::-1].tolist(), strict=True)
    for op, user in pairs:
        used_until[op] = max(
            used_until[op], used_until[user] if moves[user] else 0, timeline.finish[user]
        )
    fetches = np.flatnonzero((category == fetch) & (program.unit >= 0))
    cycles = np.concatenate([timeline.start[fetches], used_until[fetches]])
    changes = np.repeat(np.array([1, -1]), len(fetches))
    at, group = np.unique(cycles, return_inverse=True)
    held = np.cumsum(np.bincount(group, changes, minlength=len(at))) if len(at) else np.zeros(0)
    samples = list(zip(at.tolist(), held.tolist(), strict=True))
    return Counter("weight tiles on chip or on their way", "tiles", samples)


def _bandwidth(plan: Plan, lowered: Lowered, timeline: Timeline) -> Counter:
    """Mean DRAM traffic of each window; a layer's bytes are spread over its busy DRAM cycles."""
    program = lowered.program
    dram = plan.graph.one("dram")
    ops = np.flatnonzero(program.unit == dram)
    latency = timeline.makespan_cycles
    if not len(ops) or not latency:
        return Counter("DRAM bandwidth", "GB/s", [])
    busy, layer = program.busy_cycles[ops], lowered.op_layer[ops]
    by_layer = np.bincount(layer, busy, minlength=len(plan.layers))
    bytes_per_cycle = (lowered.dram_bits / 8)[layer] / by_layer[layer]
    edges = np.unique(np.linspace(0, latency, WINDOWS + 1).astype(np.int64))
    moved = np.zeros(len(edges))
    for ops_of_server in _by_server(program, timeline, dram):
        place = np.searchsorted(ops, ops_of_server)
        start = timeline.start[ops_of_server]
        points = np.stack([start, start + busy[place]], axis=1).reshape(-1)
        amounts = np.stack([np.zeros(len(place)), bytes_per_cycle[place] * busy[place]], axis=1)
        moved += np.interp(edges, points, np.cumsum(amounts.reshape(-1)), left=0.0)
    # bytes a cycle x million cycles a second = MB/s
    rates = np.diff(moved) / np.diff(edges) * plan.architecture.clock_mhz / 1e3
    samples = [*zip(edges[:-1].tolist(), rates.tolist(), strict=True), (latency, 0.0)]
    return Counter("DRAM bandwidth", "GB/s", samples)


def _stalled(plan: Plan, lowered: Lowered, timeline: Timeline) -> Iterator[Counter]:
    """By cause, the share of each window in which the PE arrays waited for it, mean over arrays."""
    found = array_windows(plan, lowered, timeline, WINDOWS)
    begins, latency = found.edges[:-1].tolist(), timeline.makespan_cycles
    for cause, cycles in found.cycles.items():
        if cause != BUSY:
            shares = 100.0 * cycles / found.widths / found.arrays
            samples = [*zip(begins, shares.tolist(), strict=True), (latency, 0.0)]
            yield Counter(f"arrays wait for {cause}", "%", samples)
