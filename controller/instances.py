"""What the registry shows of a service, made out of the state when somebody asks, and kept until one of its
tasks changes. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health, Instance, TaskStatus
from controller.decide import registry
from controller.state import State
from controller.table import Rows
from controller.task_columns import DESIRED_CODE, REMOVING
from controller.tasks import HEALTH_CODE, STATE_CODE, WHOLE

_RUNNING, _STOP = STATE_CODE[TaskState.RUNNING], DESIRED_CODE[Desired.STOP]
_UNREADY = (HEALTH_CODE[Health.STARTING], HEALTH_CODE[Health.UNHEALTHY])


def shown(state: State, service_id: str) -> tuple[Instance, ...]:
    """The instances of a service, ready or not."""
    kept = state.shown.get(service_id)
    if kept is None:
        kept = registry.instances(_seen(state, service_id))
        state.keep_shown(service_id, kept)
    return kept


def ready(state: State, service_id: str) -> tuple[Instance, ...]:
    """Those that can be used now."""
    return registry.ready(shown(state, service_id))


def _seen(state: State, service_id: str) -> list[registry.Seen]:
    return [
        registry.Seen(
            task=task,
            status=state.status_of(task),
            spec=state.specs[task.service_id, task.version],
            node=state.nodes[task.node_id],
            node_status=state.lives[task.node_id].status,
            leaving=task.id in state.leaving,
        )
        for task in state.tasks_of(service_id)
        if task.node_id in state.nodes and state.status_of(task).state is not TaskState.ASSIGNED
    ]


def routable(state: State, service_id: str) -> Hashable:
    """Another value when a client could connect to something else than before, off the columns: which tasks
    are ready, and all that their endpoints are made of."""
    tasks, table = state.tasks, state.tasks.table
    rows = ready_rows(state, service_id)
    columns = (table.number[rows], table.address[rows], table.version[rows], table.node[rows])
    odd = rows[(table.flags[rows] & WHOLE) != 0].tolist()
    return (
        state.addresses_changed,
        *(column.tobytes() for column in columns),
        *filter(None, (_own_endpoint(tasks.whole(row), int(table.address[row])) for row in odd)),
    )


def ready_rows(state: State, service_id: str) -> Rows:
    """The rows of those that can be used now, by slot: what `ready` shows, off the columns."""
    table = state.tasks.table
    rows: Rows = table.of_service(service_id)
    fine = (table.state[rows] == _RUNNING) & (table.desired[rows] != _STOP)
    health = table.health[rows]
    fine &= (health != _UNREADY[0]) & (health != _UNREADY[1]) & ((table.flags[rows] & REMOVING) == 0)
    fine &= (table.node[rows] >= 0) & state.in_reach(table.node[rows])
    rows = rows[fine]
    if state.leaving:
        leaving = [table.row(task_id) for task_id in state.leaving]
        rows = rows[~np.isin(rows, leaving)]
    return rows


def _own_endpoint(status: TaskStatus, packed: int) -> Hashable:
    """What of a task's endpoint does not stand in columns."""
    address = "" if packed else status.address
    return (status.task_id, address, status.ports) if address or status.ports else None
