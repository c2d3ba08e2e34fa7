"""All tasks as columns: a row each, found by id, by service and by node.

An id holds its row (its low bits) beside random bits, so that none of the millions needs an index; an id
that was given otherwise has an entry of its own. Rows are used again as late as possible. Knows no task's
meaning: what is in a row is written and read by `controller.tasks`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bayplan import ids

#: Rows that the low bits of an id can name: some 16.7 million tasks at once.
ROW_BITS = 24
#: Bits of a version's number in a key of service and version.
_VERSION_BITS = 32
#: Random bits above them: with the row 57, and 2**57 is below `ids.NUMBERS`.
RANDOM_BITS = 33
#: Rows that there are in any case, so that they are used again late in a small cluster, too.
ROWS_MIN = 1 << 16
#: Rows beyond those in use when the table grows, as a share of them; it grows when half of them are used up.
SPARE_SHARE = 1 / 8
#: Rows that are looked through for free ones at first, beside twice those that are needed.
SEARCHED_ROWS = 64

#: Of fewer rows a plain loop is faster than numpy's sorting.
FEW_ROWS = 32

NO_NODE = -1
NO_TIME = -1

Rows = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

#: Name, type, and what an unused row holds.
_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("number", "i8", -1),
    ("service", "i4", -1),
    ("node", "i4", NO_NODE),
    ("slot", "i4", 0),
    ("version", "i4", 0),
    ("desired", "u1", 0),
    ("flags", "u1", 0),
    ("state", "u1", 0),
    ("health", "u1", 0),
    ("created_ms", "i8", 0),
    ("since_ms", "i8", NO_TIME),
    ("told_ms", "i8", 0),
    ("address", "u4", 0),
    ("container", "u8", 0),
)


class Names:
    """Names as small numbers; that of a forgotten name is given again."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []

    def number(self, name: str) -> int:
        """The number of a name, which gets one if it has none."""
        found = self._numbers.get(name)
        if found is None:
            found = self._free.pop() if self._free else len(self.names)
            self.names[found : found + 1] = [name]
            self._numbers[name] = found
        return found

    def forget(self, name: str) -> None:
        """Nothing has this name any more."""
        number = self._numbers.pop(name, None)
        if number is not None:
            self._free.append(number)

    def known(self, name: str) -> int:
        """The number of a name; -1 if it has none."""
        return self._numbers.get(name, -1)


class _Group:
    """The rows that belong together by one column (a service's, a node's): noted as they come, sorted out
    when they are asked for."""

    __slots__ = ("added", "rows", "stale")

    def __init__(self) -> None:
        self.rows: npt.NDArray[np.int32] = np.empty(0, np.int32)  # half as long as what numpy looks up by
        self.added: list[Rows] = []
        self.stale = False


class Table:
    """Columns over rows. `number` is -1 in a row that is not in use."""

    number: npt.NDArray[np.int64]
    service: npt.NDArray[np.int32]
    node: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int32]
    version: npt.NDArray[np.int32]
    desired: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    state: npt.NDArray[np.uint8]
    health: npt.NDArray[np.uint8]
    created_ms: npt.NDArray[np.int64]
    since_ms: npt.NDArray[np.int64]
    told_ms: npt.NDArray[np.int64]
    address: npt.NDArray[np.uint32]
    container: npt.NDArray[np.uint64]

    def __init__(self) -> None:
        self.services = Names()
        self.nodes = Names()
        self.count = 0
        self._space = 0
        self._cursor = 0
        #: Rows from here on were never used.
        self._high = 0
        #: Ids whose row is not the one that they name.
        self._elsewhere: dict[str, int] = {}
        self._names_elsewhere: dict[int, str] = {}
        self._by_service: dict[int, _Group] = {}
        self._by_node: dict[int, _Group] = {}
        #: Rows that were noted and not sorted out yet, by column.
        self._entered: dict[str, list[Rows]] = {"service": [], "node": []}
        for name, kind, _ in _COLUMNS:
            setattr(self, name, np.empty(0, kind))
        self._grow(ROWS_MIN)

    # --- rows and ids ---

    def row(self, task_id: str) -> int:
        """The row of a task; -1 if there is no such task."""
        number = ids.to_number(task_id)
        row = number & ((1 << ROW_BITS) - 1)
        if number >= 0 and row < self._space and self.number[row] == number:
            return row
        return self._elsewhere.get(task_id, -1)

    def rows(self, numbers: ids.Numbers) -> Rows:
        """The rows of many tasks by their ids' numbers; -1 where there is none."""
        rows = numbers & ((1 << ROW_BITS) - 1)
        inside = (numbers >= 0) & (rows < self._space)
        found = np.where(inside, rows, 0)
        found = np.where(inside & (self.number[found] == numbers), found, -1)
        if self._elsewhere:
            for index in np.flatnonzero(found < 0):
                if numbers[index] >= 0:
                    found[index] = self._elsewhere.get(ids.to_id(int(numbers[index])), -1)
        return found

    def id_of(self, row: int) -> str:
        """The id of the task in a row that is in use."""
        return self._names_elsewhere.get(row) or ids.to_id(int(self.number[row]))

    def ids_of(self, rows: Rows) -> list[str]:
        """The ids of the tasks in rows that are in use."""
        found = ids.encode(self.number[rows])
        if self._names_elsewhere:
            for index, row in enumerate(rows.tolist()):
                found[index] = self._names_elsewhere.get(row, found[index])
        return found

    def used(self) -> Rows:
        """All rows in use, ascending."""
        used: Rows = (self.number[: self._high] >= 0).nonzero()[0]
        return used

    def free_rows(self, count: int) -> Rows:
        """Rows that are not in use, those first that were used least lately; they stay free until taken."""
        if (self.count + count) * (1 + SPARE_SHARE / 2) > self._space:
            self.expect(self.count + count)
        assert self.count + count <= self._space, "more tasks than an id can name"
        found, missing = [np.empty(0, np.int64)], count
        at, width = self._cursor, 2 * count + SEARCHED_ROWS
        while missing:
            free = np.flatnonzero(self.number[at : at + width] < 0)[:missing] + at
            found.append(free)
            missing -= len(free)
            at, width = (at + width) * (at + width < self._space), 2 * width
        chosen = np.concatenate(found)
        if count:
            self._cursor = (int(chosen[-1]) + 1) % self._space
        return chosen

    def take(self, task_id: str) -> int:
        """The row of a new task of this id: the one that it names, if that can be."""
        number = ids.to_number(task_id)
        row = number & ((1 << ROW_BITS) - 1)
        if number >= 0 and row < self._space and self.number[row] < 0:
            self.number[row] = number
        else:
            row = int(self.free_rows(1)[0])
            self.number[row] = max(0, number)
            self._elsewhere[task_id], self._names_elsewhere[row] = row, task_id
        self._high = max(self._high, row + 1)
        self.count += 1
        return row

    def take_many(self, rows: Rows, numbers: ids.Numbers) -> None:
        """Free rows become those of these ids, which name them."""
        self.number[rows] = numbers
        self._high = max(self._high, int(rows.max(initial=-1)) + 1)
        self.count += len(rows)

    def take_named(self, numbers: ids.Numbers) -> Rows:
        """The rows of new tasks of these ids: those that they name, where that can be."""
        if (self.count + len(numbers)) * (1 + SPARE_SHARE / 2) > self._space:
            self.expect(self.count + len(numbers))
        rows = numbers & ((1 << ROW_BITS) - 1)
        _, first = np.unique(rows, return_index=True)
        free = np.zeros(len(rows), bool)
        free[first] = True
        free &= rows < self._space
        free[free] = self.number[rows[free]] < 0
        self.take_many(rows[free], numbers[free])
        for index in np.flatnonzero(~free).tolist():
            rows[index] = self.take(ids.to_id(int(numbers[index])))
        return rows

    def expect(self, count: int) -> None:
        """So many tasks are about to be put that another table made: their rows are taken as named."""
        self._grow(int(count * (1 + SPARE_SHARE)))

    def free(self, rows: Rows) -> None:
        """These tasks are no more."""
        for column in ("service", "node"):
            self.leave(rows, column)
        for row in rows.tolist() if self._names_elsewhere else ():
            name = self._names_elsewhere.pop(row, None)
            if name is not None:
                del self._elsewhere[name]
        for name, _, unused in _COLUMNS:
            getattr(self, name)[rows] = unused
        self.count -= len(rows)

    def _grow(self, space: int) -> None:
        space = min(max(space, self._space), 1 << ROW_BITS)
        for name, _, unused in _COLUMNS:
            column = getattr(self, name)
            column.resize(space, refcheck=False)
            if unused:
                column[self._space :] = unused
        self._space = space

    # --- rows by service and by node ---

    def of_service(self, service_id: str) -> Rows:
        """A service's rows by slot, oldest first."""
        key = self.services.known(service_id)
        group = self._sort_out("service").get(key)
        if group is None:
            return np.empty(0, np.int64)
        if group.stale:
            rows = _gathered(group, self.service, key)
            order = np.lexsort((self.number[rows], self.created_ms[rows], self.slot[rows]))
            group.rows = rows[order].astype(np.int32)
        return group.rows.astype(np.int64)

    def by_version(self, rows: Rows) -> Iterator[tuple[str, int, Rows]]:
        """Some rows by the version of a service that they are of: its id, the version, its rows."""
        keys = self.service[rows].astype(np.int64) << _VERSION_BITS | self.version[rows]
        order = np.argsort(keys, kind="stable")
        found, first = np.unique(keys[order], return_index=True)
        for key, mine in zip(found.tolist(), np.split(rows[order], first[1:]), strict=found.size > 0):
            yield self.services.names[key >> _VERSION_BITS], key & (1 << _VERSION_BITS) - 1, mine

    def on_node(self, node_id: str) -> Rows:
        """A node's rows by id."""
        key = self.nodes.known(node_id)
        group = self._sort_out("node").get(key)
        if group is None:
            return np.empty(0, np.int64)
        if group.stale:
            rows = _gathered(group, self.node, key)
            group.rows = rows[np.argsort(self.number[rows])].astype(np.int32)
        return group.rows.astype(np.int64)

    def enter(self, rows: Rows, column: str) -> None:
        """Note where rows belong now, by what stands in their column `service` or `node`."""
        self._entered[column].append(rows)

    def _sort_out(self, column: str) -> dict[int, _Group]:
        """The groups of a column, with all rows that were noted: those of many calls at once."""
        groups = self._by_service if column == "service" else self._by_node
        entered = self._entered[column]
        if entered:
            self._entered[column] = []
            rows = entered[0] if len(entered) == 1 else np.concatenate(entered)
            for key, mine in _split(getattr(self, column)[rows], rows):
                if key >= 0:
                    group = groups.setdefault(key, _Group())
                    group.added.append(mine)
                    group.stale = True
        return groups

    def leave(self, rows: Rows, column: str) -> None:
        """Rows are about to belong elsewhere, or nowhere."""
        groups = self._by_service if column == "service" else self._by_node
        for key in distinct(getattr(self, column)[rows]):
            if key in groups:
                groups[key].stale = True

    def forget_service(self, service_id: str) -> None:
        """A service is no more; its tasks are gone already."""
        self._by_service.pop(self.services.known(service_id), None)
        self.services.forget(service_id)

    def forget_node(self, node_id: str) -> None:
        """A node is no more; its number is kept while tasks name it (work that it did)."""
        if len(self.on_node(node_id)):
            return
        self._by_node.pop(self.nodes.known(node_id), None)
        self.nodes.forget(node_id)


def distinct(column: Column) -> list[int]:
    """The numbers in a column, each once, ascending."""
    if len(column) < FEW_ROWS:
        return sorted(set(column.tolist()))
    found: list[int] = once(column).tolist()
    return found


def once(column: Column) -> Column:
    """The same as an array. Sorted and compared: numpy's `unique` hashes, which takes ten times as long."""
    ordered = np.sort(column)
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def among(rows: Rows, some: Collection[int]) -> npt.NDArray[np.bool_]:
    """Which rows are among some."""
    if len(rows) < FEW_ROWS:
        return np.array([row in some for row in rows.tolist()], bool)
    return np.isin(rows, list(some))


def _gathered(group: _Group, column: Column, key: int) -> Rows:
    """The rows of a group as they are now, each once."""
    rows = np.concatenate((group.rows.astype(np.int64), *group.added))
    group.added, group.stale = [], False
    return once(rows[column[rows] == key])


def _split(keys: Column, rows: Rows) -> Iterable[tuple[int, Rows]]:
    """The rows by their key."""
    if len(rows) < 2:
        return [(int(keys[0]), rows)] if len(rows) else []
    if len(rows) < FEW_ROWS:
        return [(key, rows[keys == key]) for key in distinct(keys)]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    parts: Sequence[Rows] = np.split(rows[order], cuts)
    return zip(ordered[np.concatenate(([0], cuts))].tolist() if len(rows) else [], parts, strict=True)
