"""The task's state machine: ONE table that both daemons obey.

States only go forward (down the enum), and an ended task never comes back: a replacement is a new
task. `tests/unit/test_lifecycle.py` holds the table to the contract in protos/bayplan/v1/task.proto, and
docs/lifecycle.md to the table.
"""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """What is seen of a task. Up to ASSIGNED the controller writes it, from there on only its agent."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETE = "complete"
    SHUTDOWN = "shutdown"
    FAILED = "failed"
    REJECTED = "rejected"
    LOST = "lost"


_S = TaskState

#: What each state says, for people.
MEANING: dict[TaskState, str] = {
    _S.PENDING: "it waits for a node",
    _S.ASSIGNED: "a node is chosen, and its agent has not taken it up",
    _S.PREPARING: "the image is pulled, the container made; or it is made and waits for its turn",
    _S.STARTING: "it runs, and has not passed its first health check or its hooks",
    _S.RUNNING: "it runs, and has passed its health check if it has one",
    _S.STOPPING: "it was asked to stop",
    _S.COMPLETE: "it ended by itself with exit code 0",
    _S.SHUTDOWN: "it ended because the controller wanted it so",
    _S.FAILED: "it ended by itself otherwise, or became unhealthy",
    _S.REJECTED: "it could not be started",
    _S.LOST: "its node was given up",
}

#: States that no agent may report.
BY_CONTROLLER: frozenset[TaskState] = frozenset({_S.PENDING, _S.LOST})

_ENDS = frozenset({_S.SHUTDOWN, _S.FAILED, _S.REJECTED, _S.LOST})

#: From each state to those that may follow it. A report that does not fit is ignored, not applied.
NEXT: dict[TaskState, frozenset[TaskState]] = {
    _S.PENDING: frozenset({_S.ASSIGNED}) | _ENDS,
    _S.ASSIGNED: frozenset({_S.PREPARING, _S.STARTING, _S.RUNNING, _S.STOPPING, _S.COMPLETE}) | _ENDS,
    _S.PREPARING: frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING, _S.COMPLETE}) | _ENDS,
    _S.STARTING: frozenset({_S.RUNNING, _S.STOPPING, _S.COMPLETE}) | _ENDS,
    _S.RUNNING: frozenset({_S.STOPPING, _S.COMPLETE}) | _ENDS,
    _S.STOPPING: frozenset({_S.COMPLETE}) | _ENDS,
    _S.COMPLETE: frozenset(),
    _S.SHUTDOWN: frozenset(),
    _S.FAILED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.LOST: frozenset(),
}

#: States from which nothing follows.
ENDED: frozenset[TaskState] = frozenset(state for state, after in NEXT.items() if not after)

#: States in which a container may be using its node's CPU, memory and ports.
ON_NODE: frozenset[TaskState] = frozenset({_S.ASSIGNED, _S.PREPARING, _S.STARTING, _S.RUNNING, _S.STOPPING})

#: States in which the container's process runs.
ALIVE: frozenset[TaskState] = frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING})


def may_follow(before: TaskState, after: TaskState) -> bool:
    """Whether a task seen as `before` may next be seen as `after`; staying as it is always may."""
    return before is after or after in NEXT[before]


def may_report(before: TaskState, after: TaskState) -> bool:
    """Whether the controller believes an agent that reports `after` of a task it has seen as `before`."""
    return after not in BY_CONTROLLER and may_follow(before, after)
