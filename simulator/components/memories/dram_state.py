"""What the controllers of DRAM channels know: bursts, queues, banks, buses, counts.

The constants name columns: few arrays rather than many keep the compiler's time at seconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.memories.dram_gaps import LATER, NEVER, Gaps
from simulator.config.arrays import Ints

QUEUE = 32
"""Entries of the read and of the write queue of a channel."""

# Of a burst: where it goes (groups and banks are numbered within the channel), whether it is a
# write (so its command), and the cycle of its arrival.
CHANNEL, HALF, GROUP, BANK, ROW, ADDRESS, IS_WRITE, ARRIVAL = range(8)
# Of a bank, a group and a half: from when on each command may issue; then ...
# ... of a bank: its open row or -1, and bursts that opened it and have not used it yet.
OPEN_ROW, HELD = LATER, LATER + 1
# ... of a half: its last four activates, the latest first.
LAST_ACTS = LATER
# Of a channel: bursts in its read queue, in its write queue, and with their row opened; ...
QUEUED, OPENED = 0, 2
# ... whether it drains writes, next refresh, halves to refresh, buses free, data clock's end, ...
DRAINS, NEXT_REFRESH, REFRESHES, ROW_BUS, COLUMN_BUS, SYNCED = range(3, 9)
# ... bank with half an activate or -1 and its deadline, burst that waits for the data clock or -1,
HALF_OPEN, HALF_UNTIL, SYNC_BURST = range(9, 12)
# ... since when it is idle, since when its banks are as they are, how many are open.
IDLE_SINCE, ACTIVE_SINCE, OPEN_BANKS = range(12, 15)
# Counted of a channel: events, then cycles with a bank open, and powered down with none and one.
READS, WRITES, ACTIVATES, REFRESHED, HITS, DOWN_ENTRIES, ACTIVE, IDLE_DOWN, ACTIVE_DOWN = range(9)


class Controllers(NamedTuple):
    """Hold the bursts to serve and the state of all controllers, a channel on the first axis.

    bursts: int64 (burst, 8), by arrival. done: int64 (burst,), cycle after each one's last data.
    queue: bursts that wait to read, to write, and whose rows are open for them, oldest first.
    """

    gaps: Gaps
    bursts: Ints
    done: Ints
    queue: Ints
    bank: Ints
    group: Ints
    half: Ints
    channel: Ints
    counts: Ints


def new_controllers(channels: int, halves: int, groups: int, banks: int, gaps: Gaps) -> Controllers:
    """Return controllers without bursts and with all banks closed; sizes are those of a channel."""
    found = Controllers(
        gaps=gaps,
        bursts=np.zeros((0, 8), np.int64),
        done=np.zeros(0, np.int64),
        queue=np.zeros((channels, 3, max(QUEUE, banks)), np.int64),
        bank=np.zeros((channels, banks, LATER + 2), np.int64),
        group=np.zeros((channels, groups, LATER), np.int64),
        half=np.zeros((channels, halves, LATER + 4), np.int64),
        channel=np.zeros((channels, 15), np.int64),
        counts=np.zeros((channels, 9), np.int64),
    )
    found.bank[:, :, OPEN_ROW] = -1
    found.half[:, :, LAST_ACTS:] = -NEVER
    found.channel[:, NEXT_REFRESH] = gaps.refresh_every
    found.channel[:, [HALF_OPEN, SYNC_BURST]] = -1
    return found
