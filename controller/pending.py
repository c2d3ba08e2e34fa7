"""Why tasks have no node: one reason for all that ask alike, put into words when somebody asks.

Filled by who places tasks. Knows neither nodes nor the scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from controller.tasks import Tasks

#: In place of the number of a slot: all slots of a version, none of which is bound to a node.
ANY_SLOT = 0


class Reason(Protocol):
    """Why no node takes a task."""

    @property
    def lines(self) -> tuple[str, ...]: ...


class PendingReasons(Mapping[str, tuple[str, ...]]):
    """By task the reasons of one that waits for a node and was refused, or whose equals were."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._reasons: dict[tuple[str, int], dict[int, Reason]] = {}

    def put(self, service_id: str, version: int, reason: Reason, slot: int = ANY_SLOT) -> bool:
        """Tasks of a version were refused, or only the one of a slot. Says whether none had been before."""
        slots = self._reasons.setdefault((service_id, version), {})
        is_new = slot not in slots
        slots[slot] = reason
        return is_new

    def forget(self, service_id: str, version: int, slot: int = ANY_SLOT) -> None:
        """None of them waits any more."""
        slots = self._reasons.get((service_id, version), {})
        slots.pop(slot, None)
        if not slots:
            self.forget_version(service_id, version)

    def forget_version(self, service_id: str, version: int) -> None:
        """The version is gone."""
        self._reasons.pop((service_id, version), None)

    def __getitem__(self, task_id: str) -> tuple[str, ...]:
        reason = self._reason(task_id)
        if reason is None:
            raise KeyError(task_id)
        return reason.lines

    def __contains__(self, task_id: object) -> bool:
        return isinstance(task_id, str) and self._reason(task_id) is not None

    def __iter__(self) -> Iterator[str]:
        waiting = self._tasks.of(self._tasks.waiting_rows())
        return iter([task.id for task in waiting if task.id in self])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _reason(self, task_id: str) -> Reason | None:
        if not self._reasons:
            return None
        task = self._tasks.get(task_id)
        if task is None or task.node_id:
            return None
        slots = self._reasons.get((task.service_id, task.version), {})
        return slots.get(task.slot) or slots.get(ANY_SLOT)
