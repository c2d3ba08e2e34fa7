"""Whether and when a task that ended gets a successor."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bayplan.lifecycle import TaskState
from bayplan.model import RestartCondition, RestartPolicy

#: A task that ran this long has proved itself: failures before it no longer count.
PROVEN_MS = 60_000
#: The first delay where the user gives none.
FIRST_DELAY_MS = 1_000
#: The longest delay (promises: crash loops back off from 1 s to 5 min).
DELAY_MS_MAX = 300_000


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
    since = ended_ms[-1] - policy.window_ms if policy.window_ms and ended_ms else 0
    return len([at for at in ended_ms if at >= since]) <= policy.max_attempts


def delay_ms(policy: RestartPolicy, failures: int) -> int:
    """The wait before the n-th successor in a row: the policy's delay, doubling.

    Without one: none for the first, since most containers that die once do not die twice, then
    FIRST_DELAY_MS, doubling.
    """
    first, doublings = (policy.delay_ms, failures - 1) if policy.delay_ms else (FIRST_DELAY_MS, failures - 2)
    if doublings < 0:
        return 0
    return min(DELAY_MS_MAX, first << min(doublings, 20))
