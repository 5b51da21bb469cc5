"""Recordings as files: .json in Chrome's trace event format, .pftrace in Perfetto's own.

One nanosecond of the file is one cycle, so that every number in it is whole. Each image is a
process; its tracks are threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from simulator.config.staged_file import replaceable, staged_file
from simulator.errors import TimelineError
from simulator.timeline.events import Counter, ImageRun, TimelineRecording, Track

SUFFIXES = (".json", ".pftrace")
MARK = b"(1 ns shown = 1 cycle = "
"""Is in the name of each image; a file without it is not one of ours."""


def check_target(path: Path) -> None:
    """Raise TimelineError, before anything is simulated, where the file could not be written."""
    if path.suffix not in SUFFIXES:
        raise TimelineError(path, f"must end with {' or '.join(SUFFIXES)}")
    try:
        replaceable(path, MARK)
    except OSError as error:
        raise TimelineError(path, f"{error.strerror or error}") from None
    if path.suffix == ".pftrace":
        _protocol()


def write_timeline(recordings: Iterable[TimelineRecording], path: Path) -> None:
    """Write a timeline, whole or not at all. Raises TimelineError."""
    check_target(path)
    write = _write_chrome if path.suffix == ".json" else _write_perfetto
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path, MARK) as file:
            write(recordings, file)
    except OSError as error:
        raise TimelineError(path, f"{error.strerror or error}") from None


def _write_chrome(recordings: Iterable[TimelineRecording], file: IO[bytes]) -> None:
    file.write(b'{"displayTimeUnit":"ns","traceEvents":[')
    separator = b"\n"
    for process, recording in enumerate(recordings, start=1):
        for event in _chrome_events(process, recording):
            text = json.dumps(event, separators=(",", ":"))
            file.write(separator + text.encode("ascii"))
            separator = b",\n"
    file.write(b"\n]}\n")


def _chrome_events(process: int, recording: TimelineRecording) -> Iterator[dict[str, Any]]:
    """Events as they stand in the file; `ts` and `dur` count microseconds, so 0.001 is a cycle."""
    yield _named("process_name", process, 0, _title(recording))
    for thread, track in enumerate(recording.tracks, start=1):
        yield _named("thread_name", process, thread, track.name)
        order = {"pid": process, "tid": thread, "args": {"sort_index": thread}}
        yield {"ph": "M", "name": "thread_sort_index", **order}
        for run in track.runs:
            for piece in (run.entire, *run.operations):
                place = {"pid": process, "tid": thread, "ts": piece.start_cycle / 1000}
                length = (piece.end_cycle - piece.start_cycle) / 1000
                arguments = dict(piece.arguments)
                yield {"ph": "X", "name": piece.name, **place, "dur": length, "args": arguments}
                for phase, arrows in (("s", piece.sends), ("f", piece.receives)):
                    for arrow in arrows:
                        facts = {"ph": phase, "cat": "needs", "name": "needs", **place}
                        identity = {"id": process << 32 | arrow}
                        yield facts | identity | ({"bp": "e"} if phase == "f" else {})
    for counter in recording.counters:
        for cycle, value in counter.samples:
            place = {"pid": process, "ts": cycle / 1000}
            name = f"{counter.name} ({counter.unit})"
            yield {"ph": "C", "name": name, **place, "args": {counter.unit: value}}


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def _title(recording: TimelineRecording) -> str:
    """The name of the process, with what a nanosecond means."""
    real_ns = 1e3 / recording.clock_mhz
    return f"{recording.name} (1 ns shown = 1 cycle = {real_ns:g} ns)"


def _protocol() -> Any:
    """The classes of Perfetto's file format, which an optional package brings."""
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
    except ImportError:
        raise TimelineError(
            ".pftrace needs the package perfetto: pip install 'stasim[timeline]', or write .json"
        ) from None
    return perfetto_trace_pb2


def _write_perfetto(recordings: Iterable[TimelineRecording], file: IO[bytes]) -> None:
    writer = _PerfettoWriter(file)
    for process, recording in enumerate(recordings, start=1):
        writer.recording(process, recording)


class _PerfettoWriter:
    """Writes packets one after another; a file of them is a message `Trace`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.protocol = _protocol()
        self.file = file
        self.tracks = 0

    def recording(self, process: int, recording: TimelineRecording) -> None:
        """A process, its tracks and its counters."""
        parent = self._track(_title(recording))
        parent.track_descriptor.process.pid = process
        parent.track_descriptor.process.process_name = _title(recording)
        kind = self.protocol.TrackDescriptor.ChildTracksOrdering
        parent.track_descriptor.child_ordering = kind.EXPLICIT
        self._write(parent)
        above = parent.track_descriptor.uuid
        for rank, counter in enumerate(recording.counters):
            self._counter(counter, above, rank)
        for rank, track in enumerate(recording.tracks, start=len(recording.counters)):
            self._unit(track, above, rank, process << 32)

    def _unit(self, track: Track, above: int, rank: int, first_arrow: int) -> None:
        packet = self._track(track.name, above, rank)
        self._write(packet)
        uuid = packet.track_descriptor.uuid
        for run in track.runs:
            for cycle, event in self._run(run, first_arrow):
                event.track_uuid = uuid
                self._write(self.protocol.TracePacket(timestamp=cycle, track_event=event))

    def _run(self, run: ImageRun, first_arrow: int) -> Iterator[tuple[int, Any]]:
        """Begin and end of a run and of the operations in it, in time order."""
        event = self.protocol.TrackEvent
        yield run.entire.start_cycle, self._begin(run.entire, first_arrow)
        for operation in run.operations:
            yield operation.start_cycle, self._begin(operation, first_arrow)
            yield operation.end_cycle, event(type=event.TYPE_SLICE_END)
        yield run.entire.end_cycle, event(type=event.TYPE_SLICE_END)

    def _begin(self, piece: Any, first_arrow: int) -> Any:
        event = self.protocol.TrackEvent(
            type=self.protocol.TrackEvent.TYPE_SLICE_BEGIN, name=piece.name
        )
        event.flow_ids.extend(first_arrow | arrow for arrow in piece.sends)
        event.terminating_flow_ids.extend(first_arrow | arrow for arrow in piece.receives)
        for name, value in piece.arguments.items():
            kind = "string_value" if isinstance(value, str) else "int_value"
            event.debug_annotations.add(name=name, **{kind: value})
        return event

    def _counter(self, counter: Counter, above: int, rank: int) -> None:
        packet = self._track(counter.name, above, rank)
        packet.track_descriptor.counter.unit_name = counter.unit
        self._write(packet)
        event = self.protocol.TrackEvent
        for cycle, value in counter.samples:
            facts = event(
                type=event.TYPE_COUNTER,
                track_uuid=packet.track_descriptor.uuid,
                double_counter_value=value,
            )
            self._write(self.protocol.TracePacket(timestamp=cycle, track_event=facts))

    def _track(self, name: str, above: int | None = None, rank: int = 0) -> Any:
        """A packet that describes a new track."""
        self.tracks += 1
        packet = self.protocol.TracePacket()
        packet.track_descriptor.uuid = self.tracks
        packet.track_descriptor.name = name
        if above is not None:
            packet.track_descriptor.parent_uuid = above
            packet.track_descriptor.sibling_order_rank = rank
        return packet

    def _write(self, packet: Any) -> None:
        # All of our packets belong to one sequence, which needs no incremental state.
        packet.trusted_packet_sequence_id = 1
        self.file.write(self.protocol.Trace(packet=[packet]).SerializeToString())
