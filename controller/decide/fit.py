"""How well nodes suit a task: how evenly they would be used with it, and how full they are.

A good of which a node has some left, when another is used up, is of use to nobody there. So a task that takes
several goods goes where what is left of them is most even, as shares of what that node has; of nodes that are
equally even to the fuller one. With that, each kind of nodes gets the tasks that have its shape. (Kubernetes'
NodeResourcesBalancedAllocation scores evenness, too; compare R. Panigrahy et al., Heuristics for Vector Bin
Packing, 2011.) Columns are the fleet's; knows no services.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide import ordering
from controller.decide.demand import DIMENSIONS, Demand

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Shares = npt.NDArray[np.float32]
Columns = Mapping[str, Ints]

#: The dimensions that tell how full a node is.
SIZES = ("cpu_millis", "memory_bytes")
#: What counts beside unevenness: the mean share that is free, and that a node has no tasks yet. So a node is
#: opened only where that leaves things more even by a quarter of a node. By trials on the mixes of
#: `bench.pack`, other seeds (9 to 11), 100 nodes: use at the first refusal 95.1, 92.0 and 97.3 % on equal
#: nodes (long-tailed, VM-like, four goods) and 94.7, 94.1 and 96.4 % on mixed ones. At 0.1 and 0.3 it is
#: 93.9, 92.2 and 97.0 %, and 93.5, 93.7 and 94.5 %, and a fleet that is half full has up to a tenth fewer
#: nodes in use; opening at 0.1 uses a point more and opens up to twice as many nodes.
FREE_WEIGHT, OPENING = 0.05, 0.25
#: To which scores are added: numbers of 32 bits from 8 to 16 are steps of a millionth, and compare as such.
_BASE = np.float32(8)
_STEPS = (1 << 23) - 1
#: No score of a node without tasks is smaller.
_UNUSED = np.float32(float(_BASE) + OPENING)
#: Where no more than one in so many nodes has tasks, or fits, only these are looked at.
FEW = 8


class Parts(NamedTuple):
    """What makes nodes suit a task, each from 0 to 1, the smaller the better: the difference between what is
    most and what is least left with it, the mean share that is free now, and whether there is no task yet."""

    uneven: Floats
    free: Floats
    empty: Floats

    @property
    def score(self) -> Floats:
        """Their sum, by weight; who has the smallest suits best."""
        return np.asarray(self.uneven + FREE_WEIGHT * self.free + OPENING * self.empty, np.float64)


class Fits:
    """`key`: of each row; the fullest node has the smallest. It is worked out anew where rows change."""

    def __init__(self) -> None:
        self.key: Ints = np.empty(0, np.int64)
        self.places = ordering.Places()
        self._whole: dict[str, Floats] = {each: np.empty(0, np.float64) for each in DIMENSIONS}
        #: What one of each of SIZES is, as a share.
        self._per: dict[str, Shares] = {each: np.empty(0, np.float32) for each in SIZES}
        #: The share of the first of SIZES that is left, less that of the second; and what else counts.
        self._lean: Shares = np.empty(0, np.float32)
        self._base: Shares = np.empty(0, np.float32)
        self._used: Bools = np.empty(0, np.bool_)
        #: For what is worked out for each task.
        self._scratch: tuple[Shares, Shares, Bools] = _scratch(0)

    def copy(self) -> Fits:
        other = Fits()
        other.key, other.places = self.key.copy(), self.places.copy()
        other._whole = {each: column.copy() for each, column in self._whole.items()}
        other._per = {each: column.copy() for each, column in self._per.items()}
        other._lean, other._base, other._used = self._lean.copy(), self._base.copy(), self._used.copy()
        other._scratch = _scratch(self.key.size)
        return other

    def grow(self, more: int) -> None:
        """As many rows more."""
        narrow = np.zeros(more, np.float32)
        self.key = np.concatenate([self.key, np.zeros(more, np.int64)])
        self._whole = {each: np.concatenate([column, np.ones(more)]) for each, column in self._whole.items()}
        self._per = {each: np.concatenate([column, narrow]) for each, column in self._per.items()}
        self._lean = np.concatenate([self._lean, narrow])
        self._base = np.concatenate([self._base, narrow])
        self._used = np.concatenate([self._used, np.zeros(more, np.bool_)])
        self._scratch = _scratch(self.key.size)

    def resize(self, row: int, capacity: Columns) -> None:
        """A node has so much now."""
        for each, whole in self._whole.items():
            whole[row] = max(1, capacity[each].item(row))
        for each, per in self._per.items():
            per[row] = 1 / self._whole[each].item(row)

    def renew(self, rows: Ints, free: Columns, tasks: Ints) -> None:
        """There is more or less room on these rows."""
        cpu, memory = (free[each][rows] / self._whole[each][rows] for each in SIZES)
        there = tasks[rows]
        self._used[rows], self._lean[rows] = there > 0, cpu - memory
        self._base[rows] = _base(_room(cpu, memory), there)
        self.key[rows] = ordering.keys(cpu + memory, there, self.places.of_row[rows])

    def renew_one(self, row: int, free: Columns, tasks: int) -> None:
        """The same for one row, several times faster."""
        first, second = SIZES
        cpu = free[first].item(row) / self._whole[first].item(row)
        memory = free[second].item(row) / self._whole[second].item(row)
        self._used[row], self._lean[row] = tasks > 0, cpu - memory
        self._base[row] = _base(min(max(cpu + memory, 0.0), 2.0), tasks)
        self.key[row] = ordering.key(cpu + memory, tasks, self.places.of_row.item(row))

    def emptiest_first(self, demand: Demand, rows: Ints, free: Columns, tasks: Ints) -> Ints:
        """A key of rows for a task that evens out the load: the emptiest with it has the smallest."""
        used = np.zeros(rows.size)
        for each in SIZES:
            used += 1.0 - (free[each][rows] - demand.amount(each)) / self._whole[each][rows]
        return ordering.keys(used, tasks[rows], self.places.of_row[rows])

    def best(self, demand: Demand, fits: Bools, free: Columns) -> int | None:
        """Of the rows of a mask the one that a task suits best, of one that spreads the fullest; None without
        any."""
        if not demand.by_fit:
            rows = fits.nonzero()[0]
            return int(rows[self.key.take(rows).argmin()]) if rows.size else None
        used = np.logical_and(fits, self._used, out=self._scratch[2])
        if np.count_nonzero(used) * FEW <= fits.size and (rows := used.nonzero()[0]).size:
            scores = self._scores(demand, rows, free)
            if scores.min() < _UNUSED:
                return self._least(scores, rows)
        if demand.by_sizes and np.count_nonzero(fits) * FEW > fits.size:
            return self._best_of_many(demand, fits)
        rows = fits.nonzero()[0]
        return self.best_in(demand, rows, free) if rows.size else None

    def _least(self, scores: Shares, rows: Ints) -> int:
        """The row whose score is the smallest; of equal ones as in the order of all nodes."""
        first = scores.argmin()
        equal = (scores == scores[first]).nonzero()[0]
        if equal.size == 1:
            return int(rows[first])
        rows = rows[equal]
        return int(rows[(self.key[rows] & ordering.BELOW_ROOM).argmin()])

    def best_in(self, demand: Demand, rows: Ints, free: Columns) -> int:
        """The same of some rows."""
        if demand.by_sizes and rows.size * FEW > self.key.size:
            return self._least(self._all_scores(demand).take(rows), rows)
        if len(demand.sides) > 1:
            return self._least(self._scores(demand, rows, free), rows)
        return int(rows[self.key[rows].argmin()])

    def _best_of_many(self, demand: Demand, fits: Bools) -> int:
        """The same of a mask, for a task of CPU and memory."""
        scores, (_, other, equal) = self._all_scores(demand), self._scratch
        np.copyto(other, fits)  # several times faster than to overwrite the scores of the others
        other *= _BASE
        scores -= other
        rows = np.equal(scores, scores[scores.argmin()], out=equal).nonzero()[0]
        return int(rows[(self.key[rows] & ordering.BELOW_ROOM).argmin()])

    def _all_scores(self, demand: Demand) -> Shares:
        """`_scores` of all rows, step by step and without new columns, for a task of CPU and memory."""
        scores, other, _ = self._scratch
        np.multiply(self._per[SIZES[0]], np.float32(demand.amount(SIZES[0])), out=scores)
        np.multiply(self._per[SIZES[1]], np.float32(demand.amount(SIZES[1])), out=other)
        scores -= other
        np.subtract(self._lean, scores, out=scores)
        np.abs(scores, out=scores)
        scores += self._base
        return scores

    def keys(self, demand: Demand, rows: Ints, free: Columns) -> Ints:
        """A key of rows for a task that is packed: the one that it suits best has the smallest; where it
        takes of one dimension only, the fullest."""
        if len(demand.sides) < 2:
            return self.key[rows]
        return _keys(self._scores(demand, rows, free), self.key[rows])

    def keys_ahead(self, demand: Demand, rows: Ints, ahead: Ints, free: Columns, tasks: Ints) -> Ints:
        """The same as if so many like it were on each of the rows already, which may be named again."""
        cpu, memory = (
            (free[each][rows] - ahead * demand.amount(each)) / self._whole[each][rows] for each in SIZES
        )
        if demand.by_sizes:
            scores = self._uneven(demand, rows, (cpu - memory).astype(np.float32))
        else:
            scores = self._uneven_of_several(demand, rows, 1 + ahead, free)
        there = tasks[rows] + ahead
        scores += _base(_room(cpu, memory), there).astype(np.float32)
        return _keys(scores, ordering.keys(np.zeros(rows.size), there, self.places.of_row[rows]))

    def parts(self, demand: Demand, rows: Ints, free: Columns) -> Parts:
        """What of these rows suits a task that takes of several dimensions."""
        base, empty = self._base[rows], (~self._used[rows]).astype(np.float64)
        uneven = (self._scores(demand, rows, free) - base).astype(np.float64)
        return Parts(uneven, np.maximum(0.0, base - float(_BASE) - OPENING * empty) / FREE_WEIGHT, empty)

    def _scores(self, demand: Demand, rows: Ints, free: Columns) -> Shares:
        """How badly a task suits each of these rows."""
        if demand.by_sizes:
            scores = self._uneven(demand, rows, self._lean.take(rows))
        else:
            scores = self._uneven_of_several(demand, rows, 1, free)
        scores += self._base.take(rows)
        return scores

    def _uneven(self, demand: Demand, rows: Ints, lean: Shares) -> Shares:
        """How unevenly these rows would be used with a task of CPU and memory, which lean so now."""
        cpu = self._per[SIZES[0]].take(rows) * np.float32(demand.amount(SIZES[0]))
        memory = self._per[SIZES[1]].take(rows) * np.float32(demand.amount(SIZES[1]))
        return np.abs(lean - (cpu - memory))

    def _uneven_of_several(self, demand: Demand, rows: Ints, times: Ints | int, free: Columns) -> Shares:
        """The same of any dimensions, with so many tasks."""
        after = [
            (free[each].take(rows) - times * amount) / self._whole[each].take(rows)
            for each, amount in demand.sides
        ]
        uneven = functools.reduce(np.maximum, after) - functools.reduce(np.minimum, after)
        return uneven.astype(np.float32)


def _scratch(size: int) -> tuple[Shares, Shares, Bools]:
    return np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.bool_)


def _room(cpu: Floats, memory: Floats) -> Floats:
    return np.asarray(np.minimum(np.maximum(cpu + memory, 0.0), 2.0), np.float64)


def _base(room: Any, tasks: Any) -> Any:
    """What counts beside evenness, of one node or of many."""
    return room * (FREE_WEIGHT / len(SIZES)) + (tasks == 0) * OPENING + float(_BASE)


def _keys(scores: Shares, keys: Ints) -> Ints:
    """The number of each node by its score instead of its room."""
    steps = scores.view(np.int32).astype(np.int64) & _STEPS
    return np.asarray((steps << ordering.ROOM_SHIFT) | (keys & ordering.BELOW_ROOM), np.int64)
