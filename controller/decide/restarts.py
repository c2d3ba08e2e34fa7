"""Whether and when a task that ended gets a successor, and where it had better not go.

A slot's past is in its tasks' records, in Unix ms; what is decided with is monotonic ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from bayplan.lifecycle import TaskState
from bayplan.model import Now, RestartCondition, RestartPolicy, TaskStatus
from controller.records import Task

#: A task that ran this long has proved itself: failures before it no longer count.
PROVEN_MS = 60_000
#: The first delay where the user gives none.
FIRST_DELAY_MS = 1_000
#: The longest delay (promises: crash loops back off from 1 s to 5 min).
DELAY_MS_MAX = 300_000
#: Ends that a slot remembers where no max_attempts asks for more, and at most.
ENDS_KEPT_MIN = 5
ENDS_KEPT_MAX = 100
#: Of a health check's last output so many characters stay with a task that ended.
PROBE_OUTPUT_CHARS_MAX = 1_024
#: Ends that speak against a node.
FAILURES = frozenset({TaskState.FAILED, TaskState.REJECTED})
#: A node on which a version of a service failed so often, as far as its slots remember, is avoided for it.
FAILURES_AVOIDED_MIN = 2


def effective(policy: RestartPolicy, shall_end: bool) -> RestartPolicy:
    """The policy as it is obeyed: a task that shall end with success is not started again after that."""
    if shall_end and policy.condition is RestartCondition.ANY:
        return msgspec.structs.replace(policy, condition=RestartCondition.ON_FAILURE)
    return policy


def wants_successor(policy: RestartPolicy, state: TaskState, ended_ms: Sequence[int]) -> bool:
    """Whether the policy asks for a successor; `ended_ms` are the ends in this slot so far, the last of
    them that of the task. Its window ends there: a slot that was given up stays so."""
    if state in (TaskState.SHUTDOWN, TaskState.LOST):
        return True  # not the task's own doing: policies are about tasks that end by themselves
    if policy.condition is RestartCondition.NONE:
        return False
    if policy.condition is RestartCondition.ON_FAILURE and state is TaskState.COMPLETE:
        return False
    if not policy.max_attempts:
        return True
    counted = list(ended_ms)
    if policy.window_ms:
        counted = [at for at in ended_ms if at >= ended_ms[-1] - policy.window_ms]
    return len(counted) <= policy.max_attempts


def delay_ms(policy: RestartPolicy, failures: int) -> int:
    """The wait before the n-th successor in a row: the policy's delay, doubling.

    Without one: none for the first, since most containers that die once do not die twice, then
    FIRST_DELAY_MS, doubling.
    """
    first, doublings = (policy.delay_ms, failures - 1) if policy.delay_ms else (FIRST_DELAY_MS, failures - 2)
    if doublings < 0:
        return 0
    return min(DELAY_MS_MAX, first << min(doublings, 20))


class Past(NamedTuple):
    """What a slot has behind it: failures in a row, and its ends (monotonic ms)."""

    failures: int = 0
    ended_ms: tuple[int, ...] = ()


def ended(task: Task, status: TaskStatus, proven: bool, policy: RestartPolicy, wall_ms: int) -> Task:
    """The record of a task that ended by itself: how, and that this end is one more of its slot's. One that
    had `proven` itself has no failures behind it."""
    output = status.probe_output[:PROBE_OUTPUT_CHARS_MAX]
    return msgspec.structs.replace(
        task,
        end=msgspec.structs.replace(status, probe_output=output),
        failures=0 if proven else task.failures,
        past_ms=(*task.past_ms, wall_ms)[-ends_kept(policy) :],
    )


def ends_kept(policy: RestartPolicy) -> int:
    """How many ends a slot remembers."""
    return min(max(ENDS_KEPT_MIN, policy.max_attempts + 1), ENDS_KEPT_MAX)


def handed_on(task: Task) -> tuple[int, tuple[int, ...]]:
    """Failures in a row and ends (Unix ms) that a slot has behind it by the record of its newest task."""
    return task.failures + (task.end is not None), task.past_ms


def recalled(task: Task, now: Now) -> Past:
    """The past of a slot by the record of its newest task, after a restart of the controller.

    The wall clock may have jumped meanwhile, so only the distances between the ends are believed, and that
    the last of them is not in the future: a jump shortens one delay at most, and prolongs none.
    """
    failures, past_ms = handed_on(task)
    if not past_ms:
        return Past(failures)
    newest_ms = max(past_ms)
    last_ms = now.mono_ms - max(0, now.wall_ms - newest_ms)
    return Past(failures, tuple(last_ms - (newest_ms - at) for at in past_ms))


def avoided(tasks: Iterable[Task], version: int) -> frozenset[str]:
    """The nodes (by id) on which this version of a service failed again and again; `tasks` are all of it."""
    failed = Counter(
        task.node_id
        for task in tasks
        if task.version == version and task.end is not None and task.end.state in FAILURES
    )
    return frozenset(node_id for node_id, times in failed.items() if times >= FAILURES_AVOIDED_MIN)
