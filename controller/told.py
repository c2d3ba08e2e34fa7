"""What is told of tasks, by id: mappings over the columns of `controller.tasks`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from bayplan.model import TaskStatus
from controller.table import NO_TIME
from controller.tasks import Tasks


class Times(MutableMapping[str, int]):
    """Since when tasks are in their state, by id: monotonic ms."""

    def __init__(self, tasks: Tasks) -> None:
        self._table = tasks.table

    def __getitem__(self, task_id: str) -> int:
        row = self._table.row(task_id)
        found = int(self._table.since_ms[row]) if row >= 0 else NO_TIME
        if found == NO_TIME:
            raise KeyError(task_id)
        return found

    def get(self, task_id: str, default: int) -> int:  # type: ignore[override]
        row = self._table.row(task_id)
        found = int(self._table.since_ms[row]) if row >= 0 else NO_TIME
        return default if found == NO_TIME else found

    def __setitem__(self, task_id: str, value: int) -> None:
        self._table.since_ms[self._table.row(task_id)] = value

    def __delitem__(self, task_id: str) -> None:
        self[task_id] = NO_TIME

    def __iter__(self) -> Iterator[str]:
        used = self._table.used()
        return iter(self._table.ids_of(used[self._table.since_ms[used] != NO_TIME]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Statuses(MutableMapping[str, TaskStatus]):
    """What is told of tasks, by id."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def __getitem__(self, task_id: str) -> TaskStatus:
        found = self._tasks.status(task_id)
        if found is None:
            raise KeyError(task_id)
        return found

    def get(self, task_id: str, default: TaskStatus | None = None) -> TaskStatus | None:  # type: ignore[override]
        return self._tasks.status(task_id) or default

    def __setitem__(self, task_id: str, status: TaskStatus) -> None:
        self._tasks.observe(status)

    def __delitem__(self, task_id: str) -> None:
        raise TypeError("what was told of a task goes with it")

    def __iter__(self) -> Iterator[str]:
        used = self._tasks.table.used()
        return iter(self._tasks.table.ids_of(used[self._tasks.table.state[used] != 0]))

    def __len__(self) -> int:
        return int((self._tasks.table.state != 0).sum())
