"""Fenced services: when a task on a node that is lost can no longer be running there.

Its agent stops it when its lease ends, which began when an answer left that reached us. The rest is the
arithmetic of `decide.liveness.fence_end`; here is when that can be relied on.
"""

from __future__ import annotations

from controller.decide import liveness
from controller.records import Task
from controller.state import State


def gone(state: State, task: Task, now_ms: int) -> bool:
    """Whether a task may be replaced because of its node, at this time (monotonic ms)."""
    if not task.node_id or not state.is_lost(task.node_id):
        return False
    if not fenced(state, task):
        return True
    end_ms = end(state, task)
    return end_ms is not None and now_ms >= end_ms


def fenced(state: State, task: Task) -> bool:
    """Whether a second copy must not run beside this one, wherever it is. Of a node that was removed the
    user says that nothing runs there."""
    spec = state.specs.get((task.service_id, task.version))
    return spec is not None and spec.fence and task.node_id in state.nodes and not state.ended(task)


def end(state: State, task: Task) -> int | None:
    """When a fenced task has ended on its silent node (monotonic ms). None: nobody can tell, because there is
    no agent to stop it, or no engine that would."""
    life, container = state.lives[task.node_id], state.specs[task.service_id, task.version].container
    if life.goodbye or life.engine_silent_ms or (life.witnesses and not life.connected):
        return None
    stop_ms = container.stop_grace_ms * (2 if container.pre_stop else 1)  # the hooks have the grace too
    return liveness.fence_end(state.lease_ms, life.answered_ms, stop_ms)


def ends(state: State, node_id: str) -> list[int]:
    """When the fenced tasks of a lost node end."""
    tasks = [task for task in state.tasks_on(node_id) if fenced(state, task)]
    return [end_ms for task in tasks if (end_ms := end(state, task)) is not None]
