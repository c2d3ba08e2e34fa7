"""Which tasks to move so that the load evens out, onto nodes that have joined above all. Pure.

A move must pay: it lowers how many tasks of its service one node has, or by GAIN_MIN the share of the fuller
of the two nodes that is set aside. Where a task goes is the scheduler's own choice: the plan comes true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand
from controller.decide.filling import Wish, ranked
from controller.decide.fleet import Fleet

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: By how much a move must lower the fuller node's share of CPU or memory.
GAIN_MIN = 0.05
#: Piles that are tried for one move, the most promising first.
TRIES_MAX = 50

_COUNTING = ("cpu_millis", "memory_bytes")


class Pile(NamedTuple):
    """So many tasks of a service that ask alike, are on one node (its row), and may run elsewhere."""

    service_id: str
    demand: Demand
    row: int
    tasks: int


class Shift(NamedTuple):
    """One task of a pile (by its place among them) that moves, the row where it goes, and what is gained."""

    pile: int
    row: int
    reason: str


def rebalance(piles: Sequence[Pile], fleet: Fleet, moves_max: int) -> list[Shift]:
    """The moves, one after the other, each of which makes it better; empty when nothing is to be gained. Of
    equally promising piles the first comes first. The fleet is then as it will be after them."""
    moves: list[Shift] = []
    load = _Load(piles, fleet)
    while len(moves) < moves_max and (shift := load.best()) is not None:
        moves.append(shift)
        load.move(shift)
    return moves


class _Load:
    """The piles as columns: how many tasks are left in each, how many of its service its node has, and the
    fewest that any node has which takes tasks."""

    def __init__(self, piles: Sequence[Pile], fleet: Fleet) -> None:
        self._piles, self._fleet = piles, fleet
        self._rows = np.array([pile.row for pile in piles], np.int64)
        self._left = np.array([pile.tasks for pile in piles], np.int64)
        self._sizes = np.array([_size(fleet, pile) for pile in piles])
        self._there, self._fewest = np.zeros((2, len(piles)), np.int64)
        self._of_service: dict[str, list[int]] = {}
        for index, pile in enumerate(piles):
            self._of_service.setdefault(pile.service_id, []).append(index)
        self._targets = np.flatnonzero(fleet.barred == 0)
        for service_id in self._of_service if self._targets.size else ():
            self._count(service_id)

    def _count(self, service_id: str) -> None:
        counts, mine = self._fleet.tasks_of(service_id), self._of_service[service_id]
        self._there[mine] = counts[self._rows[mine]]
        self._fewest[mine] = counts[self._targets].min()

    def best(self) -> Shift | None:
        """The first of the promising moves that makes it better."""
        if not self._targets.size or not self._rows.size:
            return None
        shares = _shares(self._fleet)
        spread = self._there - self._fewest
        # As if each could go to the emptiest node.
        gain = np.minimum(self._sizes, shares[self._rows] - shares[self._targets].min() - self._sizes)
        promising = np.flatnonzero((self._left > 0) & ((spread >= 2) | (gain >= GAIN_MIN)))
        order = np.lexsort([promising, -gain[promising], -np.maximum(spread[promising], 1)])
        for index in promising[order[:TRIES_MAX]].tolist():
            shift = self._tried(index, shares)
            if shift is not None:
                return shift
        return None

    def _tried(self, index: int, shares: Floats) -> Shift | None:
        pile, fleet = self._piles[index], self._fleet
        rows = np.flatnonzero(fleet.fits(pile.demand, pile.service_id))
        if not rows.size:
            return None
        target = int(ranked(fleet, Wish(pile.service_id, pile.demand, bound=1, level=True), rows)[0])
        if target == pile.row:
            return None
        source_name, name = fleet.nodes[pile.row].name, fleet.nodes[target].name
        here, there = (fleet.counts.at(pile.service_id, row) for row in (pile.row, target))
        if here - there >= 2:
            return Shift(index, target, f"{source_name} has {here} tasks of the service, {name} {there}")
        if here > there and _gain(fleet, pile, target) >= GAIN_MIN:
            told = [f"{max(0, round(100 * shares[row]))} %" for row in (pile.row, target)]
            return Shift(index, target, f"reserved are {told[0]} of {source_name} and {told[1]} of {name}")
        return None

    def move(self, shift: Shift) -> None:
        """One task of a pile less, and what it takes is on the other node."""
        pile, one = self._piles[shift.pile], np.ones(1, np.int64)
        self._fleet.release(pile.service_id, pile.demand, np.array([pile.row]), one)
        self._fleet.take(pile.service_id, pile.demand, np.array([shift.row]), one)
        self._left[shift.pile] -= 1
        self._count(pile.service_id)


def _gain(fleet: Fleet, pile: Pile, target: int) -> float:
    """By how much the share of the fuller of two nodes falls when a task moves."""
    rows = np.array([pile.row, target])
    return float(_shares(fleet, rows).max() - _shares(fleet, rows, pile.demand, np.array([-1, 1])).max())


def _size(fleet: Fleet, pile: Pile) -> float:
    """The share of a node that a task takes, of its scarcer good."""
    whole = ((each, max(1, fleet.capacity[each].item(pile.row))) for each in _COUNTING)
    return max(pile.demand.amount(each) / capacity for each, capacity in whole)


def _shares(
    fleet: Fleet, rows: Ints | None = None, moved: Demand | None = None, by: Ints | None = None
) -> Floats:
    """What is set aside of each node's scarcer good, 0 to 1, with tasks more or less."""
    chosen = np.arange(fleet.size) if rows is None else rows
    found = []
    for each in _COUNTING:
        whole = np.maximum(1, fleet.capacity[each][chosen])
        more = 0 if moved is None or by is None else by * moved.amount(each)
        found.append(1 - (fleet.free[each][chosen] - more) / whole)
    return np.maximum(*found)
