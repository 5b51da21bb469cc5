"""Timing and organisation of DRAM standards, in clock cycles, as their sources list them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from simulator.config.shipped import records


class DramStandard(NamedTuple):
    """Describe a speed grade: its organisation, then its minimum times between commands.

    Times are in cycles of the command clock (`tck_ns`), named as JEDEC names them. `columns` is
    the bursts of a row; `act_cycles` and `cas_cycles` are how long a command holds the bus.
    """

    source: str
    tck_ns: float
    burst_bytes: int
    pseudo_channels: int
    bank_groups: int
    banks: int
    """Of one bank group."""
    columns: int
    bl: int
    cl: int
    cwl: int
    rcd_read: int
    rcd_write: int
    rp: int
    rp_all: int
    ras: int
    rc: int
    wr: int
    rtp: int
    ccd_s: int
    ccd_l: int
    ccd_s_write: int
    ccd_l_write: int
    rrd_s: int
    rrd_l: int
    wtr_s: int
    wtr_l: int
    faw: int
    rfc: int
    refi: int
    read_to_write: int
    xp: int
    """From the end of power-down to the first command."""
    ppd: int = 0
    act_cycles: int = 1
    cas_cycles: int = 1
    two_buses: int = 0
    """1 where rows and columns have a command bus each."""
    split_activate: int = 0
    """Cycles within which the second half of an activate must follow; 0 where it is one command."""
    clock_sync: int = 0
    """Cycles that the data clock runs on after a burst; a later access begins with a CAS command.

    0 where the data clock always runs."""
    bl_group: int = 0
    """Burst cycles within a bank group, where they differ from `bl`."""


STANDARDS = records(Path(__file__).with_suffix(".csv"), DramStandard, "name")
"""By the name that a machine's file uses."""
