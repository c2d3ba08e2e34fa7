"""What already stands where: fixed ports taken on nodes, and how many tasks of each service they have.

Both are sparse: of most services, and of most ports, most nodes have none. Rows are the fleet's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from controller.decide.filters import PortKey

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Taken = frozenset[PortKey]

#: A port that more than one in so many nodes has taken is a column of flags, which is smaller then.
DENSE_SHARE = 64
_COUNT_BITS = 24
_COUNT = (1 << _COUNT_BITS) - 1
_NONE: Ints = np.empty(0, np.int64)
_NO_PORTS: Taken = frozenset()


class Ports:
    """Which rows have which fixed port taken."""

    def __init__(self) -> None:
        self._by_row: dict[int, frozenset[PortKey]] = {}
        self._rows: dict[PortKey, dict[int, None] | Bools] = {}
        self._addresses: dict[tuple[int, str], dict[str, None]] = {}

    def at(self, row: int) -> frozenset[PortKey]:
        return self._by_row.get(row, _NO_PORTS)

    def write(self, row: int, ports: frozenset[PortKey], size: int) -> None:
        """All that is taken on a row, of a fleet of `size` rows."""
        before = self.at(row)
        if ports == before:
            return
        this = np.array([row])
        self.release(before - ports, this, size)
        self.take(ports - before, this, size)

    def take(self, ports: Taken, rows: Ints, size: int) -> None:
        """These ports are taken on these rows, too."""
        self._change(rows, lambda before: before | ports)
        for key in ports:
            self._set(key, rows, taken=True, size=size)

    def release(self, ports: Taken, rows: Ints, size: int) -> None:
        """These ports, which are taken on these rows, are so no more."""
        self._change(rows, lambda before: before - ports)
        for key in ports:
            self._set(key, rows, taken=False, size=size)

    def _change(self, rows: Ints, after: Callable[[Taken], Taken]) -> None:
        """What is taken on each row, by what was: few are different, thus kept as one object each."""
        by_row, known = self._by_row, dict[Taken, Taken]()
        for row in rows.tolist():
            before = by_row.get(row, _NO_PORTS)
            if before not in known:
                known[before] = after(before)
            if ports := known[before]:
                by_row[row] = ports
            else:
                by_row.pop(row, None)

    def _set(self, key: PortKey, changed: Ints, *, taken: bool, size: int) -> None:
        number, protocol, address = key
        self._addresses.setdefault((number, protocol), {})[address] = None
        rows = self._rows.setdefault(key, {})
        if isinstance(rows, dict):
            if taken:
                rows.update(dict.fromkeys(changed.tolist()))
            else:
                for row in changed.tolist():  # after a fault two tasks may have held it, and both go
                    rows.pop(row, None)
            if len(rows) > max(1, size // DENSE_SHARE):
                self._rows[key] = _flags(rows, size)
            elif not rows:
                self._forget(key)
            return
        if rows.size < size:
            rows = self._rows[key] = np.concatenate([rows, np.zeros(size - rows.size, np.bool_)])
        rows[changed] = taken
        if not taken and not rows.any():
            self._forget(key)

    def _forget(self, key: PortKey) -> None:
        number, protocol, address = key
        del self._rows[key]
        addresses = self._addresses[number, protocol]
        del addresses[address]
        if not addresses:
            del self._addresses[number, protocol]

    def exclude(self, wanted: Iterable[PortKey], fits: Bools) -> None:
        """Takes the rows out of `fits` on which one of these ports is taken, on addresses that overlap."""
        for number, protocol, address in wanted:
            for other in self._addresses.get((number, protocol), ()):
                if not address or not other or address == other:
                    rows = self._rows[number, protocol, other]
                    if isinstance(rows, dict):
                        fits[np.fromiter(rows, np.int64, len(rows))] = False
                    else:
                        fits[: rows.size] &= ~rows

    def copy(self) -> Ports:
        other = Ports()
        other._by_row = dict(self._by_row)
        other._rows = {key: rows.copy() for key, rows in self._rows.items()}
        other._addresses = {key: dict(addresses) for key, addresses in self._addresses.items()}
        return other


def _flags(rows: Iterable[int], size: int) -> Bools:
    flags = np.zeros(size, np.bool_)
    flags[list(rows)] = True
    return flags


class Counts:
    """How many tasks of each service stand on which rows: for each service one sorted array, the row in the
    high bits of each element and the number in the low ones (8 bytes for each pair)."""

    def __init__(self) -> None:
        self._pairs: dict[str, Ints] = {}

    def of(self, service_id: str) -> tuple[Ints, Ints]:
        """The rows that have tasks of a service, ascending, and how many."""
        pairs = self._pairs.get(service_id, _NONE)
        return pairs >> _COUNT_BITS, pairs & _COUNT

    def total(self, service_id: str) -> int:
        pairs = self._pairs.get(service_id)
        return 0 if pairs is None else int((pairs & _COUNT).sum())

    def most(self, service_id: str) -> int:
        """The most that any row has."""
        pairs = self._pairs.get(service_id)
        return 0 if pairs is None else int((pairs & _COUNT).max())

    def at(self, service_id: str, row: int) -> int:
        """How many tasks of a service a row has."""
        pairs = self._pairs.get(service_id, _NONE)
        at = int(pairs.searchsorted(row << _COUNT_BITS))
        return int(pairs[at]) & _COUNT if at < pairs.size and int(pairs[at]) >> _COUNT_BITS == row else 0

    def anywhere(self, service_id: str) -> bool:
        return service_id in self._pairs

    def add(self, service_id: str, rows: Ints, numbers: Ints) -> None:
        """More tasks of a service on rows, each of which is named once."""
        more, pairs = (rows << _COUNT_BITS) + numbers, self._pairs.get(service_id)
        if pairs is None:
            self._pairs[service_id] = np.sort(more)
            return
        at = pairs.searchsorted(rows << _COUNT_BITS)
        there = pairs.take(at, mode="clip") >> _COUNT_BITS == rows
        pairs = pairs.copy()  # copies of these counts share what has not changed since
        pairs[at[there]] += numbers[there]
        self._pairs[service_id] = np.sort(np.concatenate([pairs, more[~there]]))

    def remove(self, service_id: str, rows: Ints, numbers: Ints) -> None:
        """Fewer tasks of a service on rows, each of which is named once and has at least so many."""
        pairs = self._pairs[service_id].copy()
        at = pairs.searchsorted(rows << _COUNT_BITS)
        assert bool((pairs[at] >> _COUNT_BITS == rows).all()), f"{service_id} has no tasks there"
        assert bool((pairs[at] & _COUNT >= numbers).all()), f"{service_id} has fewer tasks there"
        pairs[at] -= numbers
        self._keep(service_id, pairs[(pairs & _COUNT) > 0])

    def add_one(self, service_id: str, row: int) -> None:
        """One more task of a service on a row: as `add`, several times faster."""
        pairs, new = self._pairs.get(service_id), row << _COUNT_BITS
        if pairs is None:
            self._pairs[service_id] = np.array([new | 1])
            return
        at = int(pairs.searchsorted(new))
        if at < pairs.size and pairs.item(at) >> _COUNT_BITS == row:
            more = pairs.copy()
            more[at] += 1
        else:
            more = np.empty(pairs.size + 1, np.int64)
            more[:at], more[at], more[at + 1 :] = pairs[:at], new | 1, pairs[at:]
        self._pairs[service_id] = more

    def clear_rows(self, rows: Ints) -> None:
        """Nothing stands on these rows."""
        if not self._pairs:
            return
        every = list(self._pairs.values())
        of_row = np.concatenate(every) >> _COUNT_BITS
        cleared = np.zeros(max(int(of_row.max()), int(rows.max(initial=0))) + 1, np.bool_)
        cleared[rows] = True
        there = np.flatnonzero(cleared[of_row])
        if not there.size:
            return
        ends, services = np.cumsum([pairs.size for pairs in every]), list(self._pairs)
        for number in np.unique(ends.searchsorted(there, side="right")).tolist():
            pairs = every[number]
            self._keep(services[number], pairs[~cleared[pairs >> _COUNT_BITS]])

    def copy(self) -> Counts:
        other = Counts()
        other._pairs = dict(self._pairs)
        return other

    def _keep(self, service_id: str, pairs: Ints) -> None:
        if pairs.size:
            self._pairs[service_id] = pairs
        else:
            self._pairs.pop(service_id, None)
