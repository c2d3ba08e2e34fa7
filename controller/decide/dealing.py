"""Deals shapes (classes of equal tasks) out over open nodes, one to a node in each round.

A round of a shape goes to the nodes that suit best, of those to the ones with the best score, spread evenly
over the zones. Exact: free amounts
are whole numbers in floats. Which nodes are open is `packing`'s choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.matching import Suits, suits

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


#: What a round costs besides the nodes that it looks at, in such nodes.
ROUND_WORK = 2_000
#: How often at most an attempt with a look ahead looks; and what each look costs, as above: all in all, and
#: more for each pair of a shape and a kind of node.
LOOKS_MAX, LOOK_WORK, LOOK_WORK_EACH = 24, 100_000, 100


class Rule(Enum):
    """How nodes are compared for a shape: by the dot product of what is free with the shape's size, the more
    the better; by the cosine, which is that without regard to how much is free; or the fullest first (best
    fit). Which packs best hangs on the sizes: the first where they vary, the others where few large ones have
    to match (R. Panigrahy et al., Heuristics for Vector Bin Packing, 2011, on dot products)."""

    DOT = "dot"
    COSINE = "cosine"
    FULLEST = "fullest"


class Fleet(NamedTuple):
    """The nodes as columns of floats (exact: amounts are below 2^52)."""

    free: list[Floats]
    capacity: list[Floats]
    #: A number for each node; None where all are in one.
    zones: Ints | None
    #: By dimension the mean capacity, by which amounts of different goods compare.
    scale: Floats
    #: What opening a node costs: its share of the mean node.
    price: Floats
    #: All rows, neighbours in different zones.
    in_turn: Rows

    @classmethod
    def of(cls, free: Sequence[Ints], capacity: Sequence[Ints], zones: Ints | None) -> Fleet:
        whole = [column.astype(np.float64) for column in capacity]
        scale = np.array([max(1.0, float(column.mean())) if column.size else 1.0 for column in whole])
        shares = [column / mean for column, mean in zip(whole, scale, strict=True)]
        several = zones is not None and zones.size and zones.min() != zones.max()
        return cls(
            free=[np.maximum(column, 0).astype(np.float64) for column in free],
            capacity=whole,
            zones=zones if several else None,
            scale=scale,
            price=np.asarray(np.mean(shares, axis=0), np.float64),
            in_turn=_in_turn(np.arange(capacity[0].size), zones if several else None),
        )

    @property
    def nodes(self) -> int:
        return int(self.price.size)


class Shape(NamedTuple):
    """Equal tasks: those of which wants, what each takes, how many, a number for the nodes that may take
    them (0: all) and which those are, at most how many to a node, and how many each has already."""

    wants: list[int]
    size: Floats
    tasks: int
    mask: int
    fits: Bools | None
    per_node: int
    held: Ints | None


class Dealer:
    """Open nodes, what is free on them, and what was dealt out so far."""

    def __init__(self, fleet: Fleet, shapes: Sequence[Shape], rule: Rule, *, ahead: bool = False) -> None:
        self._fleet, self._shapes, self._rule = fleet, shapes, rule
        self._looks = LOOKS_MAX if ahead else 0
        self._suits: tuple[Suits, dict[int, int]] | None = None
        self.rows: Rows = np.zeros(0, np.intp)
        self.free: list[Floats] = [np.zeros(0) for _ in fleet.free]
        self.left = [shape.tasks for shape in shapes]
        self.rounds: list[list[Rows]] = [[] for _ in shapes]
        #: By shape how many tasks each node has, once that is asked for.
        self._there: dict[int, Ints] = {}
        #: What it cost so far, in nodes that were looked at.
        self.work = 0

    def open(self, rows: Rows) -> None:
        """Deal over these nodes, too."""
        self._suits = None
        self.rows = np.concatenate([self.rows, rows])
        self.free = [
            np.concatenate([mine, column[rows]])
            for mine, column in zip(self.free, self._fleet.free, strict=True)
        ]

    def deal(self, order: Sequence[int]) -> None:
        """Deal out what is left of these shapes, in their order, as far as there is room."""
        stride = -(-len(order) // LOOKS_MAX)
        for at, index in enumerate(order):
            if self._looks and at % stride == 0:
                self._look(order[at:])
            while self.left[index] and self._round(index):
                pass

    def _look(self, coming: Sequence[int]) -> None:
        """Which open nodes, as full as they are, suit these shapes, which are to come."""
        self._looks -= 1
        sizes = np.array([self._shapes[index].size for index in coming])
        counts = np.array([float(self.left[index]) for index in coming])
        found = suits(self.free, self._fleet.scale, sizes, counts)
        self._suits = found and (found, {index: at for at, index in enumerate(coming)})
        self.work += LOOK_WORK + (LOOK_WORK_EACH * found.ranks.size if found else 0)

    def wanting(self) -> list[int]:
        """By shape what is left of it, as far as there is a whole task's worth of each good left for it, if
        only in pieces: where a good is used up, no other plan would do better."""
        pairs = zip(self.left, self._shapes, strict=True)
        return [count if count and self._in_pieces(shape) else 0 for count, shape in pairs]

    def _in_pieces(self, shape: Shape) -> bool:
        fits = slice(None) if shape.fits is None else shape.fits[self.rows]
        pairs = zip(self.free, shape.size, strict=True)
        return all(float(column[fits].sum()) >= amount for column, amount in pairs)

    def _round(self, index: int) -> bool:
        """One task to each of the best nodes; False when none has room."""
        shape = self._shapes[index]
        able = self._able(index, shape)
        self.work += ROUND_WORK + self.rows.size
        if not able.size:
            return False
        if self.left[index] < able.size:
            able = self._chosen(able, self._score(able, shape.size), self.left[index])
        for column, amount in zip(self.free, shape.size, strict=True):
            column[able] -= amount
        self.left[index] -= able.size
        self.rounds[index].append(_in_turn(self.rows[able], self._fleet.zones))
        if index in self._there:
            self._there[index][self.rows[able]] += 1
        return True

    def _able(self, index: int, shape: Shape) -> Rows:
        """The open nodes, by position, that have room for one."""
        able = np.ones(self.rows.size, bool) if shape.fits is None else shape.fits[self.rows]
        for column, amount in zip(self.free, shape.size, strict=True):
            if amount > 0:
                able &= column >= amount
        if shape.held is not None or len(self.rounds[index]) >= shape.per_node:
            able &= self._counted(index, shape)[self.rows] < shape.per_node
        return self._suited(index, np.flatnonzero(able))

    def _counted(self, index: int, shape: Shape) -> Ints:
        """How many of a shape's tasks each node has."""
        if index not in self._there:
            there = np.zeros(self._fleet.nodes, np.int64) if shape.held is None else shape.held.copy()
            for each in self.rounds[index]:
                there[each] += 1
            self._there[index] = there
        return self._there[index]

    def _suited(self, index: int, able: Rows) -> Rows:
        """Those of the kind that suits best, of able nodes."""
        if self._suits is None or not able.size or index not in self._suits[1]:
            return able
        found, place = self._suits
        ranks = found.ranks[place[index]][found.kind_of[able]]
        return np.asarray(able[ranks == ranks.min()])

    def _score(self, able: Rows, size: Floats) -> Floats:
        here = [column[able] for column in self.free]
        scale, score = self._fleet.scale, np.zeros(able.size)
        if self._rule is Rule.FULLEST:
            return np.asarray(-sum(column / mean for column, mean in zip(here, scale, strict=True)))
        for column, amount, mean in zip(here, size, scale, strict=True):
            score += column * (amount / mean**2)
        if self._rule is Rule.COSINE and score.any():
            length = sum((column / mean) ** 2 for column, mean in zip(here, scale, strict=True))
            score /= np.sqrt(length)
        return score

    def _chosen(self, able: Rows, score: Floats, count: int) -> Rows:
        """The best of the able nodes, as many from each zone as can be."""
        if self._fleet.zones is None:
            return able[_top(score, count)]
        zones = self._fleet.zones[self.rows[able]]
        shares = level(np.bincount(zones), count)
        picks = []
        for zone in np.flatnonzero(shares):
            there = np.flatnonzero(zones == zone)
            picks.append(there[_top(score[there], int(shares[zone]))])
        return able[np.sort(np.concatenate(picks))]


def _in_turn(rows: Rows, zones: Ints | None) -> Rows:
    """Nodes in an order in which neighbours are of different zones, so that a few tasks in a row are."""
    if zones is None:
        return rows
    there = zones[rows]
    by_zone = np.argsort(there, kind="stable")
    nth = np.arange(rows.size) - np.searchsorted(there[by_zone], there[by_zone])
    return rows[by_zone[np.argsort(nth, kind="stable")]]


def _top(score: Floats, count: int) -> Rows:
    """The positions of the best, in order of position; of equal ones the first. By value, since the order
    of numpy's partition among equals differs from one processor to the next."""
    if count >= score.size:
        return np.arange(score.size)
    limit = np.partition(score, score.size - count)[score.size - count]
    better = score > limit
    equal = np.flatnonzero(score == limit)[: count - int(better.sum())]
    better[equal] = True
    return np.flatnonzero(better)


def level(room: Ints, count: int) -> Ints:
    """Shares of a count, as equal as the room of each allows (water-filling); of equal ones the first get
    what cannot be divided."""
    shares = np.zeros(room.size, np.int64)
    while count > 0 and (open_ := np.flatnonzero(shares < room)).size:
        each = max(1, count // open_.size)
        more = np.minimum(room[open_] - shares[open_], each)
        more[np.cumsum(more) > count] = 0
        if not more.any():
            more[0] = count
        shares[open_] += more
        count -= int(more.sum())
    return shares
