"""What the registry shows of a service, made out of the state when somebody asks, and kept until one of its
tasks changes. Pure.
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from bayplan.directory import Entry, Facade, key_of
from bayplan.lifecycle import TaskState
from bayplan.model import BoundPort, Desired, Health, Instance, NodeStatus, TaskStatus
from controller.decide import registry
from controller.networks import vip
from controller.observations import Life
from controller.records import Service
from controller.state import State
from controller.table import Rows, among
from controller.task_columns import DESIRED_CODE, REMOVING
from controller.tasks import HEALTH_CODE, STATE_CODE, WHOLE

#: Of a service's endpoints: two that differ are the same with a chance of 2**-128.
DIGEST_BYTES = 16
#: A service in no network that spans nodes, and without published ports.
PLAIN = Facade()

_Endpoint = tuple[str, str, tuple[BoundPort, ...], dict[str, str]]
_RUNNING, _STOP = STATE_CODE[TaskState.RUNNING], DESIRED_CODE[Desired.STOP]
_STARTING, _UNHEALTHY = HEALTH_CODE[Health.STARTING], HEALTH_CODE[Health.UNHEALTHY]


def entries(state: State, service_id: str) -> tuple[Entry, ...]:
    """All of a service, ready or not, as far as it is known by their tasks alone."""
    kept = state.shown.get(service_id)
    if kept is None:
        kept = registry.in_order(
            (*registry.entries(_seen(state, service_id)), *_remembered(state, service_id))
        )
        state.keep_shown(service_id, kept)
    return kept


def shown(state: State, service_id: str) -> tuple[Instance, ...]:
    """The instances of a service, ready or not."""
    return tuple([registry.instance(each) for each in entries(state, service_id)])


def ready(state: State, service_id: str) -> tuple[Instance, ...]:
    """Those that can be used now."""
    return registry.ready(shown(state, service_id))


def _seen(state: State, service_id: str) -> list[registry.Seen]:
    service = state.services[service_id]
    overrides = state.overrides.get(key_of(service.stack, service.short_name), {})
    damped = _held_back(state, service_id)
    return [
        registry.Seen(
            task=task,
            status=state.status_of(task),
            spec=state.specs[task.service_id, task.version],
            node=state.nodes[task.node_id],
            node_status=state.lives[task.node_id].status,
            leaving=task.id in state.leaving,
            override=overrides.get(task.id),
            damped=task.id in damped,
        )
        for task in state.tasks_of(service_id)
        if task.node_id in state.nodes and state.status_of(task).state is not TaskState.ASSIGNED
    ]


def _remembered(state: State, service_id: str) -> list[Entry]:
    """What was last known of tasks of which nothing was heard yet, and whose nodes are still waited for."""
    if not state.remembered:
        return []
    return [
        registry.remembered(state.remembered[task.id])
        for task in state.tasks_of(service_id)
        if task.id in state.remembered
        and task.wanted
        and state.statuses.get(task.id) is None
        and _is_awaited(state.lives.get(task.node_id))
    ]


def _is_awaited(life: Life | None) -> bool:
    return life is not None and life.status is NodeStatus.UNKNOWN


def _held_back(state: State, service_id: str) -> set[str]:
    """Those of a service that are held back because they flap: none where nobody else is ready."""
    if not state.damped:
        return set()
    table, rows = state.tasks.table, _serving(state, service_id, fails=False)
    mine = set(table.ids_of(rows))
    held = mine & state.damped.keys()
    return held if held != mine else set()


def facade(state: State, service: Service) -> Facade:
    """What a service looks like to those who do not ask for its instances."""
    spec = state.spec_of(service)
    mine = state.networks.of_version(service.id, service.version)
    if not mine and not spec.container.ports and not spec.local_first:
        return PLAIN
    return registry.facade(spec, {each.name: vip(each, service.id) for each in mine})


def counts(state: State, service_id: str) -> tuple[int, int]:
    """How many of a service can be used now, and how many run and fail their checks."""
    ready = len(ready_rows(state, service_id))
    table = state.tasks.table
    if not (table.health[table.of_service(service_id)] == _UNHEALTHY).any():
        return ready, 0
    return ready, len(_serving(state, service_id, fails=True))


def routable(state: State, service_id: str) -> bytes:
    """Another value when a client could connect to something else than before, off the columns: a digest of
    which tasks are ready, and of all that their endpoints are made of."""
    tasks, table = state.tasks, state.tasks.table
    rows = ready_rows(state, service_id)
    found = hashlib.blake2b(str(state.addresses_changed).encode(), digest_size=DIGEST_BYTES)
    if state.exposure(service_id).protection.on:
        rows = np.concatenate((rows, _serving(state, service_id, fails=True)))
        found.update(b"protected")
    for column in (table.number, table.address, table.version, table.node):
        found.update(column[rows].data)
    odd = rows[(table.flags[rows] & WHOLE) != 0].tolist()
    own = [_own_endpoint(tasks.whole(row), int(table.address[row])) for row in odd]
    service = state.services[service_id]
    overrides = state.overrides.get(key_of(service.stack, service.short_name))
    remembered = [each.id for each in _remembered(state, service_id)]
    front = facade(state, service) if not service.removed else PLAIN
    found.update(msgspec.msgpack.encode(([each for each in own if each], overrides, remembered, front)))
    return found.digest()


def ready_rows(state: State, service_id: str) -> Rows:
    """The rows of those that can be used now, by slot: what `ready` shows, off the columns."""
    rows = _serving(state, service_id, fails=False)
    if state.damped and (held := _held_back(state, service_id)):
        rows = rows[~among(rows, {state.tasks.table.row(task_id) for task_id in held})]
    return rows


def _serving(state: State, service_id: str, *, fails: bool) -> Rows:
    """The rows of those that run, shall go on, and are within reach: that pass their checks, or fail them."""
    table = state.tasks.table
    rows: Rows = table.of_service(service_id)
    fine = (table.state[rows] == _RUNNING) & (table.desired[rows] != _STOP)
    health = table.health[rows]
    fine &= (health == _UNHEALTHY) if fails else (health != _UNHEALTHY) & (health != _STARTING)
    fine &= (table.flags[rows] & REMOVING) == 0
    fine &= (table.node[rows] >= 0) & state.in_reach(table.node[rows])
    rows = rows[fine]
    if state.leaving:
        rows = rows[~among(rows, {table.row(task_id) for task_id in state.leaving})]
    return rows


def _own_endpoint(status: TaskStatus, packed: int) -> _Endpoint | None:
    """What of a task's endpoint does not stand in columns."""
    address = "" if packed else status.address
    if not (address or status.ports or status.addresses):
        return None
    return status.task_id, address, status.ports, status.addresses
