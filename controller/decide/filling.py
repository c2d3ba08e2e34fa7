"""Where the tasks of one service go: the order in which nodes are preferred, one by one and in bulk.

In turn: no doubts about the node; the branch with the fewest tasks of the service, for each spread preference
(as Docker's, https://docs.docker.com/engine/swarm/services/#placement-preferences); then by strategy.
*Pack*: not more than a third of the service on the node, the zone with the fewest, the fullest node (best
fit, https://en.wikipedia.org/wiki/Best-fit_bin_packing). *Spread*: the fewest tasks of the service, the
fullest node. In bulk comes out what one by one would, only faster: levels are filled like water.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide import affinity
from controller.decide.demand import Demand
from controller.decide.fleet import Fleet

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

#: Into so many parts is a service packed at least: one node has at most one of them.
PARTS = 3
#: The fullest nodes that are looked at first for a part of a service; four times as many when they do not do.
NODES_FIRST = 64

_NONE: Ints = np.empty(0, np.int64)
_ONE: Ints = np.ones(1, np.int64)


class Wish(NamedTuple):
    """Equal tasks of one service. `bound`: how many of it *pack* puts on a node without need. `avoided`: ids
    of nodes that are a last choice. `level`: the emptiest node, not the fullest (to even out the load)."""

    service_id: str
    demand: Demand
    bound: int
    avoided: frozenset[str] = frozenset()
    level: bool = False


def bound_of(total: int) -> int:
    """How many of `total` tasks *pack* puts on one node: a third, rounded up."""
    return max(1, -(-total // PARTS))


def place_new(fleet: Fleet, service_id: str, demand: Demand) -> int | None:
    """Puts one task of a service that has none yet on the fullest node that fits, where no node is doubted:
    nothing else tells them apart. Its row, None without any."""
    rows = fleet.fits(demand, service_id).nonzero()[0]
    if not rows.size:
        return None
    row = int(rows[fleet.key.take(rows).argmin()])
    fleet.take_one(service_id, demand, row)
    return row


def place_one(fleet: Fleet, wish: Wish, rows: Ints) -> int | None:
    """Puts one task on the best of these rows, which fit; None without any."""
    if not rows.size:
        return None
    row = _Filling(fleet, wish).best(rows)
    fleet.take_one(wish.service_id, wish.demand, row)
    return row


def place_many(fleet: Fleet, wish: Wish, rows: Ints, count: int) -> Ints:
    """Puts up to `count` tasks on rows that fit; the row of each that found one, in the order of choice."""
    if not rows.size:
        return _NONE
    filling = _Filling(fleet, wish)
    filling.fill(rows, count)
    return filling.placed()


def place_singles(fleet: Fleet, demand: Demand, service_ids: list[str]) -> Ints:
    """Puts one task of each of these services, which have none yet and see nothing of each other, on the
    fullest node that fits; the row of each that found one."""
    filling = _Singles(fleet, Wish("", demand, bound=len(service_ids)))
    filling.fill(np.flatnonzero(fleet.fits(demand, "")), len(service_ids))
    rows = filling.placed()
    for service_id, row in zip(service_ids, rows.tolist(), strict=False):
        fleet.counts.add_one(service_id, row)
    return rows


def ranked(fleet: Fleet, wish: Wish, rows: Ints) -> Ints:
    """All rows of nodes that fit, the best first: where one more task would go, and where without that."""
    return rows[np.lexsort(_Filling(fleet, wish).criteria(rows)[::-1])]


class _Filling:
    """The filling of a fleet with tasks of one service, which notes what it has put where."""

    def __init__(self, fleet: Fleet, wish: Wish) -> None:
        self.fleet, self.wish = fleet, wish
        self._packs = wish.demand.packs and not wish.level
        self._doubtless = fleet.doubtless and not wish.avoided and not wish.demand.affinities
        self._counts = fleet.tasks_of(wish.service_id)
        self._rows: list[Ints] = []
        self._numbers: list[Ints] = []

    def placed(self) -> Ints:
        """The row of each task so far."""
        if not self._rows:
            return _NONE
        return np.repeat(np.concatenate(self._rows), np.concatenate(self._numbers))

    def _take(self, rows: Ints, numbers: Ints) -> None:
        self._note(rows, numbers)
        self._rows.append(rows)
        self._numbers.append(numbers)

    def _note(self, rows: Ints, numbers: Ints) -> None:
        self.fleet.take(self.wish.service_id, self.wish.demand, rows, numbers)
        self._counts[rows] += numbers

    def _times(self, rows: Ints, most: int) -> Ints:
        """How many more tasks each row takes, at most `most`."""
        return self.fleet.fit_times(self.wish.demand, self.wish.service_id, rows, most)

    # One by one: each criterion leaves the rows that are best by it.

    def best(self, rows: Ints) -> int:
        """The best of rows that fit."""
        for criterion in self._criteria():
            values = criterion(rows)
            rows = rows[values == values.min()]
        return int(rows[self._last(rows).argmin()])

    def criteria(self, rows: Ints) -> list[Ints]:
        """For each row its values by each criterion, the smaller the better, the weightiest first."""
        return [*(criterion(rows) for criterion in self._criteria()), self._last(rows)]

    def _criteria(self) -> list[Callable[[Ints], Ints]]:
        """What counts before fullness, of that which tells any rows apart."""
        found: list[Callable[[Ints], Ints]] = [] if self._doubtless else [self._doubts]
        if not self.fleet.counts.anywhere(self.wish.service_id):
            return found
        found += [self._by_branch(codes) for codes in self.fleet.branches(self.wish.demand.preferences)]
        if not self._packs:
            return [*found, lambda rows: self._counts[rows]]
        found.append(lambda rows: np.maximum(self._counts[rows] + 1 - self.wish.bound, 0))
        if self.fleet.zoned:
            found.append(self._by_zone)
        return found

    def _doubts(self, rows: Ints) -> Ints:
        """How much speaks against nodes that could take the task; preferred affinities count less than all
        else."""
        doubts = self.fleet.shaky[rows].astype(np.int64)
        if self.wish.avoided:
            failed = [self.fleet.rows[each] for each in self.wish.avoided if each in self.fleet.rows]
            doubts += np.isin(rows, failed)
        affinities = self.wish.demand.affinities
        if not affinities:
            return doubts
        unmet = affinity.unmet(self.fleet, affinities, self.wish.service_id)[rows]
        return doubts * (len(affinities) + 1) + unmet

    def _by_branch(self, codes: Codes) -> Callable[[Ints], Ints]:
        """Tasks of the service on all nodes of the same branch."""
        sums = self._sums(codes)
        return lambda rows: sums[codes[rows]]

    def _by_zone(self, rows: Ints) -> Ints:
        """Tasks of the service in the same zone, as long as a node has no more than its part."""
        zones = self.fleet.zones
        return np.where(self._counts[rows] < self.wish.bound, self._sums(zones)[zones[rows]], 0)

    def _sums(self, codes: Codes) -> Ints:
        rows, numbers = self.fleet.counts.of(self.wish.service_id)
        sums = np.bincount(codes[rows], weights=numbers, minlength=int(codes.max(initial=0)) + 1)
        return sums.astype(np.int64)

    def _last(self, rows: Ints) -> Ints:
        return self.fleet.emptiest_first(self.wish.demand, rows) if self.wish.level else self.fleet.key[rows]

    # In bulk: each returns how many tasks found no place.

    def fill(self, rows: Ints, count: int) -> int:
        """Puts up to `count` tasks on these rows, those without doubts first."""
        if self._doubtless:
            return self._over_branches(rows, count, self.fleet.branches(self.wish.demand.preferences))
        doubts = self._doubts(rows)
        for each in np.unique(doubts):
            branches = self.fleet.branches(self.wish.demand.preferences)
            count = self._over_branches(rows[doubts == each], count, branches)
        return count

    def _over_branches(self, rows: Ints, count: int, branches: list[Codes]) -> int:
        if branches:
            return self._evenly(
                branches[0], rows, count, lambda own, share: self._over_branches(own, share, branches[1:])
            )
        if not self._packs:
            return self._by_counts(rows, count)
        within = rows[self._counts[rows] < self.wish.bound]
        if self.fleet.zoned:
            count = self._evenly(self.fleet.zones, within, count, self._fullest_first)
        else:
            count = self._fullest_first(within, count)
        return self._by_counts(rows, count)

    def _evenly(self, codes: Codes, rows: Ints, count: int, fill: Callable[[Ints, int], int]) -> int:
        """Over the branches, so that those with the fewest tasks get some first: whole levels at once, what
        is less than a level one by one. A branch that is full is left out from then on."""
        branches = _groups(codes[rows], rows)
        while count and branches:
            sums = self._sums(codes)
            levels = np.array([sums[code] for code in branches])
            shares = _water(levels, np.full(levels.size, count), count)
            if not shares.any():
                lowest = [code for code, level in zip(branches, levels, strict=True) if level == levels.min()]
                count -= self._one_of(branches, lowest)
                continue
            for code, share in [each for each in zip(list(branches), shares, strict=True) if each[1]]:
                missed = fill(branches[code], int(share))
                count -= int(share) - missed
                if missed:
                    del branches[code]
        return count

    def _one_of(self, branches: dict[int, Ints], lowest: list[int]) -> int:
        """Puts one task on the best row of these branches; without any they are full. Returns how many."""
        rows = np.concatenate([branches[code] for code in lowest])
        rows = rows[self._times(rows, 1) > 0]
        if not rows.size:
            for code in lowest:
                del branches[code]
            return 0
        self._take(np.array([self.best(rows)]), _ONE)
        return 1

    def _fullest_first(self, rows: Ints, count: int) -> int:
        """Each node as far as it goes, or to its part of the service, the fullest first."""
        keys, window = self.fleet.key[rows], NODES_FIRST
        while True:
            chosen = rows[_smallest(keys, window)]
            parts = np.minimum(self._times(chosen, count), self.wish.bound - self._counts[chosen])
            if window >= rows.size or parts.sum() >= count:
                break
            window *= 4
        numbers = np.clip(count - (np.cumsum(parts) - parts), 0, parts)
        some = numbers > 0
        if some.any():
            self._take(chosen[some], numbers[some])
        return count - int(numbers.sum())

    def _by_counts(self, rows: Ints, count: int) -> int:
        """The nodes with the fewest tasks of the service first; of equal ones the fullest."""
        if not count:
            return 0
        times = self._times(rows, count)
        rows, times = rows[times > 0], times[times > 0]
        shares = _water(self._counts[rows], times, count)
        given = np.flatnonzero(shares)
        if given.size:
            given = given[self.fleet.key[rows[given]].argsort()]
            self._take(rows[given], shares[given])
            count -= int(shares.sum())
        more = rows[times > shares]
        if count and more.size:  # they are equal now, and more than there are tasks left
            last = more[_smallest(self.fleet.key[more], count)]
            self._take(last, np.ones(last.size, np.int64))
            count -= last.size
        return count


class _Singles(_Filling):
    """The same for one task of each of many new services: nothing but fullness tells nodes apart."""

    def _over_branches(self, rows: Ints, count: int, branches: list[Codes]) -> int:
        return self._fullest_first(rows, count)

    def _note(self, rows: Ints, numbers: Ints) -> None:
        self.fleet.move(self.wish.demand, rows, numbers)


def _groups(codes: Codes, rows: Ints) -> dict[int, Ints]:
    """The rows by their code, ascending."""
    order = np.argsort(codes, kind="stable")
    found, first = np.unique(codes[order], return_index=True)
    return dict(zip(found.tolist(), np.split(rows[order], first[1:]), strict=True)) if rows.size else {}


def _smallest(keys: Ints, count: int) -> Ints:
    """Where the `count` smallest keys stand, the smallest first."""
    if count >= keys.size:
        return keys.argsort()
    where = np.argpartition(keys, count)[:count]
    return where[keys[where].argsort()]


def _water(levels: Ints, room: Ints, count: int) -> Ints:
    """How much each level rises when at most `count` is poured in, whole steps only: where `room` is left,
    all that rise come to stand equally high."""
    if room.sum() <= count:
        return room
    low = int(levels.min())  # reachable
    high = min(int((levels + room).max()), low + count) + 1  # not reachable
    while high - low > 1:
        middle = (low + high) // 2
        if np.clip(middle - levels, 0, room).sum() <= count:
            low = middle
        else:
            high = middle
    return np.clip(low - levels, 0, room)
