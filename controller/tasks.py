"""Tasks and what is seen of them, kept as columns: a `Task` or a `TaskStatus` is made when somebody asks.

What has no column (an end, failures, the run of a schedule; a message, ports, an exit code) makes a task or
a status odd: it is kept whole beside the columns, which hold for it too. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import structs

from bayplan.columns import address_number, address_text
from bayplan.lifecycle import ON_NODE, TaskState
from bayplan.model import Desired, Health, TaskStatus
from controller.records import Change, DropTasks, Put, PutTasks, Task
from controller.table import NO_NODE, ROW_BITS, Rows, Table
from controller.task_columns import (
    COMPLETED,
    CONTAINER_DIGITS,
    DESIRED_CODE,
    DESIRES,
    DISPLACED,
    REMOVING,
    TaskColumns,
    columns,
    container_digits,
    container_number,
    container_numbers,
    flags_of,
    has_more,
    put_columns,
)

#: Views that are kept for the next who asks; more are forgotten and made anew.
VIEWS_MAX = 20_000

#: Rows of the table in one slice of a checkpoint.
SLICE_ROWS = 32_768

#: Codes in the columns: a state's and a health's are their places here, from 1; 0 is "nothing told".
STATES: tuple[TaskState, ...] = tuple(TaskState)
HEALTHS: tuple[Health, ...] = tuple(Health)
STATE_CODE = {state: code for code, state in enumerate(STATES, 1)}
HEALTH_CODE = {health: code for code, health in enumerate(HEALTHS, 1)}

#: Bits of the column `flags` beside those of `task_columns`: a task, and a status, that is kept whole.
ODD, WHOLE = 8, 16

_ON_NODE = np.zeros(len(STATES) + 1, bool)
_ON_NODE[[STATE_CODE[state] for state in ON_NODE] + [0]] = True

_T = TypeVar("_T")


class Tasks(Mapping[str, Task]):
    """All tasks by id. `table` is for who looks at many at once; rows are written only here."""

    def __init__(self) -> None:
        self.table = Table()
        self._odd: dict[int, Task] = {}
        self._whole: dict[int, TaskStatus] = {}
        self._views: dict[str, Task] = {}
        self._seen: dict[str, TaskStatus] = {}
        #: Grows with each change, also of what is seen.
        self.writes = 0
        #: Tasks without a node, by the number of their service.
        self._waiting: dict[int, int] = {}

    # --- one task ---

    def __getitem__(self, task_id: str) -> Task:
        found = self._views.get(task_id)
        if found is None:
            row = self.table.row(task_id)
            if row < 0:
                raise KeyError(task_id)
            found = _kept(self._views, task_id, self._view(row))
        return found

    def __contains__(self, task_id: object) -> bool:
        return isinstance(task_id, str) and (task_id in self._views or self.table.row(task_id) >= 0)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.ids_of(self.table.used()))

    def __len__(self) -> int:
        return self.table.count

    def fresh_number(self, random_bits: int) -> int:
        """The number of an id that no task has, for one that is put soon; `random_bits` are RANDOM_BITS."""
        return random_bits << ROW_BITS | int(self.table.free_rows(1)[0])

    def put(self, task: Task) -> None:
        """Take over a task as it is now."""
        table, row = self.table, self.table.row(task.id)
        self.writes += 1
        service = table.services.number(task.service_id)
        node = table.nodes.number(task.node_id) if task.node_id else NO_NODE
        if row >= 0:
            self._count_waiting(row, -1)
        else:
            row = table.take(task.id)
        one, order = np.array([row]), (table.service[row], table.slot[row], table.created_ms[row])
        table.slot[row], table.version[row] = task.slot, task.version
        table.created_ms[row], table.desired[row] = task.created_ms, DESIRED_CODE[task.desired]
        if order != (service, task.slot, task.created_ms):
            table.leave(one, "service")
            table.service[row] = service
            table.enter(one, "service")
        if table.node[row] != node:
            table.leave(one, "node")
            table.node[row] = node
            table.enter(one, "node")
        self._count_waiting(row, 1)
        self._set_flags(row, task)
        _kept(self._views, task.id, task)

    def _count_waiting(self, row: int, by: int) -> None:
        table = self.table
        if table.node[row] == NO_NODE:
            service = int(table.service[row])
            left = self._waiting.get(service, 0) + by
            if left:
                self._waiting[service] = left
            else:
                self._waiting.pop(service, None)

    def _set_flags(self, row: int, task: Task) -> None:
        flags = flags_of(task)
        if has_more(task):
            self._odd[row] = task
            flags |= ODD
        else:
            self._odd.pop(row, None)
        self.table.flags[row] = flags | (self.table.flags[row] & WHOLE)

    def drop(self, task_id: str) -> None:
        """Forget a task and all that was seen of it; one that is not there is no error."""
        row = self.table.row(task_id)
        if row >= 0:
            self.drop_rows(np.array([row]))

    def _view(self, row: int) -> Task:
        odd = self._odd.get(row)
        if odd is not None:
            return odd
        table, flags, node = self.table, int(self.table.flags[row]), int(self.table.node[row])
        return Task(
            id=table.id_of(row),
            service_id=table.services.names[table.service[row]],
            slot=int(table.slot[row]),
            version=int(table.version[row]),
            node_id=table.nodes.names[node] if node >= 0 else "",
            desired=DESIRES[table.desired[row]],
            removing=bool(flags & REMOVING),
            created_ms=int(table.created_ms[row]),
            completed=bool(flags & COMPLETED),
            displaced=bool(flags & DISPLACED),
        )

    # --- many tasks ---

    def of(self, rows: Rows) -> list[Task]:
        """The tasks in rows, in their order."""
        views = self._views
        found = []
        for task_id, row in zip(self.table.ids_of(rows), rows.tolist(), strict=True):
            task = views.get(task_id)
            found.append(_kept(views, task_id, self._view(row)) if task is None else task)
        return found

    def odd(self, row: int) -> Task:
        """The task in a row that is marked as odd."""
        return self._odd[row]

    def whole(self, row: int) -> TaskStatus:
        """What is told of the task in a row that is marked as WHOLE."""
        return self._whole[row]

    def waiting_services(self) -> list[str]:
        """The ids of the services that have tasks without a node."""
        return sorted(self.table.services.names[service] for service in self._waiting)

    def waiting_rows(self) -> Rows:
        """The rows of the tasks without a node, by service, slot and age."""
        table = self.table
        rows = [table.of_service(service_id) for service_id in self.waiting_services()]
        return np.concatenate([mine[table.node[mine] == NO_NODE] for mine in rows] or [np.empty(0, np.int64)])

    def make(
        self,
        service_id: str,
        slots: npt.NDArray[np.int32],
        version: int,
        created_ms: int,
        random_bits: npt.NDArray[np.uint64],
    ) -> Rows:
        """New plain tasks that shall run and have no node yet, one to a slot; of `random_bits` as many."""
        self.writes += 1
        table = self.table
        rows = table.free_rows(len(slots))
        numbers = (random_bits.astype(np.int64) << ROW_BITS) | rows
        table.take_many(rows, numbers)
        service = table.services.number(service_id)
        table.service[rows], table.slot[rows], table.version[rows] = service, slots, version
        table.created_ms[rows], table.desired[rows] = created_ms, DESIRED_CODE[Desired.RUN]
        table.enter(rows, "service")
        self._waiting[service] = self._waiting.get(service, 0) + len(rows)
        return rows

    def place(self, rows: Rows, nodes: npt.NDArray[np.int32]) -> None:
        """Tasks that waited have got nodes (numbers of `table.nodes`)."""
        self.writes += 1
        table = self.table
        assert (table.node[rows] == NO_NODE).all(), "a task that has a node is placed again"
        services, counts = np.unique(table.service[rows], return_counts=True)
        for service, count in zip(services.tolist(), counts.tolist(), strict=True):
            left = self._waiting.pop(service) - count
            if left:
                self._waiting[service] = left
        table.node[rows] = nodes
        table.enter(rows, "node")
        self._forget_views(rows)
        for row in rows[(table.flags[rows] & ODD) != 0].tolist():
            node_id = table.nodes.names[table.node[row]]
            self._odd[row] = structs.replace(self._odd[row], node_id=node_id)

    def drop_rows(self, rows: Rows) -> None:
        """Forget tasks and all that was seen of them."""
        self.writes += 1
        self._forget_views(rows)
        for row in rows.tolist():
            self._count_waiting(row, -1)
            self._odd.pop(row, None)
            self._whole.pop(row, None)
        self.table.free(rows)

    def _count_waiting_rows(self, rows: Rows, by: int) -> None:
        table = self.table
        services, counts = np.unique(table.service[rows[table.node[rows] == NO_NODE]], return_counts=True)
        for service, count in zip(services.tolist(), counts.tolist(), strict=True):
            left = self._waiting.get(service, 0) + by * count
            if left:
                self._waiting[service] = left
            else:
                self._waiting.pop(service, None)

    def _forget_views(self, rows: Rows) -> None:
        if self._views or self._seen:
            for task_id in self.table.ids_of(rows):
                self._views.pop(task_id, None)
                self._seen.pop(task_id, None)

    # --- changes of many tasks ---

    def put_many(self, change: PutTasks) -> None:
        """Take over tasks as they are now. Raises ColumnsError."""
        table, found = self.table, columns(change)
        self.writes += 1
        rows = table.rows(found.numbers)
        known = rows[rows >= 0]
        self._leave(known)
        rows[rows < 0] = table.take_named(found.numbers[rows < 0])
        services = np.array([table.services.number(name) for name in change.services], np.int32)
        nodes = np.array([*map(table.nodes.number, change.nodes), NO_NODE], np.int32)
        table.service[rows], table.node[rows] = services[found.services], nodes[found.nodes]
        table.slot[rows], table.version[rows] = found.slots, found.versions
        table.created_ms[rows], table.desired[rows] = found.created_ms, found.desired
        table.flags[rows] = found.flags | (table.flags[rows] & WHOLE)
        table.enter(rows, "service")
        table.enter(rows, "node")
        self._count_waiting_rows(rows, 1)

    def _leave(self, rows: Rows) -> None:
        """These tasks are about to be put anew."""
        table = self.table
        self._count_waiting_rows(rows, -1)
        self._forget_views(rows)
        table.leave(rows, "service")
        table.leave(rows, "node")
        for row in rows[(table.flags[rows] & ODD) != 0].tolist():
            del self._odd[row]

    def puts(self, rows: Rows) -> list[Change]:
        """The changes that make these tasks as they are now: in columns, but for those with more to tell."""
        table = self.table
        whole = ((table.flags[rows] & ODD) != 0) | (table.number[rows] == 0)
        found: list[Change] = [Put(record=task) for task in self.of(rows[whole])]
        rows = rows[~whole]
        if len(rows):
            services, service_of = np.unique(table.service[rows], return_inverse=True)
            nodes, node_of = np.unique(table.node[rows], return_inverse=True)
            if nodes[0] == NO_NODE:
                nodes, node_of = nodes[1:], node_of - 1
            names, node_names = table.services.names, table.nodes.names
            plain = TaskColumns(
                table.number[rows],
                service_of,
                node_of,
                table.slot[rows],
                table.version[rows],
                table.created_ms[rows],
                table.desired[rows],
                table.flags[rows] & (REMOVING | COMPLETED | DISPLACED),
            )
            service_names = [names[number] for number in services.tolist()]
            found.append(put_columns(service_names, [node_names[number] for number in nodes.tolist()], plain))
        return found

    def drops(self, rows: Rows) -> DropTasks:
        """The change that forgets these tasks, whose ids all have numbers."""
        return DropTasks(ids=self.table.number[rows].astype("<i8").tobytes())

    def slice(self, begin: int) -> tuple[list[Change], int]:
        """The changes that make the tasks from a row on as they are now, and where the next slice begins; 0
        after the last one."""
        numbers = self.table.number[begin : begin + SLICE_ROWS]
        following = begin + SLICE_ROWS
        rows = np.flatnonzero(numbers >= 0) + begin
        return self.puts(rows), following if following < len(self.table.number) else 0

    # --- what is seen ---

    def status(self, task_id: str) -> TaskStatus | None:
        """What an agent, or the controller in its place, told of a task; None if nothing."""
        found = self._seen.get(task_id)
        if found is None:
            row = self.table.row(task_id)
            if row < 0 or not self.table.state[row]:
                return None
            found = _kept(self._seen, task_id, self._status(task_id, row))
        return found

    def _status(self, task_id: str, row: int) -> TaskStatus:
        whole = self._whole.get(row)
        if whole is not None:
            return whole
        table = self.table
        return TaskStatus(
            task_id=task_id,
            state=STATES[table.state[row] - 1],
            health=HEALTHS[table.health[row] - 1],
            container_id=container_digits(int(self.table.container[row])),
            address=address_text(int(table.address[row])),
            since_ms=int(table.told_ms[row]),
        )

    def observe(self, status: TaskStatus) -> None:
        """Take over what is told of a task that there is."""
        table, row = self.table, self.table.row(status.task_id)
        self.writes += 1
        table.state[row], table.health[row] = STATE_CODE[status.state], HEALTH_CODE[status.health]
        table.told_ms[row] = status.since_ms
        container, address = container_number(status.container_id), address_number(status.address)
        odd = status.message or status.exit_code is not None or status.ports or status.probe_output
        if odd or status.restarts or status.addresses or container is None or address is None:
            container = container or bool(status.container_id)
            shown = status.container_id[:CONTAINER_DIGITS]
            self._whole[row] = structs.replace(status, container_id=shown)
            table.flags[row] |= WHOLE
        elif self._whole.pop(row, None) is not None:
            table.flags[row] &= ~np.uint8(WHOLE)
        table.container[row], table.address[row] = container, address or 0
        self._seen.pop(status.task_id, None)

    def observe_rows(
        self,
        rows: Rows,
        state: TaskState,
        health: Health,
        told_ms: npt.NDArray[np.int64],
        containers: npt.NDArray[np.void],
        addresses: npt.NDArray[np.uint32],
    ) -> None:
        """Take over what is told of many tasks alike, none of which has anything odd to tell."""
        self.writes += 1
        table = self.table
        table.state[rows], table.health[rows] = STATE_CODE[state], HEALTH_CODE[health]
        table.told_ms[rows], table.address[rows] = told_ms, addresses
        table.container[rows] = container_numbers(containers)
        whole = rows[(table.flags[rows] & WHOLE) != 0]
        for row in whole.tolist():
            del self._whole[row]
        table.flags[whole] &= ~np.uint8(WHOLE)
        if self._seen:
            for task_id in table.ids_of(rows):
                self._seen.pop(task_id, None)

    def on_node_mask(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of these have a node, and may be using it as far as their state tells."""
        table = self.table
        ended = (table.flags[rows] & COMPLETED) != 0
        for index in np.flatnonzero((table.flags[rows] & ODD) != 0):
            ended[index] |= self._odd[int(rows[index])].end is not None
        told = table.state[rows]
        found: npt.NDArray[np.bool_] = (table.node[rows] >= 0) & _ON_NODE[told] & ~((told == 0) & ended)
        return found


def _kept(views: dict[str, _T], key: str, value: _T) -> _T:
    if len(views) >= VIEWS_MAX:
        views.clear()
    views[key] = value
    return value
