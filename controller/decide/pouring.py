"""The arithmetic of filling evenly: tasks are poured like water into vessels of different levels and rooms.

Vessels stand in groups (all zones; the racks of each zone; the nodes of each rack), which are worked out at
once. Vessels come sorted by group, groups are numbered from 0 on, and each has at least one. Plain arrays in
and out; knows no nodes and no tasks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NARROW_MAX = np.iinfo(np.int16).max


def starts_of(groups: npt.NDArray[np.signedinteger]) -> Ints:
    """Where each group begins."""
    first = np.ones(groups.size, np.bool_)
    np.not_equal(groups[1:], groups[:-1], out=first[1:])
    return first.nonzero()[0]


def numbered(starts: Ints, size: int) -> Ints:
    """For each of `size` members the number of its group, from 0 on."""
    steps = np.zeros(size, np.int64)
    steps[starts[1:]] = 1
    return steps.cumsum()


def in_groups(groups: npt.NDArray[np.signedinteger]) -> Ints:
    """Where the members stand when they are sorted by group, those of a group in the order in which they
    come. Numbers of 16 bits are sorted by their digits, which is ten times faster."""
    narrow = groups.astype(np.int16) if groups.max(initial=0) <= _NARROW_MAX else groups
    return narrow.argsort(kind="stable")


def sorted_in_groups(keys: Ints, groups: npt.NDArray[np.signedinteger]) -> Ints:
    """Where the members stand when they are sorted by group and then by key; no two keys are equal."""
    order = keys.argsort()
    return order[in_groups(groups[order])]


def spread(values: Ints, starts: Ints, size: int) -> Ints:
    """The value of each group, for each of its members; there are `size` of them in all."""
    return values[numbered(starts, size)]


def poured(levels: Ints, room: Ints, groups: Ints, amounts: Ints) -> Ints:
    """How far each vessel rises when up to `amounts` (by group) are poured in, in whole steps only: those of
    a group that have room left stand equally high then, or higher than the others could be raised."""
    if amounts.size == 1:
        return _poured_one(levels, room, int(amounts[0]))
    starts = starts_of(groups)
    if starts.size == amounts.size and levels.min() == levels.max():
        even = (amounts // np.diff(starts, append=groups.size))[groups]
        if (room > even).all():  # no vessel is full before all stand as high as they can together
            return even
    enough = np.add.reduceat(room, starts) <= amounts
    low = np.minimum.reduceat(levels, starts)  # can be reached
    high = np.maximum.reduceat(levels, starts) + amounts + 1  # cannot, where there is room for more
    while (high - low > 1).any():
        middle = (low + high) // 2
        rises = np.minimum(np.maximum(middle[groups] - levels, 0), room)
        reached = np.add.reduceat(rises, starts) <= amounts
        low, high = np.where(reached, middle, low), np.where(reached, high, middle)
    rises = np.minimum(np.maximum(low[groups] - levels, 0), room)
    return np.where(enough[groups], room, rises)


def _poured_one(levels: Ints, room: Ints, amount: int) -> Ints:
    """The same for a single group."""
    low = int(levels.min())
    even = amount // levels.size
    if int(room.min()) > even and int(levels.max()) == low:
        return np.full(levels.size, even)  # no vessel is full before all stand as high as they can together
    if int(room.sum()) <= amount:
        return room
    if np.count_nonzero(room[levels == low]) > amount:
        return np.zeros(levels.size, np.int64)  # less than a step
    high = int(levels.max()) + amount + 1
    while high - low > 1:
        middle = (low + high) // 2
        if int(np.minimum(np.maximum(middle - levels, 0), room).sum()) <= amount:
            low = middle
        else:
            high = middle
    return np.minimum(np.maximum(low - levels, 0), room)


def rest(amounts: Ints, groups: Ints, taken: Ints) -> Ints:
    """What is left of the amount of each group."""
    return amounts - np.bincount(groups, weights=taken, minlength=amounts.size).astype(np.int64)


def lowest(levels: Ints, free: Bools, groups: Ints, count: int) -> Bools:
    """Of the vessels that are free to rise those that stand lowest in their group, of `count` groups."""
    standing = np.where(free, levels, np.iinfo(np.int64).max)
    if count == 1:
        least: Ints = standing.min()
    else:
        starts = starts_of(groups)
        least = spread(np.minimum.reduceat(standing, starts), starts, groups.size)
    found: Bools = free & (levels == least)
    return found


def first_in_groups(groups: Ints, amounts: Ints) -> Bools:
    """The first so many of each group, in the order in which they come (sorted by group)."""
    starts = np.searchsorted(groups, np.arange(amounts.size))
    return np.arange(groups.size) - starts[groups] < amounts[groups]


def from_the_first(room: Ints, groups: Ints, amounts: Ints) -> Ints:
    """How much each vessel takes when those of a group are filled one after the other."""
    before = np.cumsum(room) - room
    starts = starts_of(groups)
    before -= before[starts][groups]
    return np.minimum(np.maximum(amounts[groups] - before, 0), room)
