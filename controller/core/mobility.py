"""Which tasks may be moved to another node though nothing is wrong with theirs."""

from __future__ import annotations

import numpy as np

from bayplan.lifecycle import TaskState
from bayplan.model import Desired, MountKind, ServiceSpec
from controller.decide import succession
from controller.records import GLOBAL_MODES, JOB_MODES, Service, Task
from controller.state import State
from controller.table import NO_NODE, Rows
from controller.task_columns import DESIRED_CODE, DISPLACED, REMOVING
from controller.tasks import STATE_CODE

_STOP, _RUNNING = DESIRED_CODE[Desired.STOP], STATE_CODE[TaskState.RUNNING]


def mobile(state: State, service: Service) -> Rows:
    """The rows of a service's tasks that may be moved without need, by slot: it is at rest, and each runs
    well, alone in its slot, and leaves nothing behind on its node."""
    table = state.tasks.table
    if not at_rest(service) or not is_mobile(state.spec_of(service)):
        return table.of_service(service.id)[:0]
    rows = table.of_service(service.id)
    rows = rows[(table.desired[rows] != _STOP) & ((table.flags[rows] & REMOVING) == 0)]
    slots, alone = table.slot[rows], np.ones(rows.size, np.bool_)
    alone[1:] &= slots[1:] != slots[:-1]
    alone[:-1] &= slots[1:] != slots[:-1]
    rows = rows[alone]
    rows = rows[(table.version[rows] == service.version) & (table.state[rows] == _RUNNING)]
    rows = rows[((table.flags[rows] & DISPLACED) == 0) & (table.node[rows] != NO_NODE)]
    down = [number for number in np.unique(table.node[rows]) if state.is_down(table.nodes.names[number])]
    found: Rows = rows[~np.isin(table.node[rows], down)]
    return found


def at_rest(service: Service) -> bool:
    return service.rollout is None and service.version == service.settled and not service.removed


def runs_well(state: State, task: Task) -> bool:
    running = state.status_of(task).state is TaskState.RUNNING and not state.is_down(task.node_id)
    return task.wanted and running and not task.displaced


def may_move(state: State, task: Task) -> bool:
    """Whether a task can start elsewhere, serve there, and only then leave."""
    service, spec = state.services[task.service_id], state.specs[task.service_id, task.version]
    mobile = at_rest(service) and is_mobile(spec) and succession.apart(spec)
    return mobile and task.version == service.version and runs_well(state, task)


def is_alone(state: State, task: Task) -> bool:
    """Whether there is no other task in its slot, but for those that leave."""
    in_slot = state.tasks_by_slot(task.service_id)[task.slot]
    return [each.id for each in in_slot if not each.leaving] == [task.id]


def is_mobile(spec: ServiceSpec) -> bool:
    """Cases against it: bound to its nodes, soon over, one copy at most, data there, a spread of its own."""
    data = any(mount.kind is not MountKind.TMPFS and not mount.read_only for mount in spec.container.mounts)
    return not (spec.mode in GLOBAL_MODES | JOB_MODES or spec.fence or data or spec.preferences)
