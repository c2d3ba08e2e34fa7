"""Where the tasks of one service go: the order in which nodes are preferred, one by one and in bulk.

In turn: no doubts about the node; the branch with the fewest tasks of the service, for each spread preference
(as Docker's, https://docs.docker.com/engine/swarm/services/#placement-preferences); then by strategy.
*Pack*: not more than a third of the service on the node, the zone with the fewest, the node that is used most
evenly with the task, the fuller the better (with one dimension: the fullest, best fit). *Spread*: the fewest
tasks of the service, the fullest node. In bulk comes out what one by one would: levels are filled like water.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide import affinity, pouring
from controller.decide.demand import Demand
from controller.decide.fleet import Fleet

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

#: Into so many parts is a service packed at least: one node has at most one of them.
PARTS = 3
#: Places for single tasks, on all nodes together, that are ranked one by one; where there are more to choose
#: from, nodes are filled one after the other.
PLACES_MAX = 1 << 16
#: Of more tasks at once than these nodes are filled by fullness alone.
FITTED_MAX = 512
#: So many services with one task are placed one after the other: in bulk that would take longer.
SINGLES_FEW = 4

_NONE: Ints = np.empty(0, np.int64)
_UNLIMITED = np.iinfo(np.int64).max


class Wish(NamedTuple):
    """Equal tasks of one service. `bound`: how many of it *pack* puts on a node without need. `avoided`: ids
    of nodes that are a last choice. `level`: the emptiest node, not the fullest (to even out the load).
    `fullest`: the fullest node, however evenly it is used: for heirs, so that no node is opened for them, and
    for very many at once, for which to look for each would take too long."""

    service_id: str
    demand: Demand
    bound: int
    avoided: frozenset[str] = frozenset()
    level: bool = False
    fullest: bool = False


def fitted(wish: Wish) -> bool:
    """Whether the task's fit, not fullness alone, tells nodes apart."""
    return wish.demand.by_fit and not (wish.level or wish.fullest)


def bound_of(total: int) -> int:
    """How many of `total` tasks *pack* puts on one node: a third, rounded up."""
    return max(1, -(-total // PARTS))


def place_new(fleet: Fleet, service_id: str, demand: Demand) -> int | None:
    """Puts one task of a service that has none yet on the node that it fits best, where no node is doubted:
    nothing else tells them apart. Its row, None without any."""
    row = fleet.best_of(demand, fleet.fits(demand, service_id))
    if row is not None:
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
    node that it fits best; the row of each that found one."""
    if len(service_ids) <= SINGLES_FEW and fleet.doubtless:
        found = [place_new(fleet, each, demand) for each in service_ids]
        return np.array([row for row in found if row is not None], np.int64)
    filling = _Singles(fleet, Wish("", demand, bound=len(service_ids)))
    filling.fill(np.flatnonzero(fleet.fits(demand, "")), len(service_ids))
    rows = filling.placed()
    for service_id, row in zip(service_ids, rows.tolist(), strict=False):
        fleet.counts.add_one(service_id, row)
    return rows


def ranked(fleet: Fleet, wish: Wish, rows: Ints) -> Ints:
    """All rows of nodes that fit, the best first: where one more task would go, and where without that."""
    return rows[np.lexsort(_Filling(fleet, wish).criteria(rows)[::-1])]


class _Share(NamedTuple):
    """Rows with how many tasks each can take, the group of each row (sorted), and how many tasks each group
    gets, for which it has room; whether nodes are packed, and how many of the service each has at most."""

    rows: Ints
    room: Ints
    groups: Ints
    amounts: Ints
    packs: bool
    limit: int


class _Filling:
    """The filling of a fleet with tasks of one service, which notes what it has put where."""

    def __init__(self, fleet: Fleet, wish: Wish) -> None:
        self.fleet, self.wish = fleet, wish
        self._packs = wish.demand.packs and not wish.level
        self._fitted = fitted(wish)
        self._doubtless = fleet.doubtless and not wish.avoided and not wish.demand.affinities
        self._dense: Ints | None = None
        #: What is worked out by `_sums`, by the column's identity, until tasks come.
        self._summed: dict[int, tuple[Codes, Ints]] = {}
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
        if self._dense is not None:
            self._dense[rows] += numbers
        self._summed.clear()

    @property
    def _counts(self) -> Ints:
        """How many tasks of the service each row has."""
        if self._dense is None:
            self._dense = self.fleet.tasks_of(self.wish.service_id)
        return self._dense

    def _times(self, rows: Ints, most: int) -> Ints:
        """How many more tasks each row takes, at most `most`."""
        return self.fleet.fit_times(self.wish.demand, self.wish.service_id, rows, most)

    # One by one: each criterion leaves the rows that are best by it.

    def best(self, rows: Ints) -> int:
        """The best of rows that fit."""
        for criterion in self._criteria():
            if rows.size == 1:
                return int(rows[0])
            values = criterion(rows)
            rows = rows[values == values.min()]
        return (
            self.fleet.best_in(self.wish.demand, rows)
            if self._fitted
            else int(rows[self._last(rows).argmin()])
        )

    def criteria(self, rows: Ints) -> list[Ints]:
        """For each row its values by each criterion, the smaller the better, the weightiest first."""
        return [criterion(rows) for criterion in (*self._criteria(), self._last)]

    def _criteria(self) -> list[Callable[[Ints], Ints]]:
        """What counts before fullness, of that which tells any rows apart."""
        found: list[Callable[[Ints], Ints]] = [] if self._doubtless else [self._doubts]
        if not self.fleet.counts.anywhere(self.wish.service_id):
            return found
        found += [self._by_branch(codes) for codes in self.fleet.branches(self.wish.demand.preferences)]
        if not self._packs:
            return [*found, lambda rows: self._counts[rows]]
        crowded = self.fleet.counts.most(self.wish.service_id) >= self.wish.bound
        if crowded:
            found.append(lambda rows: np.maximum(self._counts[rows] + 1 - self.wish.bound, 0))
        if self.fleet.zoned and not self.wish.demand.preferences:
            found.append(self._by_zone if crowded else self._by_branch(self.fleet.zones))
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
        """By branch the tasks of the service."""
        known = self._summed.get(id(codes))
        if known is None:
            rows, numbers = self.fleet.counts.of(self.wish.service_id)
            sums = np.bincount(codes[rows], weights=numbers, minlength=int(codes.max(initial=0)) + 1)
            known = self._summed[id(codes)] = codes, sums.astype(np.int64)
        return known[1]

    def _last(self, rows: Ints) -> Ints:
        return self.fleet.emptiest_first(self.wish.demand, rows) if self.wish.level else self._keys(rows)

    def _keys(self, rows: Ints) -> Ints:
        return self.fleet.best_first(self.wish.demand, rows) if self._fitted else self.fleet.suits.key[rows]

    # In bulk: whole steps at once, then what is less than a step, all branches side by side.

    def fill(self, rows: Ints, count: int) -> None:
        """Puts up to `count` tasks on these rows, those without doubts first."""
        if self._doubtless:
            self._fill(rows, count)
            return
        doubts = self._doubts(rows)
        for each in np.unique(doubts):
            count -= self._fill(rows[doubts == each], count)

    def _fill(self, rows: Ints, count: int) -> int:
        """The same for rows that are equally doubted; returns how many tasks have found a place."""
        branches = self.fleet.branches(self.wish.demand.preferences)
        if branches or not self._packs:
            return self._over(branches, rows, count, packs=self._packs)
        within = rows[self._counts[rows] < self.wish.bound]
        if self.fleet.zoned:
            done = self._over([self.fleet.zones], within, count, packs=True, limit=self.wish.bound)
        else:
            done = self._best_first(within, count)
        return done + (self._over([], rows, count - done, packs=False) if count > done else 0)

    def _over(
        self, branches: list[Codes], rows: Ints, count: int, *, packs: bool, limit: int = _UNLIMITED
    ) -> int:
        """Evenly over branches within branches, as far as no node gets more than `limit` of the service."""
        if branches:
            rows = rows[pouring.in_groups(branches[-1][rows])]
        room = self._room(rows, count, limit)
        rows, room = rows[room > 0], room[room > 0]
        count = min(count, int(room.sum()))
        if count:
            groups, amounts = np.zeros(rows.size, np.int64), np.array([count])
            self._share(branches, _Share(rows, room, groups, amounts, packs, limit))
        return count

    def _room(self, rows: Ints, most: int, limit: int) -> Ints:
        """How many more tasks each row takes, with at most `limit` on it."""
        times = self._times(rows, most)
        return times if limit == _UNLIMITED else np.minimum(times, limit - self._counts[rows])

    def _share(self, branches: list[Codes], share: _Share) -> None:
        """Deals the amount of each group out over its branches, and so on within these."""
        if not branches:
            self._onto_nodes(self._packed(share) if share.packs else share)
            return
        codes = branches[0][share.rows]
        starts = pouring.starts_of(codes)
        parents, branch = share.groups[starts], pouring.numbered(starts, codes.size)
        levels, room = self._sums(branches[0])[codes[starts]], np.add.reduceat(share.room, starts)
        steps = pouring.poured(levels, room, parents, share.amounts)
        if steps.any():
            self._share(branches[1:], share._replace(groups=branch, amounts=steps))
        rest = pouring.rest(share.amounts, parents, steps)
        if rest.any():
            lowest = pouring.lowest(levels + steps, room > steps, parents, rest.size)
            some = np.flatnonzero(lowest[branch])
            best, columns = self._best_of_each(share.rows[some], branch[some], share.limit)
            best = some[best]
            self._take_firsts(share.rows[best], share.groups[best], columns, rest)

    def _best_of_each(self, rows: Ints, branch: Ints, limit: int) -> tuple[Ints, list[Ints]]:
        """Where the best row of each branch stands that takes one more task, and their values by each
        criterion, the weightiest first; rows come sorted by branch."""
        at, columns = np.flatnonzero(self._room(rows, 1, limit) > 0), list[Ints]()
        starts = pouring.starts_of(branch[at])
        for criterion in (*self._criteria(), self._last):
            columns.append(criterion(rows[at]))
            if starts.size == at.size:
                continue  # one of each is left
            least = np.minimum.reduceat(columns[-1], starts)
            best = np.flatnonzero(columns[-1] == pouring.spread(least, starts, at.size))
            if best.size < at.size:
                at, columns = at[best], [column[best] for column in columns]
                starts = pouring.starts_of(branch[at])
        return at, columns

    def _take_firsts(self, rows: Ints, groups: Ints, columns: list[Ints], amounts: Ints) -> None:
        """One task on each of the best rows of each group, by these columns, so many of them."""
        order = np.lexsort([*columns[::-1], groups])
        rows = rows[order][pouring.first_in_groups(groups[order], amounts)]
        self._take(rows, np.ones(rows.size, np.int64))

    def _packed(self, share: _Share) -> _Share:
        """Each task of each group where it fits best, up to each node's part of the service; what is left to
        do then."""
        order = pouring.sorted_in_groups(self._keys(share.rows), share.groups)
        rows, groups, room = share.rows[order], share.groups[order], share.room[order]
        part = np.maximum(np.minimum(room, self.wish.bound - self._counts[rows]), 0)
        numbers = self._ranked(rows, part, groups, share.amounts)
        self._take_some(rows, numbers)
        left = pouring.rest(share.amounts, groups, numbers)
        return share._replace(rows=rows, groups=groups, room=room - numbers, amounts=left)

    def _onto_nodes(self, share: _Share) -> None:
        """Evenly over the nodes of each group; of equal ones the best come first."""
        if not share.amounts.any():
            return
        rows, groups = share.rows, share.groups
        steps = pouring.poured(self._counts[rows], share.room, groups, share.amounts)
        order = self._keys(rows).argsort()
        self._take_some(rows[order], steps[order])
        rest, more = pouring.rest(share.amounts, groups, steps), share.room > steps
        if rest.any():
            lowest = pouring.lowest(self._counts[rows], more, groups, rest.size)
            rows, groups = rows[lowest], groups[lowest]
            order = pouring.sorted_in_groups(self._keys(rows), groups)
            rows = rows[order][pouring.first_in_groups(groups[order], rest)]
            self._take(rows, np.ones(rows.size, np.int64))

    def _take_some(self, rows: Ints, numbers: Ints) -> None:
        """Where there are any."""
        some = np.flatnonzero(numbers)
        if some.size:
            self._take(rows[some], numbers[some])

    def _best_first(self, rows: Ints, count: int) -> int:
        """Each task where it fits best, up to each node's part of the service; returns how many have found a
        place. These go to no more nodes than they are, thus to the best of them."""
        chosen = rows[_smallest(self._keys(rows), count)]
        parts = self._room(chosen, count, self.wish.bound)
        numbers = self._ranked(chosen, parts, np.zeros(chosen.size, np.int64), np.array([count]))
        self._take_some(chosen, numbers)
        return int(numbers.sum())

    def _ranked(self, rows: Ints, part: Ints, groups: Ints, amounts: Ints) -> Ints:
        """How many tasks each row takes when each goes where it fits best, of rows that come sorted by group,
        the best first. A row's next place is as good as the worst on the way to it."""
        if not rows.size:
            return part
        part = np.minimum(part, amounts[groups])
        deep = int(part.max(initial=0))
        if not self._fitted or deep * rows.size > PLACES_MAX:
            return pouring.from_the_first(part, groups, amounts)
        numbers, some = np.zeros(rows.size, np.int64), np.flatnonzero(part)
        # so many as there are tasks are each better by their first place than all that come after them
        some = some[pouring.first_in_groups(groups[some], amounts)]
        numbers[some] = 1 if deep == 1 else self._by_place(rows[some], part[some], groups[some], amounts)
        return numbers

    def _by_place(self, rows: Ints, part: Ints, groups: Ints, amounts: Ints) -> Ints:
        """The same by comparing each place on each of these rows."""
        deep = int(part.max(initial=0))
        ahead = np.tile(np.arange(deep), rows.size)
        keys = self.fleet.best_first(self.wish.demand, np.repeat(rows, deep), ahead).reshape(rows.size, deep)
        worst = np.maximum.accumulate(keys, axis=1).ravel()
        places = np.flatnonzero(ahead < np.repeat(part, deep))
        of = places // deep
        order = pouring.sorted_in_groups(worst[places], groups[of])  # equal ones are of one row
        taken = of[order][pouring.first_in_groups(groups[of][order], amounts)]
        return np.bincount(taken, minlength=rows.size)


class _Singles(_Filling):
    """The same for one task of each of many new services: nothing but its fit tells nodes apart."""

    def _fill(self, rows: Ints, count: int) -> int:
        return self._best_first(rows, count)

    def _note(self, rows: Ints, numbers: Ints) -> None:
        self.fleet.move(self.wish.demand, rows, numbers)


def _smallest(keys: Ints, count: int) -> Ints:
    """Where the `count` smallest keys stand, the smallest first."""
    if count >= keys.size:
        return keys.argsort()
    where = np.argpartition(keys, count)[:count]
    return where[keys[where].argsort()]
