"""Replays as timelines for Perfetto (ui.perfetto.dev): who held which unit when, and for what."""

from simulator.timeline.events import TimelineRecording, record, record_stream
from simulator.timeline.files import check_target, write_timeline
from simulator.timeline.windows import StateWindows, array_windows

__all__ = [
    "StateWindows",
    "TimelineRecording",
    "array_windows",
    "check_target",
    "record",
    "record_stream",
    "write_timeline",
]
