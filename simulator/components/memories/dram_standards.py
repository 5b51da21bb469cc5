"""Timing and organisation of DRAM standards, in clock cycles, as their sources list them."""

from __future__ import annotations

from typing import NamedTuple


class DramStandard(NamedTuple):
    """One speed grade: its organisation, then its minimum times between commands.

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


def _ddr4_2400() -> DramStandard:
    return DramStandard(
        source="JESD79-4, 2400R, x8, 8 Gb, one rank of 64 bits; as Ramulator 2.1 (c5b1c3a) "
        "lists it",
        tck_ns=0.833,
        burst_bytes=64,
        pseudo_channels=1,
        bank_groups=4,
        banks=4,
        columns=128,
        bl=4,
        cl=16,
        cwl=12,
        rcd_read=16,
        rcd_write=16,
        rp=16,
        rp_all=16,
        ras=39,
        rc=55,
        wr=18,
        rtp=9,
        ccd_s=4,
        ccd_l=6,
        ccd_s_write=4,
        ccd_l_write=6,
        rrd_s=4,
        rrd_l=6,
        wtr_s=3,
        wtr_l=9,
        faw=26,
        rfc=433,
        refi=9364,
        read_to_write=10,
        xp=8,
    )


def _ddr5_3200() -> DramStandard:
    return DramStandard(
        source="JESD79-5, 3200AN, x8, 16 Gb, a channel of 32 bits; as Ramulator 2.1 (c5b1c3a) "
        "lists it",
        tck_ns=0.625,
        burst_bytes=64,
        pseudo_channels=1,
        bank_groups=8,
        banks=4,
        columns=64,
        bl=8,
        cl=24,
        cwl=22,
        rcd_read=24,
        rcd_write=24,
        rp=24,
        rp_all=24,
        ras=52,
        rc=76,
        wr=48,
        rtp=12,
        ccd_s=8,
        ccd_l=8,
        ccd_s_write=8,
        ccd_l_write=32,
        rrd_s=8,
        rrd_l=5,
        wtr_s=6,
        wtr_l=16,
        faw=32,
        rfc=472,
        refi=6240,
        read_to_write=14,
        xp=12,
        ppd=2,
        act_cycles=2,
        cas_cycles=2,
    )


def _lpddr4_3200() -> DramStandard:
    return DramStandard(
        source="JESD209-4B, 3200, one x16 channel of 8 Gb (half a 16 Gb die): core and refresh "
        "timing, RL 28, WL 14, tRFCab 280 ns; no recorded run compares with it",
        tck_ns=0.625,
        burst_bytes=32,
        pseudo_channels=1,
        bank_groups=1,
        banks=8,
        columns=64,
        bl=8,
        cl=28,
        cwl=14,
        rcd_read=29,
        rcd_write=29,
        rp=29,
        rp_all=34,
        ras=68,
        rc=97,
        wr=29,
        rtp=12,
        ccd_s=8,
        ccd_l=8,
        ccd_s_write=8,
        ccd_l_write=8,
        rrd_s=16,
        rrd_l=16,
        wtr_s=16,
        wtr_l=16,
        faw=64,
        rfc=448,
        refi=6246,
        read_to_write=30,
        xp=12,
        ppd=4,
        act_cycles=4,
        cas_cycles=4,
    )


def _lpddr5_6400() -> DramStandard:
    return DramStandard(
        source="JESD209-5B, 6400, x16, 16 Gb, bank-group mode, clock ratio 4:1; as Ramulator 2.1 "
        "(c5b1c3a) lists it",
        tck_ns=1.25,
        burst_bytes=32,
        pseudo_channels=1,
        bank_groups=4,
        banks=4,
        columns=64,
        bl=2,
        cl=17,
        cwl=9,
        rcd_read=15,
        rcd_write=15,
        rp=15,
        rp_all=17,
        ras=34,
        rc=49,
        wr=28,
        rtp=8,
        ccd_s=2,
        ccd_l=4,
        ccd_s_write=2,
        ccd_l_write=4,
        rrd_s=4,
        rrd_l=4,
        wtr_s=5,
        wtr_l=10,
        faw=16,
        rfc=224,
        refi=3125,
        read_to_write=12,
        xp=6,
        ppd=2,
        split_activate=8,
        clock_sync=1,
        bl_group=4,
    )


def _hbm2_2000() -> DramStandard:
    return DramStandard(
        source="JESD235D, 2000 Mb/s a pin, 8 Gb, a channel of 2 x 64 bits; as Ramulator 2.1 "
        "(c5b1c3a) lists it",
        tck_ns=1.0,
        burst_bytes=32,
        pseudo_channels=2,
        bank_groups=4,
        banks=4,
        columns=32,
        bl=2,
        cl=14,
        cwl=5,
        rcd_read=14,
        rcd_write=12,
        rp=14,
        rp_all=14,
        ras=34,
        rc=48,
        wr=16,
        rtp=5,
        ccd_s=2,
        ccd_l=4,
        ccd_s_write=2,
        ccd_l_write=4,
        rrd_s=4,
        rrd_l=4,
        wtr_s=6,
        wtr_l=8,
        faw=15,
        rfc=350,
        refi=3900,
        read_to_write=13,
        xp=8,
        act_cycles=2,
        two_buses=1,
    )


STANDARDS: dict[str, DramStandard] = {
    "ddr4_2400": _ddr4_2400(),
    "ddr5_3200": _ddr5_3200(),
    "lpddr4_3200": _lpddr4_3200(),
    "lpddr5_6400": _lpddr5_6400(),
    "hbm2_2000": _hbm2_2000(),
}
"""By the name that a machine's file uses."""
