"""The order of the nodes as one number for each, so that no two are equal and comparing is exact.

How much room a node has in steps of a millionth, then how many tasks, then its place among all nodes by size
and name: equally full nodes are taken in that order, which does not hang on when they came.
"""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

from controller.records import Node

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Steps of the room of a node that is empty in one dimension.
STEPS = 1 << 20
#: Room in all dimensions that count (CPU and memory).
ROOM_MAX = 2 * STEPS
ROOM_SHIFT, _TASKS_SHIFT = 40, 24
#: What of a number tells equally full nodes apart.
BELOW_ROOM = (1 << ROOM_SHIFT) - 1
_TASKS_MAX = (1 << (ROOM_SHIFT - _TASKS_SHIFT)) - 1


class Places:
    """The place of each node among all, by memory, CPU and name; `of_row`: that of each row of the fleet."""

    def __init__(self) -> None:
        self.of_row: Ints = np.empty(0, np.int64)
        self._sorted: list[tuple[int, int, str, int]] = []
        self._changed = False

    def copy(self) -> Places:
        other = Places()
        other.of_row, other._sorted, other._changed = self.of_row.copy(), list(self._sorted), self._changed
        return other

    @property
    def rows(self) -> Ints:
        """The rows of all nodes, in their order."""
        return np.array([row for *_, row in self._sorted], np.int64)

    def join(self, rows: list[int], nodes: list[Node]) -> None:
        self._sorted += [_place(row, node) for row, node in zip(rows, nodes, strict=True)]
        self._sorted.sort()
        self._changed = True

    def leave(self, row: int, node: Node) -> None:
        del self._sorted[bisect.bisect_left(self._sorted, _place(row, node))]
        self._changed = True

    def renew(self, row: int, before: Node, after: Node) -> None:
        """A node may have another size or name now."""
        if _place(row, before) != _place(row, after):
            self.leave(row, before)
            bisect.insort(self._sorted, _place(row, after))

    def settled(self, size: int) -> bool:
        """Brings `of_row` up to date, for a fleet of `size` rows; whether it was already."""
        if not self._changed:
            return True
        self.of_row = np.zeros(size, np.int64)
        self.of_row[self.rows] = np.arange(len(self._sorted))
        self._changed = False
        return False


def _place(row: int, node: Node) -> tuple[int, int, str, int]:
    capacity = node.inventory.capacity
    return capacity.memory_bytes, capacity.cpu_millis, node.name, row


def keys(room: Floats, tasks: Ints, places: Ints) -> Ints:
    """The number of each node; `room` is the sum of its shares of CPU and memory that are free, 0 to 2."""
    steps = (np.minimum(np.maximum(room, 0.0), 2.0) * STEPS).astype(np.int64)
    return (steps << ROOM_SHIFT) | (np.minimum(tasks, _TASKS_MAX) << _TASKS_SHIFT) | places


def key(room: float, tasks: int, place: int) -> int:
    """The same for one node, several times faster."""
    steps = int(min(max(room, 0.0), 2.0) * STEPS)
    return steps << ROOM_SHIFT | min(tasks, _TASKS_MAX) << _TASKS_SHIFT | place
