"""Which tasks give way to one that is more important: the fewest, and of those the least important. Pure.

Only tasks whose priority is lower by at least a gap give way (as in Nomad,
https://developer.hashicorp.com/nomad/docs/concepts/scheduling/preemption), so that services of about the same
importance do not drive each other around.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: A task gives way only to one whose priority is higher by this much.
PRIORITY_GAP_MIN = 10
#: Tasks that give way in one turn.
EVICTIONS_PER_TURN_MAX = 20
#: Tasks that give way on paper, for one request.
EVICTIONS_TRIED_MAX = 1_000
#: Nodes that are looked at for one task, those that are short of least.
NODES_MAX = 100
#: What is said of tasks that may give way, where that does not make room enough.
NOT_ENOUGH = "less important, but take too little"


class Holder(NamedTuple):
    """A task on a node with what it takes there. `leaving`: its room is coming free already. `keeps` says why
    it gives way to nobody, whatever its priority; empty: it may."""

    task_id: str
    priority: int
    amounts: Mapping[str, int]
    leaving: bool = False
    keeps: str = ""


class Room(NamedTuple):
    """A node that would take a task if there were room, with what is free on it by dimension."""

    node_id: str
    name: str
    free: Mapping[str, int]
    holders: tuple[Holder, ...] = ()


class Eviction(NamedTuple):
    """On this node these give way; nobody where enough room is coming free already."""

    room: Room
    holders: tuple[Holder, ...]


def best(amounts: Mapping[str, int], priority: int, rooms: Iterable[Room]) -> Eviction | None:
    """Where the fewest and least important tasks give way to one that takes `amounts`; None if nowhere."""
    found = [
        Eviction(room, holders) for room in rooms if (holders := chosen(amounts, priority, room)) is not None
    ]
    return min(found, key=lambda each: (_cost(each.holders), each.room.name), default=None)


def chosen(amounts: Mapping[str, int], priority: int, room: Room) -> tuple[Holder, ...] | None:
    """Who gives way on one node; None where that does not help."""
    short = {each: amount - room.free.get(each, 0) for each, amount in amounts.items()}
    for holder in room.holders:
        if holder.leaving:
            short = _less(short, holder)
    if not _any(short):
        return ()
    willing = [each for each in room.holders if not each.leaving and not _held_by(each, priority)]
    by_importance = sorted(willing, key=lambda each: (each.priority, -_help(short, each), each.task_id))
    by_help = sorted(willing, key=lambda each: (-_help(short, each), each.priority, each.task_id))
    found = [each for order in (by_importance, by_help) if (each := _taken(short, order)) is not None]
    return min(found, key=_cost, default=None)


def staying(priority: int, room: Room) -> dict[str, int]:
    """Why tasks of a node do not give way to one of this priority, with how many there are of each; those
    that may, and are not enough, too."""
    there = (each for each in room.holders if not each.leaving)
    return dict(Counter(_held_by(each, priority) or NOT_ENOUGH for each in there).most_common())


def _held_by(holder: Holder, priority: int) -> str:
    """Why a task does not give way; empty when it may."""
    too_important = holder.priority > priority - PRIORITY_GAP_MIN
    return f"of priority {priority - PRIORITY_GAP_MIN + 1} or more" if too_important else holder.keeps


def _taken(short: Mapping[str, int], order: list[Holder]) -> tuple[Holder, ...] | None:
    """The first of an order that cover what is short, without those that are not needed after all."""
    taken: list[Holder] = []
    left = dict(short)
    for each in order:
        if not _any(left):
            break
        if _help(left, each) > 0:
            taken.append(each)
            left = _less(left, each)
    if _any(left):
        return None
    for each in sorted(taken, key=lambda each: (-each.priority, each.task_id)):
        spared = {name: amount + each.amounts.get(name, 0) for name, amount in left.items()}
        if not _any(spared):
            taken.remove(each)
            left = spared
    return tuple(taken)


def _less(short: Mapping[str, int], holder: Holder) -> dict[str, int]:
    return {name: amount - holder.amounts.get(name, 0) for name, amount in short.items()}


def _any(short: Mapping[str, int]) -> bool:
    return any(amount > 0 for amount in short.values())


def _help(short: Mapping[str, int], holder: Holder) -> float:
    """Which share of what is short a task would free, summed over the dimensions."""
    return sum(
        min(holder.amounts.get(name, 0), amount) / amount for name, amount in short.items() if amount > 0
    )


def _cost(holders: tuple[Holder, ...]) -> tuple[int, int, int]:
    priorities = [each.priority for each in holders]
    return len(holders), max(priorities, default=0), sum(priorities)
