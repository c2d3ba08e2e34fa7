"""Which demands that fit nowhere are worth another try once nodes have changed. Pure.

A demand sleeps until a node of its kind has room in every dimension in which it asks for some, and nothing
else against it there. So freed memory wakes who is short of memory, on nodes which they could take, and
nobody else; and who could be placed is never missed. Only changed nodes are looked at; sleepers of one kind
are columns, so that most of them are passed over in one stroke.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand, Kind
from controller.decide.fleet import Fleet

Rows = npt.NDArray[np.int64]


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
            found += alike.woken(rows, rows[could[rows]], could, fleet)
        return found


class _Alike:
    """Sleepers of one kind: for each service and demand the ids of the nodes that it is bound to."""

    def __init__(self) -> None:
        self._pins: dict[tuple[str, Demand], set[str]] = {}
        self._columns: _Columns | None = None

    def __len__(self) -> int:
        return len(self._pins)

    def __contains__(self, asker: Asker) -> bool:
        return asker.pinned in self._pins.get((asker.service_id, asker.demand), ())

    def __iter__(self) -> Iterator[Asker]:
        for (service_id, demand), pins in self._pins.items():
            yield from (Asker(service_id, demand, pin) for pin in sorted(pins))

    def put(self, asker: Asker) -> None:
        key = asker.service_id, asker.demand
        if key not in self._pins:
            self._columns = None
        self._pins.setdefault(key, set()).add(asker.pinned)

    def discard(self, asker: Asker) -> None:
        key = asker.service_id, asker.demand
        self._pins[key].discard(asker.pinned)
        if not self._pins[key]:
            del self._pins[key]
            self._columns = None

    def woken(self, changed: Rows, rows: Rows, could: npt.NDArray[np.bool_], fleet: Fleet) -> Iterator[Asker]:
        """`rows` are those of the changed ones that are of the kind."""
        if self._columns is None:
            self._columns = _Columns.of(list(self._pins))
        for service_id, demand in self._columns.within(rows, fleet):
            near = np.flatnonzero(could & _near(demand, changed, fleet)) if demand.affinities else rows
            fitting = near[_fits(fleet, demand, service_id, near)]
            pins = self._pins[service_id, demand]
            if fitting.size and "" in pins:
                yield Asker(service_id, demand)
            if pins != {""}:
                ids = (fleet.ids[row] for row in fitting.tolist())
                yield from (Asker(service_id, demand, node_id) for node_id in ids if node_id in pins)


class _Columns(NamedTuple):
    """What sleepers ask for, by dimension; those with affinities apart: where their fellows stand counts as
    well, on nodes that have not changed."""

    plain: list[tuple[str, Demand]]
    amounts: dict[str, npt.NDArray[np.int64]]
    others: list[tuple[str, Demand]]

    @classmethod
    def of(cls, asking: Collection[tuple[str, Demand]]) -> _Columns:
        plain = [each for each in asking if not each[1].affinities]
        dimensions = {dimension for _, demand in plain for dimension, _ in demand.amounts}
        amounts = {
            dimension: np.array([demand.amount(dimension) for _, demand in plain], np.int64)
            for dimension in sorted(dimensions)
        }
        return cls(plain, amounts, [each for each in asking if each[1].affinities])

    def within(self, rows: Rows, fleet: Fleet) -> Iterator[tuple[str, Demand]]:
        """Those that ask for no more of any dimension than some of these rows have free."""
        if rows.size and self.plain:
            possible = np.ones(len(self.plain), np.bool_)
            for dimension, wanted in self.amounts.items():
                free = fleet.free.get(dimension)
                possible &= (wanted == 0) | (wanted <= (0 if free is None else int(free[rows].max())))
            yield from (self.plain[index] for index in np.flatnonzero(possible).tolist())
        yield from self.others


def _near(demand: Demand, changed: Rows, fleet: Fleet) -> npt.NDArray[np.bool_]:
    """The changed rows, and those that an affinity puts together with one of them."""
    near = np.zeros(fleet.size, np.bool_)
    near[changed] = True
    for affinity in demand.affinities:
        if affinity.topology:
            codes = fleet.attribute(affinity.topology).codes
            near |= np.isin(codes, codes[changed])
    return near


def _fits(fleet: Fleet, demand: Demand, service_id: str, rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of these rows, all of its kind, can take one more task."""
    if any(dimension not in fleet.free for dimension, _ in demand.amounts):
        return np.zeros(rows.size, np.bool_)
    found: npt.NDArray[np.bool_] = fleet.fit_times(demand, service_id, rows, 1) > 0
    return found
