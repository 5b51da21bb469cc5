"""Serve bursts on DRAM channels: banks, bus turns, refresh and power-down, command by command.

Each channel has a controller with a read and a write queue of 32 entries. It issues the oldest
command that may issue (first ready, first come), leaves pages open, and drains writes between
watermarks of 80 and 20 % of their queue. A refresh of all banks comes each tREFI and goes before
new requests. Bursts enter in order: one that finds its queue full holds back all later ones.
The policy is that of Ramulator 2.1 (Luo et al., IEEE CAL 2023), the times are the standard's.
Time passes in cycles of the DRAM's command clock and jumps where nothing can happen.
"""

from __future__ import annotations

import numpy as np

from simulator.components.memories import dram_state as col
from simulator.components.memories.dram_gaps import (
    ACTIVATE,
    IN_BANK,
    IN_GROUP,
    IN_HALF,
    LATER,
    NEVER,
    PRECHARGE,
    PRECHARGE_ALL,
    REFRESH,
    WRITE,
)
from simulator.components.memories.dram_state import QUEUE, Controllers
from simulator.config.arrays import Ints
from simulator.config.kernels import allocating_kernel, kernel_part

DRAIN_ABOVE, DRAIN_BELOW = 0.8 * QUEUE, 0.2 * QUEUE


@allocating_kernel
def serve(dram: Controllers) -> int:
    """Serve all bursts; fill `done`; return the cycle after the last data.

    A write is done when its command issues: its data are the controller's from then on.
    """
    channels, total = len(dram.queue), len(dram.bursts)
    wake = np.zeros(channels, np.int64)
    left, entered, cycle = total, 0, dram.bursts[0, col.ARRIVAL]
    while left > 0:
        answered = 0
        while answered >= 0 and entered < total and dram.bursts[entered, col.ARRIVAL] <= cycle:
            answered = _enter(dram, entered, cycle)
            if answered >= 0:
                channel = dram.bursts[entered, col.CHANNEL]
                wake[channel] = min(wake[channel], cycle)
                entered += 1
                left -= answered
        waits = answered >= 0 and entered < total
        following = dram.bursts[entered, col.ARRIVAL] if waits else NEVER
        for channel in range(channels):
            if wake[channel] <= cycle:
                wake[channel], served = _step(dram, channel, cycle)
                left -= served
            following = min(following, wake[channel])
        cycle = max(cycle + 1, following)
    end = int(dram.done.max())
    for channel in range(channels):
        _account(dram, channel, max(cycle, end), 0)
    return end


@kernel_part
def _enter(dram: Controllers, burst: int, cycle: int) -> int:
    """Put a burst into its queue: 0. Return 1 if a queued write answers it, -1 if there is no room.

    A read of an address that waits to be written takes its data from the queue; a second write to
    it replaces the first.
    """
    gaps, channel = dram.gaps, dram.bursts[burst, col.CHANNEL]
    clock = dram.channel[channel]
    for place in range(clock[col.QUEUED + 1]):
        if (
            dram.bursts[dram.queue[channel, 1, place], col.ADDRESS]
            == dram.bursts[burst, col.ADDRESS]
        ):
            dram.done[burst] = cycle + 1
            return 1
    kind = dram.bursts[burst, col.IS_WRITE]
    place = clock[col.QUEUED + kind]
    if place == QUEUE:
        return -1
    if cycle - clock[col.IDLE_SINCE] >= gaps.down_after:
        _account(dram, channel, cycle, 0)
        dram.counts[channel, col.DOWN_ENTRIES] += 1
        clock[col.ROW_BUS] = max(clock[col.ROW_BUS], cycle + gaps.wake)
        clock[col.COLUMN_BUS] = max(clock[col.COLUMN_BUS], cycle + gaps.wake)
    clock[col.IDLE_SINCE] = NEVER
    dram.queue[channel, kind, place] = burst
    clock[col.QUEUED + kind] = place + 1
    return 0


@kernel_part
def _account(dram: Controllers, channel: int, cycle: int, opened: int) -> None:
    """Add the cycles since the last change to the channel's state; then open some banks more."""
    clock, counts = dram.channel[channel], dram.counts[channel]
    since = clock[col.ACTIVE_SINCE]
    down_from = max(since, clock[col.IDLE_SINCE] + dram.gaps.down_after)
    if down_from < cycle:
        counts[col.ACTIVE_DOWN if clock[col.OPEN_BANKS] > 0 else col.IDLE_DOWN] += cycle - down_from
    if clock[col.OPEN_BANKS] > 0:
        counts[col.ACTIVE] += max(0, min(cycle, down_from) - since)
    clock[col.ACTIVE_SINCE] = cycle
    clock[col.OPEN_BANKS] += opened


@kernel_part
def _step(dram: Controllers, channel: int, cycle: int) -> tuple[int, int]:
    """Issue what one channel may issue now; return when to look again and the bursts served."""
    clock = dram.channel[channel]
    while cycle >= clock[col.NEXT_REFRESH]:
        clock[col.NEXT_REFRESH] += dram.gaps.refresh_every
        clock[col.REFRESHES] += dram.half.shape[1]
    # The second half of an activate: its times count from the first.
    if clock[col.HALF_OPEN] >= 0 and cycle >= clock[col.HALF_UNTIL]:
        clock[col.HALF_OPEN] = -1
        return cycle + 1, 0
    if clock[col.SYNC_BURST] >= 0:
        burst = clock[col.SYNC_BURST]
        at = _ready(dram, burst, dram.bursts[burst, col.IS_WRITE])
        if at > cycle:
            return at, 0
        return cycle + 1, _access(dram, burst, cycle)
    served, issued, following = 0, False, min(clock[col.NEXT_REFRESH], NEVER)
    slots = 2 if dram.gaps.two_buses else 1
    for slot in range(slots):
        used, found, at = _issue_one(dram, channel, cycle, slot == 0, slot == slots - 1)
        issued |= used
        served += found
        following = min(following, at)
    if not issued and clock[col.HALF_OPEN] >= 0:
        clock[col.HALF_OPEN] = -1
        issued = True
    if clock[col.QUEUED] + clock[col.QUEUED + 1] + clock[col.OPENED] == 0:
        clock[col.IDLE_SINCE] = min(clock[col.IDLE_SINCE], cycle)
    return (cycle + 1 if issued else following), served


@kernel_part
def _issue_one(
    dram: Controllers, channel: int, cycle: int, columns: bool, rows: bool
) -> tuple[bool, int, int]:
    """Issue one command of a bus: (issued, bursts served, when the next one may issue)."""
    clock = dram.channel[channel]
    following = NEVER
    if columns:
        burst, _, following = _oldest(dram, channel, col.OPENED, cycle, columns, rows)
        if burst >= 0:
            return True, _access(dram, burst, cycle), NEVER
    if clock[col.REFRESHES] > 0:
        issued, at = _refresh(dram, channel, cycle) if rows else (False, NEVER)
        return issued, 0, min(following, at)
    if clock[col.DRAINS] == 0:
        if clock[col.QUEUED + 1] > DRAIN_ABOVE or clock[col.QUEUED] == 0:
            clock[col.DRAINS] = 1
    elif clock[col.QUEUED + 1] < DRAIN_BELOW and clock[col.QUEUED] != 0:
        clock[col.DRAINS] = 0
    kind = col.QUEUED + clock[col.DRAINS]
    burst, command, at = _oldest(dram, channel, kind, cycle, columns, rows)
    if burst < 0:
        return False, 0, min(following, at)
    if command <= WRITE:
        return True, _access(dram, burst, cycle), NEVER
    _open_or_close(dram, burst, command, cycle)
    return True, 0, NEVER


@kernel_part
def _ready(dram: Controllers, burst: int, command: int) -> int:
    """Return the first cycle at which a command for a burst may issue."""
    where, gaps = dram.bursts[burst], dram.gaps
    channel = where[col.CHANNEL]
    half = dram.half[channel, where[col.HALF]]
    at = max(
        dram.bank[channel, where[col.BANK], command],
        dram.group[channel, where[col.GROUP], command],
        half[command],
    )
    if command == ACTIVATE:
        at = max(at, half[col.LAST_ACTS + 3] + gaps.four_acts)
    column = gaps.two_buses and command <= WRITE
    return int(max(at, dram.channel[channel, col.COLUMN_BUS if column else col.ROW_BUS]))


@kernel_part
def _delay(dram: Controllers, burst: int, command: int, cycle: int) -> None:
    """Keep later commands behind one that issues for a burst."""
    where, after = dram.bursts[burst], dram.gaps.after
    channel = where[col.CHANNEL]
    bank, group = dram.bank[channel, where[col.BANK]], dram.group[channel, where[col.GROUP]]
    half = dram.half[channel, where[col.HALF]]
    for later in range(REFRESH):
        bank[later] = max(bank[later], cycle + after[IN_BANK, command, later])
        group[later] = max(group[later], cycle + after[IN_GROUP, command, later])
        half[later] = max(half[later], cycle + after[IN_HALF, command, later])
    half[REFRESH] = max(half[REFRESH], cycle + after[IN_HALF, command, REFRESH])


@kernel_part
def _oldest(
    dram: Controllers, channel: int, kind: int, cycle: int, columns: bool, rows: bool
) -> tuple[int, int, int]:
    """Find the oldest burst of a queue with a command that may issue: (burst, command, when)."""
    half_open = dram.channel[channel, col.HALF_OPEN]
    following = NEVER
    for place in range(dram.channel[channel, kind]):
        burst = dram.queue[channel, kind, place]
        bank = dram.bursts[burst, col.BANK]
        row = dram.bank[channel, bank, col.OPEN_ROW]
        if row == dram.bursts[burst, col.ROW]:
            if not columns or half_open == bank:
                continue
            command = dram.bursts[burst, col.IS_WRITE]
        else:
            command = ACTIVATE if row < 0 else PRECHARGE
            if not rows or (command == PRECHARGE and dram.bank[channel, bank, col.HELD] > 0):
                continue
            if half_open >= 0 and (command == ACTIVATE or half_open == bank):
                continue
        at = _ready(dram, burst, command)
        if at <= cycle:
            return burst, command, at
        following = min(following, at)
    return -1, 0, following


@kernel_part
def _access(dram: Controllers, burst: int, cycle: int) -> int:
    """Read or write a burst, which no longer waits: 1. Return 0 if its data clock starts first."""
    gaps, channel, write = (
        dram.gaps,
        dram.bursts[burst, col.CHANNEL],
        dram.bursts[burst, col.IS_WRITE],
    )
    clock = dram.channel[channel]
    if gaps.read_sync and cycle >= clock[col.SYNCED] and clock[col.SYNC_BURST] != burst:
        clock[col.SYNC_BURST] = burst
        return 0
    clock[col.SYNC_BURST] = -1
    _delay(dram, burst, write, cycle)
    dram.done[burst] = cycle + (0 if write else gaps.read_done)
    dram.counts[channel, col.READS + write] += 1
    clock[col.SYNCED] = max(
        clock[col.SYNCED], cycle + (gaps.write_sync if write else gaps.read_sync)
    )
    clock[col.COLUMN_BUS if gaps.two_buses else col.ROW_BUS] = cycle + gaps.cas_bus
    if _remove(dram.queue[channel, col.OPENED], burst, clock, col.OPENED):
        dram.bank[channel, dram.bursts[burst, col.BANK], col.HELD] -= 1
    else:
        _remove(dram.queue[channel, write], burst, clock, col.QUEUED + write)
        dram.counts[channel, col.HITS] += 1
    return 1


@kernel_part
def _remove(places: Ints, burst: int, counts: Ints, count: int) -> bool:
    """Take a burst out and close the gap, so that the order stays; False: not there."""
    for place in range(counts[count]):
        if places[place] == burst:
            counts[count] -= 1
            for later in range(place, counts[count]):
                places[later] = places[later + 1]
            return True
    return False


@kernel_part
def _open_or_close(dram: Controllers, burst: int, command: int, cycle: int) -> None:
    """Issue the activate or the precharge that a burst needs."""
    gaps, where = dram.gaps, dram.bursts[burst]
    channel, bank = where[col.CHANNEL], where[col.BANK]
    clock, half = dram.channel[channel], dram.half[channel, where[col.HALF]]
    _delay(dram, burst, command, cycle)
    if command == PRECHARGE:
        dram.bank[channel, bank, col.OPEN_ROW] = -1
        clock[col.ROW_BUS] = cycle + 1
        _account(dram, channel, cycle, -1)
        return
    for older in range(col.LAST_ACTS + 3, col.LAST_ACTS, -1):
        half[older] = half[older - 1]
    half[col.LAST_ACTS] = cycle
    clock[col.ROW_BUS] = cycle + gaps.act_bus
    dram.bank[channel, bank, col.OPEN_ROW] = where[col.ROW]
    dram.counts[channel, col.ACTIVATES] += 1
    _account(dram, channel, cycle, 1)
    kind = where[col.IS_WRITE]
    _remove(dram.queue[channel, kind], burst, clock, col.QUEUED + kind)
    opened, place = dram.queue[channel, col.OPENED], clock[col.OPENED]
    while place > 0 and opened[place - 1] > burst:
        opened[place] = opened[place - 1]
        place -= 1
    opened[place] = burst
    clock[col.OPENED] += 1
    dram.bank[channel, bank, col.HELD] += 1
    if gaps.split_activate:
        clock[col.HALF_OPEN] = bank
        clock[col.HALF_UNTIL] = cycle + gaps.split_activate


@kernel_part
def _refresh(dram: Controllers, channel: int, cycle: int) -> tuple[bool, int]:
    """Close all banks of the next half to refresh, or refresh it: (issued, when)."""
    gaps, clock = dram.gaps, dram.channel[channel]
    halves = dram.half.shape[1]
    size = dram.bank.shape[1] // halves
    place = -clock[col.REFRESHES] % halves
    banks, half = dram.bank[channel, place * size : (place + 1) * size], dram.half[channel, place]
    opened, held, closes_at = 0, False, 0
    for bank in range(size):
        opened += banks[bank, col.OPEN_ROW] >= 0
        held |= banks[bank, col.HELD] > 0
        closes_at = max(closes_at, banks[bank, PRECHARGE])
    at = max(clock[col.ROW_BUS], half[PRECHARGE], closes_at if opened else half[REFRESH])
    if held or at > cycle:
        return False, NEVER if held else at
    clock[col.ROW_BUS] = cycle + 1
    command = PRECHARGE_ALL if opened else REFRESH
    for later in range(LATER):
        half[later] = max(half[later], cycle + gaps.after[IN_HALF, command, later])
    if opened:
        banks[:, col.OPEN_ROW] = -1
        _account(dram, channel, cycle, -opened)
        return True, NEVER
    clock[col.REFRESHES] -= 1
    dram.counts[channel, col.REFRESHED] += 1
    return True, NEVER
