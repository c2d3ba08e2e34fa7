"""How rolling updates leave fewer nodes in use: which tasks give way last, and which node a few moves empty.

Heirs start beside their elders, thus elsewhere: what is renewed first comes to other nodes, what is renewed
last leaves holes behind. So those give way last whose nodes are emptiest without them: their heirs come to
the places of the first ones, and the nodes become free. What is left in use though it need not be is emptied
by a few moves, where all tasks of a node have room on others in use. Leaves the fleet as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand
from controller.decide.filling import Wish, bound_of, place_one
from controller.decide.fleet import Fleet
from controller.decide.room import Movable, Shift

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Nodes that are tried for one that can be emptied, the emptiest first.
NODES_MAX = 8
#: Moves that can be saved up for nodes that are emptied.
MOVES_SAVED_MAX = 100.0
#: A node with more tasks than the first takes a fifth of what is saved up, at most. So nodes with many
#: tasks, of which the next update opens one again, do not use up what is needed after the surge of a large
#: service: it leaves many nodes in use, with few tasks each. By trials on the mix of four goods of
#: `bench.pack`, 100 equal nodes, seeds 5 to 12: 2.1 % of waste in the mean; with a quarter or a third 2.4 %.
FEW_TASKS, PART_FOR_ONE = 5, 5

_ONE = np.ones(1, np.int64)
_SIZES = ("cpu_millis", "memory_bytes")
#: Steps of the room of a node, so that rounding tells no equal nodes apart.
_STEPS = 1 << 20


def room_without(fleet: Fleet, demand: Demand, rows: Ints) -> Ints:
    """For equal tasks, by the rows of their nodes (a row for each task): how much room its node has without
    all of them, in steps. Who has most gives way last."""
    if not rows.size:
        return rows
    there, which, numbers = np.unique(rows, return_inverse=True, return_counts=True)
    room = np.zeros(there.size)
    for each in _SIZES:
        free = fleet.free[each][there] + numbers * demand.amount(each)
        room += free / np.maximum(1, fleet.capacity[each][there])
    found: Ints = (room * _STEPS).astype(np.int64)[which.ravel()]
    return found


def for_one(moves: int) -> int:
    """How many of the moves that are saved up may be spent to empty one node."""
    return max(min(moves, FEW_TASKS), moves // PART_FOR_ONE)


def emptied(
    fleet: Fleet, moves_max: int, standing: Callable[[int], Sequence[Movable] | None]
) -> tuple[Shift, ...]:
    """The moves that empty one node, the emptiest that they can; none where that takes more than `moves_max`.
    `standing`: all tasks on a row, None where one of them may not move."""
    able = (fleet.tasks > 0) & (fleet.tasks <= moves_max) & (fleet.barred == 0)
    rows = np.flatnonzero(able)
    for row in rows[np.argsort(-fleet.suits.key[rows], kind="stable")][:NODES_MAX].tolist():
        tasks = standing(row)
        if tasks and len(tasks) == fleet.tasks[row] and (shifts := _moved(fleet, row, tasks)):
            return shifts
    return ()


def _moved(fleet: Fleet, source: int, tasks: Sequence[Movable]) -> tuple[Shift, ...]:
    """Where each of a node's tasks has room on others that are in use, the largest first; none where one has
    none. The scheduler places their heirs in this order, too."""
    if not all(each.demand.alone and not each.demand.preferences for each in tasks):
        return ()
    bounds = {each.service_id: bound_of(fleet.counts.total(each.service_id)) for each in tasks}
    found: list[Shift] = []
    for movable in sorted(tasks, key=lambda each: (each.demand.largest_first, each.task_id)):
        wish = Wish(movable.service_id, movable.demand, bounds[movable.service_id], fullest=True)
        target = place_one(fleet, wish, np.flatnonzero(_open_to(fleet, source, movable, wish)))
        if target is None:
            break
        found.append(Shift(movable, target))
    for shift in found:  # a trial: a copy of the fleet would cost more
        fleet.release(shift.movable.service_id, shift.movable.demand, np.array([shift.target]), _ONE)
    return tuple(found) if len(found) == len(tasks) else ()


def _open_to(fleet: Fleet, source: int, movable: Movable, wish: Wish) -> Bools:
    """The rows in use, and trusted, that take a task of another node, and on which its service is no more
    crowded than a node may be; nor is its zone more than the one that it leaves."""
    fits: Bools = fleet.fits(movable.demand, movable.service_id) & (fleet.tasks > 0) & (fleet.shaky == 0)
    fits[source] = False
    counts = fleet.tasks_of(movable.service_id)
    fits &= counts < wish.bound
    if fleet.zoned:
        zones = fleet.zones
        there = np.bincount(zones, weights=counts)[zones]
        fits &= (zones == zones[source]) | (there < there[source])
    return fits
