"""Replays as timelines for Perfetto (ui.perfetto.dev): who held which unit when, and for what."""

from simulator.timeline.events import Recording, record
from simulator.timeline.files import check_target, write_timeline

__all__ = ["Recording", "check_target", "record", "write_timeline"]
