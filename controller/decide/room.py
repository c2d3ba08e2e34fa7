"""Makes room: where a task fits nowhere, which other tasks of one node have to move so that it fits.

Those that move start elsewhere first, where there is room for them as things are, and leave then; so nothing
stops that serves. One moves where that will do, the smallest, else the fewest. Names tasks only by what it
was given; which may move at all is for others to say. Leaves the fleet as it was.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand
from controller.decide.fleet import Fleet

Ints = npt.NDArray[np.int64]

#: Nodes whose tasks are looked at for one that waits, those that lack least first. In the mean of two mixes
#: of `bench.pack` (trace and four, 100 nodes, seeds 1 to 7) the use at the first refusal is 95.4 %; with 32
#: it is 95.0 %, in half the time, and with 100 95.6 %, in 1.6 times as much.
NODES_MAX = 64
#: Tasks for which another place is sought, the smallest first.
TRIES_MAX = 64
#: So many tasks of one node move for one that waits, where none does by itself; and so many sizes are tried
#: for each of them. With more there is hardly any gain on the mixes of `bench.pack` (8: 0.1 points of use).
MOVES_TOGETHER_MAX, TRIES_TOGETHER_MAX = 4, 8
#: Moves that each placement earns: 5 for 100. There are some at the start, and so many are saved up at most.
MOVES_PER_PLACEMENT, MOVES_AT_FIRST, MOVES_SAVED_MAX = 0.05, 5.0, 100.0

_ONE = np.ones(1, np.int64)


class Movable(NamedTuple):
    """A task that may move: its id, its service's, the row of its node, and what it asks of a node."""

    task_id: str
    service_id: str
    row: int
    demand: Demand


class Shift(NamedTuple):
    """The task that moves, and the row of the node that has room for it."""

    movable: Movable
    target: int


class Allowance:
    """How many moves may still be made: each placement earns a part of one, and some may be at the start."""

    def __init__(self, saved_max: float = MOVES_SAVED_MAX, saved: float = MOVES_AT_FIRST) -> None:
        self._saved, self._saved_max = saved, saved_max

    def earn(self, placements: int) -> None:
        self._saved = min(self._saved_max, self._saved + MOVES_PER_PLACEMENT * placements)

    @property
    def moves(self) -> int:
        """How many moves there are to be had."""
        return int(self._saved + 1e-9)

    def spend(self, moves: int = 1) -> bool:
        """Takes moves off; False when there are not so many to be had."""
        if self.moves < moves:
            return False
        self._saved -= moves
        return True


def sources(fleet: Fleet, demand: Demand, service_id: str) -> Ints:
    """The rows of nodes that would take a task if only there were more room, those that lack least first."""
    short = _shortage(fleet, demand, np.arange(fleet.size))
    able = fleet.of_kind(demand.kind) & _large_enough(fleet, demand)
    if demand.ports:
        fleet.ports.exclude(demand.ports, able)
    if demand.per_node_max:
        able &= fleet.tasks_of(service_id) < demand.per_node_max
    rows = fleet.in_order
    rows = rows[able[rows]]
    return rows[np.argsort(short[rows], kind="stable")][:NODES_MAX]


def make_room(
    fleet: Fleet, demand: Demand, movables: Iterable[Movable], moves_max: int = MOVES_TOGETHER_MAX
) -> tuple[Shift, ...]:
    """The smallest of these tasks, all on nodes that lack nothing but room, that fits elsewhere and in whose
    place the waiting one fits; where there is none, the fewest of one node that do so together, `moves_max`
    and MOVES_TOGETHER_MAX at most. Empty without any."""
    there = list(movables)
    if moves_max < 1:
        return ()
    alone = _smallest(fleet, demand, there)
    return (alone,) if alone else _fewest(fleet, demand, there, min(moves_max, MOVES_TOGETHER_MAX))


def _smallest(fleet: Fleet, demand: Demand, movables: list[Movable]) -> Shift | None:
    """The smallest task that will do by itself."""
    enough = [each for each in movables if _suffices(fleet, demand, each)]
    enough.sort(key=lambda each: (_share(fleet, each.demand), each.task_id))
    for movable in enough[:TRIES_MAX]:
        target = _target(fleet, movable)
        if target is not None:
            return Shift(movable, target)
    return None


def _fewest(fleet: Fleet, demand: Demand, movables: list[Movable], most: int) -> tuple[Shift, ...]:
    """The fewest tasks of one node that will do together, at most so many; of as few, on the node that lacks
    least."""
    by_row: dict[int, list[Movable]] = {}
    for each in movables:
        by_row.setdefault(each.row, []).append(each)
    rows = np.array(sorted(by_row), np.int64)
    best: tuple[Shift, ...] = ()
    for row in rows[np.argsort(_shortage(fleet, demand, rows), kind="stable")].tolist():
        if most < 2:
            break
        if found := _together(fleet, demand, by_row[row], most):
            best, most = found, len(found) - 1
    return best


def _together(fleet: Fleet, demand: Demand, movables: list[Movable], most: int) -> tuple[Shift, ...]:
    """Tasks of one node, each with room elsewhere beside the others, that leave enough together: always the
    one next that gives most of what is still lacking."""
    row, found = movables[0].row, list[Shift]()
    short = {name: amount - fleet.free[name].item(row) for name, amount in demand.amounts}
    if not _could(short, movables, most):
        return ()
    left = sorted(movables, key=lambda each: each.task_id)
    while any(lacking > 0 for lacking in short.values()) and len(found) < most:
        shift = _next(fleet, short, left)
        if shift is None:
            break
        found.append(shift)
        left.remove(shift.movable)
        _take(fleet, shift)
        for name, amount in shift.movable.demand.amounts:
            if name in short:
                short[name] -= amount
    for shift in found:  # a trial: a copy of the fleet would cost more
        _give_back(fleet, shift)
    return () if any(lacking > 0 for lacking in short.values()) else tuple(found)


def _could(short: dict[str, int], movables: list[Movable], most: int) -> bool:
    """Whether so many of these tasks give what is lacking of each dimension, if all had room elsewhere."""
    return all(
        sum(heapq.nlargest(most, (each.demand.amount(name) for each in movables))) >= lacking
        for name, lacking in short.items()
        if lacking > 0
    )


def _next(fleet: Fleet, short: dict[str, int], left: list[Movable]) -> Shift | None:
    """Of tasks with room elsewhere the one that gives most of what is lacking, of equal ones the smallest.
    Of those that ask alike only one is tried, and TRIES_TOGETHER_MAX in all."""
    lacking = {name: amount for name, amount in short.items() if amount > 0}

    def gives(movable: Movable) -> float:
        given = dict(movable.demand.amounts)
        return sum(min(given.get(name, 0), amount) / amount for name, amount in lacking.items())

    alike = {each.demand: each for each in reversed(left)}
    giving = sorted(alike.values(), key=lambda each: (-gives(each), _share(fleet, each.demand), each.task_id))
    for movable in giving[:TRIES_TOGETHER_MAX]:
        target = _target(fleet, movable) if gives(movable) else None
        if target is not None:
            return Shift(movable, target)
    return None


def _target(fleet: Fleet, movable: Movable) -> int | None:
    """The fullest other node with room for a task, as the scheduler will choose it for its heir."""
    fits = fleet.fits(movable.demand, movable.service_id)
    fits[movable.row] = False
    rows = np.flatnonzero(fits)
    return int(rows[fleet.suits.key[rows].argmin()]) if rows.size else None


def _take(fleet: Fleet, shift: Shift) -> None:
    fleet.take(shift.movable.service_id, shift.movable.demand, np.array([shift.target]), _ONE)


def _give_back(fleet: Fleet, shift: Shift) -> None:
    fleet.release(shift.movable.service_id, shift.movable.demand, np.array([shift.target]), _ONE)


def _large_enough(fleet: Fleet, demand: Demand) -> npt.NDArray[np.bool_]:
    able = np.ones(fleet.size, np.bool_)
    for dimension, amount in demand.amounts:
        able &= fleet.capacity[dimension] >= amount if dimension in fleet.capacity else False
    return able


def _shortage(fleet: Fleet, demand: Demand, rows: Ints) -> npt.NDArray[np.float64]:
    """What a task lacks on each node, as shares of what it asks for."""
    short = np.zeros(rows.size)
    for dimension, amount in demand.amounts:
        if dimension in fleet.free:
            short += np.maximum(0, amount - fleet.free[dimension][rows]) / amount
    return short


def _suffices(fleet: Fleet, demand: Demand, movable: Movable) -> bool:
    """Whether the waiting task fits in the place of this one."""
    given = dict(movable.demand.amounts)
    return all(
        fleet.free[dimension].item(movable.row) + given.get(dimension, 0) >= amount
        for dimension, amount in demand.amounts
    )


def _share(fleet: Fleet, demand: Demand) -> float:
    """How large a task is: the sum of its shares of all that there is."""
    return sum(amount / max(1, int(fleet.capacity[each].sum())) for each, amount in demand.amounts)
