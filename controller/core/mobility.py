"""Which tasks may be moved to another node though nothing is wrong with theirs."""

from __future__ import annotations

from bayplan.lifecycle import TaskState
from bayplan.model import MountKind, ServiceSpec
from controller.records import GLOBAL_MODES, JOB_MODES, Service, Task
from controller.state import State


def mobile(state: State, service: Service) -> list[Task]:
    """The tasks of a service that may be moved without need: it is at rest, and each runs well, alone in its
    slot, and leaves nothing behind on its node."""
    if not at_rest(service) or not is_mobile(state.spec_of(service)):
        return []
    in_slots = state.tasks_by_slot(service.id).values()
    alone = [staying for tasks in in_slots if len(staying := [t for t in tasks if not t.leaving]) == 1]
    return [task for (task,) in alone if runs_well(state, task) and task.version == service.version]


def at_rest(service: Service) -> bool:
    return service.rollout is None and service.version == service.settled and not service.removed


def runs_well(state: State, task: Task) -> bool:
    running = state.status_of(task).state is TaskState.RUNNING and not state.is_down(task.node_id)
    return task.wanted and running and not task.displaced


def is_mobile(spec: ServiceSpec) -> bool:
    """Cases against it: bound to its nodes, soon over, one copy at most, data there, a spread of its own."""
    data = any(mount.kind is not MountKind.TMPFS and not mount.read_only for mount in spec.container.mounts)
    return not (spec.mode in GLOBAL_MODES | JOB_MODES or spec.fence or data or spec.preferences)
