"""Serve bursts on DRAM channels: banks, bus turns, refresh and power-down, command by command.

Each channel has a controller with a read and a write queue of 32 entries. It issues the oldest
command that may issue (first ready, first come), leaves pages open, and drains writes between
watermarks of 80 and 20 % of their queue. A refresh of all banks comes each tREFI and goes before
new requests. Bursts enter in order: one that finds its queue full holds back all later ones.
The policy is that of Ramulator 2.1 (Luo et al., IEEE CAL 2023), the times are the standard's.
Time passes in cycles of the DRAM's command clock and jumps where nothing can happen.

A burst is a row of `bursts`, a gap a place of `gaps`: the constants below name the columns. Few
arrays rather than many keep the compiler's time at seconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.memories import dram_gaps as gap
from simulator.components.memories.dram_gaps import NEVER
from simulator.config.arrays import Ints
from simulator.config.kernels import allocating_kernel, kernel_part

QUEUE = 32
"""Entries of the read and of the write queue of a channel."""
DRAIN_ABOVE, DRAIN_BELOW = 0.8 * QUEUE, 0.2 * QUEUE

# Columns of a burst: where it goes (groups and banks are numbered within the channel), whether it
# is a write, and the cycle of its arrival.
CHANNEL, HALF, GROUP, BANK, ROW, ADDRESS, IS_WRITE, ARRIVAL = range(8)
# Commands; of a bank, a group and a half: from when on each may issue.
READ, WRITE, ACTIVATE, PRECHARGE = range(4)
# Then of a bank: its open row or -1, and bursts that opened it and have not used it yet.
OPEN_ROW, HELD = 4, 5
# Then of a half: its last four activates, the latest first, and its last precharge.
LAST_ACTS, LAST_PRECHARGE = 4, 8
# Of a channel: bursts in its read queue, in its write queue, and with their row opened; ...
QUEUED, OPENED = 0, 2
# ... whether it drains writes, next refresh, halves to refresh, buses free, data clock's end, ...
DRAINS, NEXT_REFRESH, REFRESHES, ROW_BUS, COLUMN_BUS, SYNCED = range(3, 9)
# ... bank with half an activate or -1 and its deadline, burst that waits for the data clock or -1,
HALF_OPEN, HALF_UNTIL, SYNC_BURST = range(9, 12)
# ... since when it is idle, since when its banks are as they are, how many are open.
IDLE_SINCE, ACTIVE_SINCE, OPEN_BANKS = range(12, 15)
# Of a channel: events, then cycles with a bank open, and powered down with none and with one open.
READS, WRITES, ACTIVATES, REFRESHED, HITS, DOWN_ENTRIES, ACTIVE, IDLE_DOWN, ACTIVE_DOWN = range(9)


class ControllerState(NamedTuple):
    """What the controllers know; the first axis of each array is the channel.

    `queue`: bursts that wait to read, to write, and whose rows are open for them.
    """

    queue: Ints
    bank: Ints
    group: Ints
    half: Ints
    channel: Ints
    counts: Ints


def new_state(channels: int, halves: int, groups: int, banks: int, gaps: Ints) -> ControllerState:
    """Return controllers with empty queues and all banks closed; sizes are those of a channel."""
    state = ControllerState(
        queue=np.zeros((channels, 3, max(QUEUE, banks)), np.int64),
        bank=np.zeros((channels, banks, 6), np.int64),
        group=np.zeros((channels, groups, 4), np.int64),
        half=np.zeros((channels, halves, 9), np.int64),
        channel=np.zeros((channels, 15), np.int64),
        counts=np.zeros((channels, 9), np.int64),
    )
    state.bank[:, :, OPEN_ROW] = -1
    state.half[:, :, LAST_ACTS:] = -NEVER
    state.channel[:, NEXT_REFRESH] = gaps[gap.REFRESH_EVERY]
    state.channel[:, [HALF_OPEN, SYNC_BURST]] = -1
    return state


@allocating_kernel
def serve(bursts: Ints, gaps: Ints, state: ControllerState, done: Ints) -> int:
    """Serve all bursts; fill `done` with the cycle after each one's last data; return the last.

    A write is done when its command issues: its data are the controller's from then on.
    """
    channels, total = len(state.queue), len(bursts)
    wake = np.zeros(channels, np.int64)
    left, entered, cycle = total, 0, bursts[0, ARRIVAL]
    while left > 0:
        blocked = False
        while entered < total and bursts[entered, ARRIVAL] <= cycle and not blocked:
            channel = bursts[entered, CHANNEL]
            taken = _enter(bursts, gaps, state, done, entered, cycle)
            blocked = taken < 0
            if not blocked:
                entered += 1
                left -= taken
                wake[channel] = min(wake[channel], cycle)
        following = NEVER
        if entered < total and not blocked:
            following = bursts[entered, ARRIVAL]
        for channel in range(channels):
            if wake[channel] <= cycle:
                wake[channel], served = _step(bursts, gaps, state, done, channel, cycle)
                left -= served
            following = min(following, wake[channel])
        cycle = max(cycle + 1, following)
    end = 0
    for burst in range(total):
        end = max(end, done[burst])
    for channel in range(channels):
        _account(gaps, state, channel, max(cycle, end), state.channel[channel, OPEN_BANKS])
    return end


@kernel_part
def _enter(
    bursts: Ints, gaps: Ints, state: ControllerState, done: Ints, burst: int, cycle: int
) -> int:
    """Put a burst into its queue: 0. Return 1 if a queued write answers it, -1 if there is no room.

    A read of an address that waits to be written takes its data from the queue; a second write to
    it replaces the first.
    """
    channel = bursts[burst, CHANNEL]
    clock = state.channel[channel]
    for place in range(clock[QUEUED + 1]):
        if bursts[state.queue[channel, 1, place], ADDRESS] == bursts[burst, ADDRESS]:
            done[burst] = cycle + 1
            return 1
    kind = bursts[burst, IS_WRITE]
    place = clock[QUEUED + kind]
    if place == QUEUE:
        return -1
    idle = _is_idle(clock)
    if idle and cycle - clock[IDLE_SINCE] >= gaps[gap.DOWN_AFTER]:
        _account(gaps, state, channel, cycle, clock[OPEN_BANKS])
        state.counts[channel, DOWN_ENTRIES] += 1
        clock[ROW_BUS] = max(clock[ROW_BUS], cycle + gaps[gap.WAKE])
        clock[COLUMN_BUS] = max(clock[COLUMN_BUS], cycle + gaps[gap.WAKE])
    if idle:
        clock[IDLE_SINCE] = NEVER
    state.queue[channel, kind, place] = burst
    clock[QUEUED + kind] = place + 1
    return 0


@kernel_part
def _is_idle(clock: Ints) -> bool:
    """Return whether no burst waits in a channel."""
    return bool(clock[QUEUED] + clock[QUEUED + 1] + clock[OPENED] == 0)


@kernel_part
def _account(gaps: Ints, state: ControllerState, channel: int, cycle: int, open_banks: int) -> None:
    """Add the cycles since the last change to the state that the channel was in."""
    clock, counts = state.channel[channel], state.counts[channel]
    since = clock[ACTIVE_SINCE]
    down_from = max(since, clock[IDLE_SINCE] + gaps[gap.DOWN_AFTER])
    if down_from < cycle:
        counts[ACTIVE_DOWN if clock[OPEN_BANKS] > 0 else IDLE_DOWN] += cycle - down_from
    awake_until = min(cycle, down_from)
    if clock[OPEN_BANKS] > 0:
        counts[ACTIVE] += max(0, awake_until - since)
    clock[ACTIVE_SINCE] = cycle
    clock[OPEN_BANKS] = open_banks


@kernel_part
def _step(
    bursts: Ints, gaps: Ints, state: ControllerState, done: Ints, channel: int, cycle: int
) -> tuple[int, int]:
    """Issue what one channel may issue now; return when to look again and the bursts served."""
    clock = state.channel[channel]
    while cycle >= clock[NEXT_REFRESH]:
        clock[NEXT_REFRESH] += gaps[gap.REFRESH_EVERY]
        clock[REFRESHES] += state.half.shape[1]
    # The second half of an activate: its times count from the first.
    if clock[HALF_OPEN] >= 0 and cycle >= clock[HALF_UNTIL]:
        clock[HALF_OPEN] = -1
        return cycle + 1, 0
    if clock[SYNC_BURST] >= 0:
        burst = clock[SYNC_BURST]
        command = bursts[burst, IS_WRITE]
        at = _ready(bursts, gaps, state, burst, command)
        if at > cycle:
            return at, 0
        clock[SYNC_BURST] = -1
        _access(bursts, gaps, state, done, burst, cycle)
        return cycle + 1, 1
    served, issued, following = 0, False, min(clock[NEXT_REFRESH], NEVER)
    slots = 2 if gaps[gap.TWO_BUSES] else 1
    for slot in range(slots):
        columns, rows = slot == 0, slot == slots - 1
        used, found, at = _issue_one(bursts, gaps, state, done, channel, cycle, columns, rows)
        issued |= used
        served += found
        following = min(following, at)
    if not issued and clock[HALF_OPEN] >= 0:
        clock[HALF_OPEN] = -1
        issued = True
    if _is_idle(clock):
        clock[IDLE_SINCE] = min(clock[IDLE_SINCE], cycle)
    return (cycle + 1 if issued else following), served


@kernel_part
def _issue_one(
    bursts: Ints,
    gaps: Ints,
    state: ControllerState,
    done: Ints,
    channel: int,
    cycle: int,
    columns: bool,
    rows: bool,
) -> tuple[bool, int, int]:
    """Issue one command of a bus: (issued, bursts served, when the next one may issue)."""
    clock = state.channel[channel]
    following = NEVER
    if columns:
        place, at = _oldest_opened(bursts, gaps, state, channel, cycle)
        if place >= 0:
            burst = state.queue[channel, 2, place]
            return True, _take(bursts, gaps, state, done, burst, cycle), NEVER
        following = at
    if clock[REFRESHES] > 0:
        if rows:
            issued, at = _refresh(bursts, gaps, state, channel, cycle)
            return issued, 0, min(following, at)
        return False, 0, following
    if clock[DRAINS] == 0:
        if clock[QUEUED + 1] > DRAIN_ABOVE or clock[QUEUED] == 0:
            clock[DRAINS] = 1
    elif clock[QUEUED + 1] < DRAIN_BELOW and clock[QUEUED] != 0:
        clock[DRAINS] = 0
    burst, command, at = _oldest_queued(bursts, gaps, state, channel, cycle, columns, rows)
    if burst < 0:
        return False, 0, min(following, at)
    if command <= WRITE:
        return True, _take(bursts, gaps, state, done, burst, cycle), NEVER
    _open_or_close(bursts, gaps, state, burst, command, cycle)
    return True, 0, NEVER


@kernel_part
def _ready(bursts: Ints, gaps: Ints, state: ControllerState, burst: int, command: int) -> int:
    """Return the first cycle at which a command for a burst may issue."""
    channel = bursts[burst, CHANNEL]
    half = bursts[burst, HALF]
    at = max(
        state.bank[channel, bursts[burst, BANK], command],
        state.group[channel, bursts[burst, GROUP], command],
        state.half[channel, half, command],
    )
    if command == ACTIVATE:
        at = max(at, state.half[channel, half, LAST_ACTS + 3] + gaps[gap.FOUR_ACTS])
    column = gaps[gap.TWO_BUSES] and command <= WRITE
    return int(max(at, state.channel[channel, COLUMN_BUS if column else ROW_BUS]))


@kernel_part
def _oldest_opened(
    bursts: Ints, gaps: Ints, state: ControllerState, channel: int, cycle: int
) -> tuple[int, int]:
    """Find the oldest burst with its row open for it that may be accessed: (place, when)."""
    best, following = -1, NEVER
    for place in range(state.channel[channel, OPENED]):
        burst = state.queue[channel, 2, place]
        if state.channel[channel, HALF_OPEN] == bursts[burst, BANK]:
            continue
        at = _ready(bursts, gaps, state, burst, bursts[burst, IS_WRITE])
        if at > cycle:
            following = min(following, at)
        elif best < 0 or burst < state.queue[channel, 2, best]:
            best = place
    return best, following


@kernel_part
def _oldest_queued(
    bursts: Ints,
    gaps: Ints,
    state: ControllerState,
    channel: int,
    cycle: int,
    columns: bool,
    rows: bool,
) -> tuple[int, int, int]:
    """Find the oldest queued burst with a command that may issue: (burst, command, when)."""
    kind = state.channel[channel, DRAINS]
    half_open = state.channel[channel, HALF_OPEN]
    following = NEVER
    for place in range(state.channel[channel, QUEUED + kind]):
        burst = state.queue[channel, kind, place]
        bank = bursts[burst, BANK]
        row = state.bank[channel, bank, OPEN_ROW]
        if row == bursts[burst, ROW]:
            if not columns or half_open == bank:
                continue
            command = bursts[burst, IS_WRITE]
        else:
            command = ACTIVATE if row < 0 else PRECHARGE
            if not rows or (command == PRECHARGE and state.bank[channel, bank, HELD] > 0):
                continue
            if half_open >= 0 and (command == ACTIVATE or half_open == bank):
                continue
        at = _ready(bursts, gaps, state, burst, command)
        if at <= cycle:
            return burst, command, at
        following = min(following, at)
    return -1, 0, following


@kernel_part
def _take(
    bursts: Ints, gaps: Ints, state: ControllerState, done: Ints, burst: int, cycle: int
) -> int:
    """Access a burst, or begin to: its data clock may have to be started first."""
    clock = state.channel[bursts[burst, CHANNEL]]
    if gaps[gap.READ_SYNC] and cycle >= clock[SYNCED]:
        clock[SYNC_BURST] = burst
        return 0
    _access(bursts, gaps, state, done, burst, cycle)
    return 1


@kernel_part
def _access(
    bursts: Ints, gaps: Ints, state: ControllerState, done: Ints, burst: int, cycle: int
) -> None:
    """Issue the read or write of a burst and remove it from where it waits."""
    channel, write = bursts[burst, CHANNEL], bursts[burst, IS_WRITE]
    bank, group, half = bursts[burst, BANK], bursts[burst, GROUP], bursts[burst, HALF]
    clock = state.channel[channel]
    bank_ok, group_ok = state.bank[channel, bank], state.group[channel, group]
    half_ok = state.half[channel, half]
    if write:
        done[burst] = cycle
        half_ok[WRITE] = max(half_ok[WRITE], cycle + gaps[gap.WRITE_WRITE_S])
        half_ok[READ] = max(half_ok[READ], cycle + gaps[gap.WRITE_READ_S])
        group_ok[WRITE] = max(group_ok[WRITE], cycle + gaps[gap.WRITE_WRITE_L])
        group_ok[READ] = max(group_ok[READ], cycle + gaps[gap.WRITE_READ_L])
        bank_ok[PRECHARGE] = max(bank_ok[PRECHARGE], cycle + gaps[gap.WRITE_PRE])
        state.counts[channel, WRITES] += 1
        clock[SYNCED] = max(clock[SYNCED], cycle + gaps[gap.WRITE_SYNC])
    else:
        done[burst] = cycle + gaps[gap.READ_DONE]
        half_ok[READ] = max(half_ok[READ], cycle + gaps[gap.READ_READ_S])
        half_ok[WRITE] = max(half_ok[WRITE], cycle + gaps[gap.READ_WRITE])
        group_ok[READ] = max(group_ok[READ], cycle + gaps[gap.READ_READ_L])
        bank_ok[PRECHARGE] = max(bank_ok[PRECHARGE], cycle + gaps[gap.READ_PRE])
        state.counts[channel, READS] += 1
        clock[SYNCED] = max(clock[SYNCED], cycle + gaps[gap.READ_SYNC])
    clock[COLUMN_BUS if gaps[gap.TWO_BUSES] else ROW_BUS] = cycle + gaps[gap.CAS_BUS]
    if _remove(state.queue[channel, 2], burst, clock, OPENED):
        state.bank[channel, bank, HELD] -= 1
        return
    _remove(state.queue[channel, write], burst, clock, QUEUED + write)
    state.counts[channel, HITS] += 1


@kernel_part
def _remove(places: Ints, burst: int, counts: Ints, count: int) -> bool:
    """Take a burst out and close the gap, so that the order of arrival stays; False: not there."""
    for place in range(counts[count]):
        if places[place] == burst:
            counts[count] -= 1
            for later in range(place, counts[count]):
                places[later] = places[later + 1]
            return True
    return False


@kernel_part
def _open_or_close(
    bursts: Ints, gaps: Ints, state: ControllerState, burst: int, command: int, cycle: int
) -> None:
    """Issue the activate or the precharge that a burst needs."""
    channel, bank = bursts[burst, CHANNEL], bursts[burst, BANK]
    group, half = bursts[burst, GROUP], bursts[burst, HALF]
    clock = state.channel[channel]
    bank_ok, half_ok = state.bank[channel, bank], state.half[channel, half]
    open_banks = clock[OPEN_BANKS]
    if command == PRECHARGE:
        bank_ok[ACTIVATE] = max(bank_ok[ACTIVATE], cycle + gaps[gap.PRE_ACT])
        half_ok[PRECHARGE] = max(half_ok[PRECHARGE], cycle + gaps[gap.PRE_PRE])
        half_ok[LAST_PRECHARGE] = cycle
        state.bank[channel, bank, OPEN_ROW] = -1
        clock[ROW_BUS] = cycle + 1
        _account(gaps, state, channel, cycle, open_banks - 1)
        return
    bank_ok[READ] = max(bank_ok[READ], cycle + gaps[gap.ACT_READ])
    bank_ok[WRITE] = max(bank_ok[WRITE], cycle + gaps[gap.ACT_WRITE])
    bank_ok[PRECHARGE] = max(bank_ok[PRECHARGE], cycle + gaps[gap.ACT_PRE])
    bank_ok[ACTIVATE] = max(bank_ok[ACTIVATE], cycle + gaps[gap.ACT_ACT])
    group_ok = state.group[channel, group]
    group_ok[ACTIVATE] = max(group_ok[ACTIVATE], cycle + gaps[gap.ACT_ACT_L])
    half_ok[ACTIVATE] = max(half_ok[ACTIVATE], cycle + gaps[gap.ACT_ACT_S])
    for older in range(LAST_ACTS + 3, LAST_ACTS, -1):
        half_ok[older] = half_ok[older - 1]
    half_ok[LAST_ACTS] = cycle
    clock[ROW_BUS] = cycle + gaps[gap.ACT_BUS]
    state.bank[channel, bank, OPEN_ROW] = bursts[burst, ROW]
    state.counts[channel, ACTIVATES] += 1
    _account(gaps, state, channel, cycle, open_banks + 1)
    kind = bursts[burst, IS_WRITE]
    _remove(state.queue[channel, kind], burst, clock, QUEUED + kind)
    state.queue[channel, 2, clock[OPENED]] = burst
    clock[OPENED] += 1
    state.bank[channel, bank, HELD] += 1
    if gaps[gap.SPLIT_ACTIVATE]:
        clock[HALF_OPEN] = bank
        clock[HALF_UNTIL] = cycle + gaps[gap.SPLIT_ACTIVATE]


@kernel_part
def _refresh(
    bursts: Ints, gaps: Ints, state: ControllerState, channel: int, cycle: int
) -> tuple[bool, int]:
    """Close all banks of the next half to refresh, or refresh it: (issued, when)."""
    clock = state.channel[channel]
    halves = state.half.shape[1]
    banks = state.bank.shape[1] // halves
    half = (halves - clock[REFRESHES] % halves) % halves
    first = half * banks
    half_ok = state.half[channel, half]
    closes, held, at = 0, False, clock[ROW_BUS]
    for bank in range(first, first + banks):
        if state.bank[channel, bank, OPEN_ROW] >= 0:
            closes += 1
        held |= state.bank[channel, bank, HELD] > 0
    if closes:
        if held:
            return False, NEVER
        for bank in range(first, first + banks):
            at = max(at, state.bank[channel, bank, PRECHARGE])
        at = max(at, half_ok[PRECHARGE])
        if at > cycle:
            return False, at
        for bank in range(first, first + banks):
            state.bank[channel, bank, OPEN_ROW] = -1
        half_ok[ACTIVATE] = max(half_ok[ACTIVATE], cycle + gaps[gap.PRE_ALL_ACT])
        half_ok[PRECHARGE] = max(half_ok[PRECHARGE], cycle + gaps[gap.PRE_PRE])
        half_ok[LAST_PRECHARGE] = cycle
        clock[ROW_BUS] = cycle + 1
        _account(gaps, state, channel, cycle, clock[OPEN_BANKS] - closes)
        return True, NEVER
    at = max(at, half_ok[LAST_ACTS] + gaps[gap.ACT_REFRESH])
    at = max(at, half_ok[LAST_PRECHARGE] + gaps[gap.PRE_REFRESH])
    at = max(at, half_ok[PRECHARGE])
    if at > cycle:
        return False, at
    half_ok[ACTIVATE] = max(half_ok[ACTIVATE], cycle + gaps[gap.REFRESH_ACT])
    half_ok[PRECHARGE] = max(half_ok[PRECHARGE], cycle + gaps[gap.REFRESH])
    clock[ROW_BUS] = cycle + 1
    clock[REFRESHES] -= 1
    state.counts[channel, REFRESHED] += 1
    return True, NEVER
