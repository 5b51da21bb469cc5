"""Cycles from one DRAM command to the next allowed one, and where an address lies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.memories.dram_standards import DramStandard
from simulator.config.arrays import Ints

NEVER = 1 << 60
READ, WRITE, ACTIVATE, PRECHARGE, REFRESH, PRECHARGE_ALL = range(6)
IN_BANK, IN_GROUP, IN_HALF = range(3)
"""Levels: commands to the same bank, bank group, half of a channel."""
LATER = 5
"""Commands that are kept from earlier ones: all but the last, which waits as PRECHARGE does."""


class Gaps(NamedTuple):
    """Hold the cycles that commands keep from each other.

    after: int64 (level, command, later command), 0 where any time will do.
    four_acts: from an activate to the fourth one after it. read_done: from a read to the cycle
    after its data. refresh_every: between refreshes.
    act_bus, cas_bus: how long a command holds its bus; two_buses: rows and columns have their own.
    split_activate: within which the second half of an activate follows, 0 where it is one command.
    read_sync, write_sync: how long the data clock runs on, 0 where it always runs. wake: from the
    end of power-down to a command. down_after: idle cycles before power-down.
    """

    after: Ints
    four_acts: int
    read_done: int
    refresh_every: int
    act_bus: int
    cas_bus: int
    two_buses: int
    split_activate: int
    read_sync: int
    write_sync: int
    wake: int
    down_after: int


def gaps_of(standard: DramStandard, refresh: bool, power_down_after: int) -> Gaps:
    """Return the gaps of a standard; `power_down_after` idle cycles, 0 for never.

    A command that holds the bus for several cycles counts from its last one, so a gap grows by the
    first command's further cycles and shrinks by the second one's.
    """
    act, cas = standard.act_cycles - 1, standard.cas_cycles - 1
    read_ends, write_ends = standard.cl + standard.bl, standard.cwl + standard.bl
    bank, group, half = after = np.zeros((3, 6, LATER), np.int64)
    bank[READ, PRECHARGE] = standard.rtp + cas
    bank[WRITE, PRECHARGE] = write_ends + standard.wr + cas
    bank[ACTIVATE, READ] = standard.rcd_read + act - cas
    bank[ACTIVATE, WRITE] = standard.rcd_write + act - cas
    bank[ACTIVATE, ACTIVATE] = standard.rc
    bank[ACTIVATE, PRECHARGE] = standard.ras + act
    bank[PRECHARGE, ACTIVATE] = standard.rp - act
    group[READ, READ] = standard.ccd_l
    group[WRITE, READ] = standard.cwl + (standard.bl_group or standard.bl) + standard.wtr_l
    group[WRITE, WRITE] = standard.ccd_l_write
    group[ACTIVATE, ACTIVATE] = standard.rrd_l
    half[READ, READ] = max(standard.bl, standard.ccd_s)
    half[READ, WRITE] = standard.read_to_write
    half[WRITE, READ] = write_ends + standard.wtr_s
    half[WRITE, WRITE] = max(standard.bl, standard.ccd_s_write)
    half[ACTIVATE, ACTIVATE] = standard.rrd_s
    half[ACTIVATE, REFRESH] = standard.rc + act
    half[[PRECHARGE, PRECHARGE_ALL], PRECHARGE] = standard.ppd
    half[[PRECHARGE, PRECHARGE_ALL], REFRESH] = standard.rp
    half[PRECHARGE_ALL, ACTIVATE] = standard.rp_all - act
    half[REFRESH, ACTIVATE] = standard.rfc - act
    half[REFRESH, PRECHARGE] = standard.rfc
    return Gaps(
        after=after,
        four_acts=standard.faw,
        read_done=read_ends,
        refresh_every=standard.refi if refresh else NEVER,
        act_bus=standard.act_cycles,
        cas_bus=standard.cas_cycles,
        two_buses=standard.two_buses,
        split_activate=standard.split_activate,
        read_sync=read_ends + standard.clock_sync if standard.clock_sync else 0,
        write_sync=write_ends + standard.clock_sync if standard.clock_sync else 0,
        wake=standard.xp,
        down_after=power_down_after or NEVER,
    )


def place_bursts(
    addresses: Ints, standard: DramStandard, channels: int, mapping: str
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Return channel, half, group, bank and row of the burst at each byte address.

    Channels take turns burst by burst. `row_bank_column`: a row's columns are consecutive, then
    come pseudo channels, bank groups, banks. `four_burst_xor`: four bursts of a row are, then its
    bits change pseudo channel, group and bank; the column's bits are xor-ed into these and the row
    (Kaseridis et al., MICRO 2011).
    """
    rest = addresses // standard.burst_bytes
    channel, rest = rest % channels, rest // channels
    sizes = (standard.pseudo_channels, standard.bank_groups, standard.banks)
    low = 4 if mapping == "four_burst_xor" else standard.columns
    column, rest = rest % low, rest // low
    places = []
    for size in sizes:
        places.append(rest % size)
        rest = rest // size
    if mapping == "four_burst_xor":
        high = standard.columns // low
        column, row = column + low * (rest % high), rest // high
        for index, size in enumerate(sizes):
            places[index] ^= column % size
            column = column // size
        row = row ^ column
    else:
        row = rest
    half, group, bank = places
    group = half * standard.bank_groups + group
    return channel, half, group, group * standard.banks + bank, row
