"""Cycles from one DRAM command to the next allowed one, and where an address lies."""

from __future__ import annotations

import numpy as np

from simulator.components.memories.dram_standards import DramStandard
from simulator.config.arrays import Ints

NEVER = 1 << 60
# Places of a gap; `_s` to another bank group, `_l` within one.
ACT_READ, ACT_WRITE, ACT_PRE, ACT_ACT, ACT_ACT_S, ACT_ACT_L = range(0, 6)
FOUR_ACTS, PRE_ACT, PRE_ALL_ACT, PRE_PRE, PRE_REFRESH, ACT_REFRESH = range(6, 12)
REFRESH_ACT, READ_READ_S, READ_READ_L, WRITE_WRITE_S, WRITE_WRITE_L, READ_WRITE = range(12, 18)
WRITE_READ_S, WRITE_READ_L, READ_PRE, WRITE_PRE, READ_DONE, REFRESH = range(18, 24)
REFRESH_EVERY, ACT_BUS, CAS_BUS, TWO_BUSES, SPLIT_ACTIVATE, READ_SYNC = range(24, 30)
WRITE_SYNC, WAKE, DOWN_AFTER = range(30, 33)


def gaps_of(standard: DramStandard, refresh: bool, power_down_after: int) -> Ints:
    """Return the gaps of a standard; `power_down_after` idle cycles, 0 for never.

    A command that holds the bus for several cycles counts from its last one, so a gap grows by the
    first command's further cycles and shrinks by the second one's.
    """
    act, cas = standard.act_cycles - 1, standard.cas_cycles - 1
    burst, sync = standard.bl, standard.clock_sync
    gaps = np.zeros(DOWN_AFTER + 1, np.int64)
    gaps[ACT_READ] = standard.rcd_read + act - cas
    gaps[ACT_WRITE] = standard.rcd_write + act - cas
    gaps[ACT_PRE] = standard.ras + act
    gaps[ACT_ACT] = standard.rc
    gaps[ACT_ACT_S] = standard.rrd_s
    gaps[ACT_ACT_L] = standard.rrd_l
    gaps[FOUR_ACTS] = standard.faw
    gaps[PRE_ACT] = standard.rp - act
    gaps[PRE_ALL_ACT] = standard.rp_all - act
    gaps[PRE_PRE] = standard.ppd
    gaps[PRE_REFRESH] = standard.rp
    gaps[ACT_REFRESH] = standard.rc + act
    gaps[REFRESH_ACT] = standard.rfc - act
    gaps[READ_READ_S] = max(burst, standard.ccd_s)
    gaps[READ_READ_L] = standard.ccd_l
    gaps[WRITE_WRITE_S] = max(burst, standard.ccd_s_write)
    gaps[WRITE_WRITE_L] = standard.ccd_l_write
    gaps[READ_WRITE] = standard.read_to_write
    gaps[WRITE_READ_S] = standard.cwl + burst + standard.wtr_s
    gaps[WRITE_READ_L] = standard.cwl + (standard.bl_group or burst) + standard.wtr_l
    gaps[READ_PRE] = standard.rtp + cas
    gaps[WRITE_PRE] = standard.cwl + burst + standard.wr + cas
    gaps[READ_DONE] = standard.cl + burst
    gaps[REFRESH] = standard.rfc
    gaps[REFRESH_EVERY] = standard.refi if refresh else NEVER
    gaps[ACT_BUS] = standard.act_cycles
    gaps[CAS_BUS] = standard.cas_cycles
    gaps[TWO_BUSES] = standard.two_buses
    gaps[SPLIT_ACTIVATE] = standard.split_activate
    gaps[READ_SYNC] = standard.cl + burst + sync if sync else 0
    gaps[WRITE_SYNC] = standard.cwl + burst + sync if sync else 0
    gaps[WAKE] = standard.xp
    gaps[DOWN_AFTER] = power_down_after or NEVER
    return gaps


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
