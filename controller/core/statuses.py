"""What agents say about their tasks: believed as long as states go forward, counted, kept, told.

It writes what is observed; what shall become of a task is decided in `decide.reconcile`.
"""

from __future__ import annotations

import msgspec
import numpy as np

from bayplan.lifecycle import ALIVE, ENDED, TaskState, may_report
from bayplan.model import Desired, Now, TaskStatus
from controller.core import dependencies, exposing, networking
from controller.core.turn import Turn
from controller.decide import restarts
from controller.records import Task
from controller.state import State
from controller.task_columns import DESIRED_CODE, REMOVING
from controller.tasks import ODD

_RUN = DESIRED_CODE[Desired.RUN]


def was_there(turn: Turn, task: Task) -> bool:
    """Whether the agent has had the task: then its silence about it means that it is gone."""
    return task.leaving or turn.state.status_of(task).state in ALIVE | ENDED


def never_there(turn: Turn, node_id: str) -> tuple[str, ...]:
    """Tasks to be removed of which an agent that has taken over all it was sent has never spoken: they
    came and went while it was sent something else."""
    table = turn.state.tasks.table
    rows = table.on_node(node_id)
    removing = rows[(table.flags[rows] & REMOVING) != 0]
    return tuple(table.ids_of(removing[table.state[removing] == 0])) if len(removing) else ()


def take_statuses(turn: Turn, node_id: str, statuses: tuple[TaskStatus, ...]) -> None:
    """Believes an agent about its own tasks, as long as states go forward."""
    for status in statuses:
        task = turn.state.tasks.get(status.task_id)
        if task is None or task.node_id != node_id:
            continue
        if may_report(turn.state.status_of(task).state, status.state):
            _take(turn, task, status)


def _take(turn: Turn, task: Task, status: TaskStatus) -> None:
    before = turn.state.status_of(task)
    if before.state is not status.state:
        _entered(turn, task, before.state, status)
    exposing.note_fall(turn, task, before, status)
    turn.state.statuses[task.id] = status
    if status.state in ENDED:
        turn.state.changed_nodes.add(task.node_id)
        networking.ended(turn, task)
    if status.state is TaskState.SHUTDOWN and _is_succeeded(turn.state, task):
        turn.calm.add(task.service_id)
    else:
        turn.services.add(task.service_id)


def _is_succeeded(state: State, task: Task) -> bool:
    """Whether a task was told to stop because another one of its slot is on its node already, and may run:
    its end is what everybody expects, and nobody waits for it."""
    if not task.leaving:
        return False
    table = state.tasks.table
    rows = table.of_service(task.service_id)
    heirs = rows[(table.slot[rows] == task.slot) & (table.desired[rows] == _RUN) & (table.node[rows] >= 0)]
    return bool(((table.flags[heirs] & REMOVING) == 0).any())


def _entered(turn: Turn, task: Task, before: TaskState, status: TaskStatus) -> None:
    """A task entered a state: count an end in its slot, and tell people what matters."""
    since = turn.state.since_ms.get(task.id, turn.now.mono_ms)
    turn.state.since_ms[task.id] = turn.now.mono_ms
    if before is TaskState.RUNNING:
        turn.state.ran_ms[task.id] = turn.now.mono_ms - since
    if status.state is TaskState.COMPLETE and task.wanted:
        _complete(turn, task)
    if status.state in ENDED and not task.leaving and status.state is not TaskState.SHUTDOWN:
        _count_end(turn, task, status)
    if status.state in ENDED or status.state is TaskState.RUNNING:
        name = turn.state.services[task.service_id].name
        text = f"{status.state.value}{f': {status.message}' if status.message else ''}"
        turn.note("task", f"{name}.{task.slot}", text)


def _complete(turn: Turn, task: Task) -> None:
    """Keep it that a task did its work, if that is all that was asked of it: it must not be done again."""
    service = turn.state.services[task.service_id]
    policy = dependencies.restart_policy(turn.state, service, turn.state.specs[task.service_id, task.version])
    if not restarts.wants_successor(policy, TaskState.COMPLETE, ()):
        turn.put(msgspec.structs.replace(task, completed=True))


def _count_end(turn: Turn, task: Task, status: TaskStatus) -> None:
    """An end that was the task's own doing: keep it, and let it delay the slot's next task."""
    proven = turn.state.ran_ms.get(task.id, 0) >= restarts.PROVEN_MS
    policy = turn.state.specs[task.service_id, task.version].restart
    history = turn.state.past_of(task)
    history.failures = 1 if proven else history.failures + 1
    history.ended_ms.append(turn.now.mono_ms)
    history.not_before_ms = turn.now.mono_ms + restarts.delay_ms(policy, history.failures)
    turn.put(restarts.ended(turn.state.tasks[task.id], status, proven, policy, turn.now.wall_ms))
    for heir in turn.state.tasks_of(task.service_id):
        same = (heir.slot, heir.version) == (task.slot, task.version)
        if same and heir.id != task.id and heir.wanted and heir.end is None:
            turn.put(inherit(turn, heir))  # made before this end, to take the task's place elsewhere


def inherit(turn: Turn, task: Task) -> Task:
    """A new task with what its slot has behind it: as this controller saw it, since the records of the tasks
    before may be gone with their node."""
    history = turn.state.pasts.get(task.service_id, {}).get((task.slot, task.version))
    if history is None:
        return task
    policy = turn.state.specs[task.service_id, task.version].restart
    ahead_ms = turn.now.wall_ms - turn.now.mono_ms
    past_ms = tuple(at + ahead_ms for at in history.ended_ms)[-restarts.ends_kept(policy) :]
    return msgspec.structs.replace(task, failures=history.failures, past_ms=past_ms)


def recall(state: State, now: Now) -> None:
    """After a start: the slots' histories, by their newest task of each version. Only odd tasks have any."""
    table = state.tasks.table
    for service in state.services.values():
        rows = table.of_service(service.id)
        slots, odd = table.slot[rows], (table.flags[rows] & ODD) != 0
        tasks = state.tasks.of(rows[np.isin(slots, slots[odd])])
        newest = {(task.slot, task.version): task for task in tasks}
        for task in newest.values():
            if task.past_ms:
                past = restarts.recalled(task, now)
                policy = state.specs[task.service_id, task.version].restart
                history = state.past_of(task)
                history.failures = past.failures
                history.ended_ms.extend(past.ended_ms)
                history.not_before_ms = past.ended_ms[-1] + restarts.delay_ms(policy, past.failures)


def take_gone(turn: Turn, node_id: str, task_ids: tuple[str, ...]) -> None:
    """Tasks of which the node has no trace any more."""
    for task_id in task_ids:
        task = turn.state.tasks.get(task_id)
        if task is None or task.node_id != node_id:
            continue
        turn.services.add(task.service_id)
        if task.leaving:
            turn.drop(task)
        elif not turn.state.ended(task):
            lost = TaskStatus(
                task_id=task.id,
                state=TaskState.LOST,
                message="the container is no longer on its node",
                since_ms=turn.now.wall_ms,
            )
            _take(turn, task, lost)
