"""Which demands that fit nowhere are worth another try once nodes have changed. Pure.

A demand sleeps until a node of its kind has room in every dimension in which it asks for some, and nothing
else against it there. So freed memory wakes who is short of memory, on nodes which they could take, and
nobody else; and who could be placed is never missed. Only changed nodes are looked at, but for who has to be
near to others or away from them; sleepers of one kind are columns: most are passed over in one stroke.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide import affinity
from controller.decide.demand import Demand, Kind
from controller.decide.fleet import Fleet

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
#: A service's id, and what its tasks ask.
_Key = tuple[str, Demand]


class Asker(NamedTuple):
    """Who waits: tasks of a service that ask alike, bound to a node by its id (empty: to none)."""

    service_id: str
    demand: Demand
    pinned: str = ""


class Sleepers:
    """The demands that fit nowhere."""

    def __init__(self) -> None:
        self._by_kind: dict[Kind, _Alike] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, asker: Asker) -> bool:
        alike = self._by_kind.get(asker.demand.kind)
        return alike is not None and asker in alike

    def __iter__(self) -> Iterator[Asker]:
        for alike in self._by_kind.values():
            yield from alike

    def put(self, asker: Asker) -> None:
        """It was refused: no node can take one more task of it."""
        if asker not in self:
            self._by_kind.setdefault(asker.demand.kind, _Alike()).put(asker)
            self._count += 1

    def discard(self, asker: Asker) -> None:
        """It has no tasks any more, or is tried again; one that does not sleep is no error."""
        alike = self._by_kind.get(asker.demand.kind)
        if alike is not None and asker in alike:
            alike.discard(asker)
            self._count -= 1
            if not alike:
                del self._by_kind[asker.demand.kind]

    def woken(self, rows: Rows, fleet: Fleet) -> list[Asker]:
        """Those that one of these rows of the fleet, which have changed, could now take; they sleep on until
        they are discarded."""
        found: list[Asker] = []
        for kind, alike in self._by_kind.items() if rows.size else ():
            could = fleet.of_kind(kind)
            found += alike.woken(rows[could[rows]], could, fleet)
        return found


class _Alike:
    """Sleepers of one kind: for each service and demand the ids of the nodes that it is bound to."""

    def __init__(self) -> None:
        self._pins: dict[_Key, set[str]] = {}
        self._columns: _Columns | None = None

    def __len__(self) -> int:
        return len(self._pins)

    def __contains__(self, asker: Asker) -> bool:
        return asker.pinned in self._pins.get((asker.service_id, asker.demand), ())

    def __iter__(self) -> Iterator[Asker]:
        for (service_id, demand), pins in self._pins.items():
            yield from (Asker(service_id, demand, pin) for pin in sorted(pins))

    def put(self, asker: Asker) -> None:
        self._pins.setdefault((asker.service_id, asker.demand), set()).add(asker.pinned)
        self._columns = None

    def discard(self, asker: Asker) -> None:
        pins = self._pins[asker.service_id, asker.demand]
        pins.discard(asker.pinned)
        if not pins:
            del self._pins[asker.service_id, asker.demand]
        self._columns = None

    def woken(self, rows: Rows, could: Bools, fleet: Fleet) -> Iterator[Asker]:
        """`rows` are those that have changed, `could` all, of the kind."""
        if self._columns is None:
            self._columns = _Columns.of(self._pins)
        for service_id, demand in self._columns.fitting(rows, fleet):
            yield Asker(service_id, demand)
        for service_id, demand in self._columns.others:
            near = np.flatnonzero(could) if _reaches_far(demand, service_id) else rows
            fitting = near[_fits(fleet, demand, service_id, near)]
            pins = self._pins[service_id, demand]
            if fitting.size and "" in pins:
                yield Asker(service_id, demand)
            if pins != {""}:
                ids = (fleet.ids[row] for row in fitting.tolist())
                yield from (Asker(service_id, demand, node_id) for node_id in ids if node_id in pins)


class _Columns(NamedTuple):
    """What sleepers of one kind ask for: `plain` ones nothing but amounts, which are columns by dimension;
    the `others` are looked at one by one."""

    plain: list[_Key]
    amounts: dict[str, Rows]
    others: list[_Key]

    @classmethod
    def of(cls, asking: Mapping[_Key, Collection[str]]) -> _Columns:
        plain = [key for key, pins in asking.items() if pins == {""} and _is_plain(key[1])]
        columns: dict[str, Rows] = {}
        for index, (_, demand) in enumerate(plain):
            for dimension, amount in demand.amounts:
                columns.setdefault(dimension, np.zeros(len(plain), np.int64))[index] = amount
        known = frozenset(plain)
        return cls(plain, columns, [key for key in asking if key not in known])

    def fitting(self, rows: Rows, fleet: Fleet) -> list[_Key]:
        """The plain ones that one of these rows can take."""
        if not rows.size or not self.plain:
            return []
        free = {each: fleet.free[each][rows] if each in fleet.free else rows * 0 for each in self.amounts}
        possible = np.ones(len(self.plain), np.bool_)
        for dimension, wanted in self.amounts.items():
            possible &= wanted <= max(0, int(free[dimension].max()))
        left = np.flatnonzero(possible)
        if left.size > rows.size:
            return [self.plain[index] for index in left[self._by_row(left, free)].tolist()]
        return [self.plain[index] for index in left.tolist() if self._fits_one(index, free)]

    def _by_row(self, left: Rows, free: Mapping[str, Rows]) -> Bools:
        """Which of these fit somewhere, looking at one row after the other."""
        found = np.zeros(left.size, np.bool_)
        wanted = {dimension: amounts[left] for dimension, amounts in self.amounts.items()}
        for row in range(next(iter(free.values())).size if free else 0):
            fits = np.ones(left.size, np.bool_)
            for dimension, amounts in wanted.items():
                fits &= (amounts <= free[dimension][row]) | (amounts == 0)
            found |= fits
        return found if free else ~found

    def _fits_one(self, index: int, free: Mapping[str, Rows]) -> bool:
        """The same of one that asks, looking at all rows at once."""
        fits = np.ones(1, np.bool_)
        for dimension, amounts in self.amounts.items():
            if amounts[index]:
                fits = fits & (free[dimension] >= amounts[index])
        return bool(fits.any())


def _is_plain(demand: Demand) -> bool:
    """Whether nothing counts but its kind and amounts."""
    return not (demand.affinities or demand.ports or demand.per_node_max)


def _reaches_far(demand: Demand, service_id: str) -> bool:
    """Whether a change of one node may let a task onto another: by what both have in common, which may have
    been that node's until now, or because a service that is near to itself has lost its last task."""
    return any(each.required and (each.topology or each.service == service_id) for each in demand.affinities)


def _fits(fleet: Fleet, demand: Demand, service_id: str, rows: Rows) -> Bools:
    """Which of these rows, all of its kind, can take one more task."""
    if any(dimension not in fleet.free for dimension, _ in demand.amounts):
        return np.zeros(rows.size, np.bool_)
    found: Bools = fleet.fit_times(demand, service_id, rows, 1) > 0
    if demand.affinities:
        found &= affinity.admitted(fleet, demand.affinities, service_id)[rows]
    return found
