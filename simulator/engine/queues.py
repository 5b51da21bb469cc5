"""The queues of the replay: ops in lists by unit, and the units in a heap by their next start.

Ops come nearly in order of (cycle, image, op), so one is put in its place from the end of its list.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.config.kernels import kernel_part

NONE = -1


class Lists(NamedTuple):
    """List ops in order, three lists a unit: that wait, that wait and yield, by their release.

    head, tail: int32, by list. following, preceding: int32, by op, its neighbours in its list.
    """

    head: Int32s
    tail: Int32s
    following: Int32s
    preceding: Int32s


class Turns(NamedTuple):
    """Order the units in a binary heap: the one with the smallest next start is first.

    unit: int32, units in their order. place: int32, by unit, where it is in it. next_start: int64,
    by unit.
    """

    unit: Int32s
    place: Int32s
    next_start: Ints


@kernel_part
def take_first(lists: Lists, number: int) -> int:
    """Take the first op out of a list."""
    op: int = lists.head[number]
    behind = lists.following[op]
    lists.head[number] = behind
    if behind < 0:
        lists.tail[number] = NONE
    else:
        lists.preceding[behind] = NONE
    return op


@kernel_part
def insert_op(lists: Lists, number: int, op: int, cycle: Ints, image: Ints, stride: int) -> None:
    """Put an op in its place in a list in order of (cycle, image, op)."""
    before, behind = lists.tail[number], np.int32(NONE)
    while before >= 0 and cycle[before] >= cycle[op]:
        if cycle[before] == cycle[op]:
            other, own = image[before // stride], image[op // stride]
            if other < own or (other == own and before < op):
                break
        before, behind = lists.preceding[before], before
    lists.preceding[op], lists.following[op] = before, behind
    if before < 0:
        lists.head[number] = op
    else:
        lists.following[before] = op
    if behind < 0:
        lists.tail[number] = op
    else:
        lists.preceding[behind] = op


@kernel_part
def bring_forward(turns: Turns, u: int) -> None:
    """Move a unit to its place after its next start became earlier."""
    place, cycle = turns.place[u], turns.next_start[u]
    while place > 0:
        above = turns.unit[(place - 1) >> 1]
        if turns.next_start[above] <= cycle:
            break
        turns.unit[place], turns.place[above] = above, place
        place = (place - 1) >> 1
    turns.unit[place], turns.place[u] = u, place


@kernel_part
def put_back(turns: Turns, u: int) -> None:
    """Move the first unit to its place after its next start became later."""
    place, cycle, units = 0, turns.next_start[u], len(turns.unit)
    while 2 * place + 1 < units:
        below = 2 * place + 1
        if below + 1 < units:
            pair = turns.next_start[turns.unit[below + 1]], turns.next_start[turns.unit[below]]
            below += pair[0] < pair[1]
        other = turns.unit[below]
        if turns.next_start[other] >= cycle:
            break
        turns.unit[place], turns.place[other] = other, place
        place = below
    turns.unit[place], turns.place[u] = u, place
