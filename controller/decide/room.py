"""Makes room: where a task fits nowhere, which one other task has to move so that it fits.

The one that moves starts elsewhere first, where there is room for it as things are, and leaves then; so
nothing stops that serves. The smallest that will do moves. Names tasks only by what it was given; which may
move at all is for others to say. Pure: takes nothing off the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand
from controller.decide.fleet import Fleet

Ints = npt.NDArray[np.int64]

#: Nodes whose tasks are looked at for one that waits, those that lack least first.
NODES_MAX = 32
#: Tasks for which another place is sought, the smallest first.
TRIES_MAX = 64
#: Moves that each placement earns: 5 for 100. There are some at the start, and so many are saved up at most.
MOVES_PER_PLACEMENT, MOVES_AT_FIRST, MOVES_SAVED_MAX = 0.05, 5.0, 100.0


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
    fleet: Fleet, demand: Demand, movables: Iterable[Movable], taken: Sequence[Shift] = ()
) -> Shift | None:
    """The smallest of these tasks, all on nodes that lack nothing but room, that fits elsewhere and in whose
    place the waiting one fits; None without any. `taken`: shifts that are under way, whose targets count."""
    enough = [each for each in movables if _suffices(fleet, demand, each)]
    enough.sort(key=lambda each: (_share(fleet, each.demand), each.task_id))
    for movable in enough[:TRIES_MAX]:
        fits = fleet.fits(movable.demand, movable.service_id)
        fits[movable.row] = False
        for shift in taken:
            fits[shift.target] = False
        rows = np.flatnonzero(fits)
        if rows.size:
            return Shift(movable, int(rows[fleet.suits.key[rows].argmin()]))
    return None


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
