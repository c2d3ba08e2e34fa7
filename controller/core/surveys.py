"""A service's tasks as the deciders see them: most are counted, the others are looked at one by one.

What counts as plain is in `decide.rows.Plain`; here it is read off the columns. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bayplan.lifecycle import TaskState
from bayplan.model import Availability, Desired, Health, Now, ServiceSpec, TaskStatus
from controller.core import fencing
from controller.decide import progress
from controller.decide.rows import NEVER_RAN, NO_PLAIN, Plain, Row
from controller.records import Service, Task
from controller.state import State
from controller.table import NO_NODE, NO_TIME, Rows
from controller.task_columns import COMPLETED, DESIRED_CODE, DISPLACED, REMOVING
from controller.tasks import HEALTH_CODE, ODD, STATE_CODE, STATES

#: Fewer tasks are looked at one by one, which is faster then.
COUNTED_MIN = 32
#: Slots that are filled, or emptied though nothing shall be in them, at one look; the rest at the next.
SLOTS_AT_ONCE_MAX = 1_000
#: Longest line of a health probe's output in a reason, in characters.
PROBE_CHARS_MAX = 200
#: For those to whom it is all the same when it is.
BEGINNING = Now(0, 0)

_RUN = DESIRED_CODE[Desired.RUN]
_RUNNING = STATE_CODE[TaskState.RUNNING]
_CHECKING = HEALTH_CODE[Health.STARTING]
_GOING = np.zeros(len(STATES) + 1, bool)
_GOING[0] = True  # nothing is told yet
_GOING[
    [
        STATE_CODE[each]
        for each in (TaskState.ASSIGNED, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING)
    ]
] = True

Mask = npt.NDArray[np.bool_]


class Survey(NamedTuple):
    """The tasks that are looked at one by one, oldest first within a slot, and those that are counted."""

    rows: list[Row]
    plain: Plain = NO_PLAIN

    @property
    def complete(self) -> bool:
        """Whether none is only counted."""
        return self.plain.rest is None


def survey(state: State, service: Service, spec: ServiceSpec, wanted: Collection[int], now: Now) -> Survey:
    """A service's tasks; `wanted` are the slots that shall be filled by this spec."""
    rows = state.tasks.table.of_service(service.id)
    if service.run or max(len(rows), len(wanted)) < COUNTED_MIN:
        return every(state, service, now)
    found = _counted(state, service, wanted, rows, now)
    if progress.needs_all(service, spec, now.mono_ms, state.headways.get(service.id), found.plain):
        return every(state, service, now)
    return found


def every(state: State, service: Service, now: Now = BEGINNING) -> Survey:
    """All of a service's tasks, one by one."""
    return Survey([row(state, task, now) for task in state.tasks_of(service.id)])


def row(state: State, task: Task, now: Now = BEGINNING) -> Row:
    """A task as the deciders see it; what was never seen to change has just begun."""
    status, table = state.status_of(task), state.tasks.table
    since_ms = int(table.since_ms[table.row(task.id)])
    drained, leave_ms = _leaves(state, task, now)
    # One that was started again in place stays "running" and has to pass its check anew.
    unchecked = status.state is TaskState.RUNNING and status.health is Health.STARTING
    return Row(
        task,
        TaskState.STARTING if unchecked else status.state,
        fencing.gone(state, task, now.mono_ms),
        now.mono_ms if since_ms == NO_TIME else since_ms,
        state.ran_ms.get(task.id, NEVER_RAN),
        _why(status) if task.node_id else _why_nowhere(state, task),
        bool(status.container_id),
        drained or task.displaced,
        leave_ms,
        bool(task.node_id) and state.is_down(task.node_id),
        state.specs[task.service_id, task.version].fence,
    )


def _leaves(state: State, task: Task, now: Now) -> tuple[bool, int | None]:
    """Whether its node is drained, and from when on it shall not stay there (monotonic ms; None: never)."""
    node = state.nodes.get(task.node_id)
    if node is None or node.availability is not Availability.DRAIN:
        return False, None
    return True, now.mono_ms + node.drain_until_ms - now.wall_ms if node.drain_until_ms else None


def _why(status: TaskStatus) -> str:
    """What a task says of itself, with the last words of the health check that it does not pass."""
    text = status.message or status.state.value
    output = status.probe_output.strip() if status.health in (Health.UNHEALTHY, Health.STARTING) else ""
    last = output.rpartition("\n")[2].strip()[:PROBE_CHARS_MAX]
    return f"{text}: {last}" if last and last not in text else text


def _why_nowhere(state: State, task: Task) -> str:
    reasons = "; ".join(state.pending_reasons.get(task.id, ()))
    return f"no node has room for it ({reasons})" if reasons else "no node has room for it"


def _counted(state: State, service: Service, wanted: Collection[int], rows: Rows, now: Now) -> Survey:
    table = state.tasks.table
    slots = table.slot[rows]
    highest = max(wanted, default=0)
    shall = np.zeros(highest + 2, bool)  # one beyond, for the slots that shall not be
    shall[list(wanted) if len(wanted) != highest else slice(1, highest + 1)] = True
    where = np.where((slots >= 0) & (slots <= highest), slots, highest + 1)
    surplus = ~shall[where]
    mask = _plain(state, service, rows, slots) & ~surplus
    shall[where[mask]] = False
    open_slots = np.flatnonzero(shall)
    shall[where] = False  # left are those without any task
    missing = np.flatnonzero(shall)
    if len(missing) > SLOTS_AT_ONCE_MAX:
        open_slots = open_slots[~shall[open_slots] | (open_slots <= missing[SLOTS_AT_ONCE_MAX - 1])]
    looked = ~mask
    if np.count_nonzero(surplus) > SLOTS_AT_ONCE_MAX:
        looked &= ~surplus | (np.cumsum(surplus) <= SLOTS_AT_ONCE_MAX)
    found = [row(state, task, now) for task in state.tasks.of(rows[looked])]
    return Survey(found, _counts(state, rows, mask, now)._replace(rest=tuple(open_slots.tolist())))


def _plain(state: State, service: Service, rows: Rows, slots: npt.NDArray[np.int32]) -> Mask:
    """Which of a service's tasks are plain, wherever they are; `rows` are by slot."""
    tasks, table = state.tasks, state.tasks.table
    flags, told, node = table.flags[rows], table.state[rows], table.node[rows]
    mask: Mask = (table.version[rows] == service.version) & (table.desired[rows] == _RUN)
    mask &= (flags & (REMOVING | COMPLETED | DISPLACED)) == 0
    mask &= _GOING[told] & np.where(node == NO_NODE, told == 0, state.steadies(node))
    alone = slots[1:] != slots[:-1]
    mask[1:] &= alone
    mask[:-1] &= alone
    if service.rollout is not None and service.rollout.failed:
        mask &= ~np.isin(slots, service.rollout.failed)
    for index in np.flatnonzero(mask & ((flags & ODD) != 0)).tolist():
        task = tasks.odd(int(rows[index]))
        mask[index] = task.end is None and not task.run
    return mask


def _counts(state: State, rows: Rows, mask: Mask, now: Now) -> Plain:
    table = state.tasks.table
    newest_ms = int(table.created_ms[rows].max(initial=0))
    mine = rows[mask]
    since_ms = table.since_ms[mine]
    since_ms[since_ms == NO_TIME] = now.mono_ms
    ready = (table.state[mine] == _RUNNING) & (table.health[mine] != _CHECKING)
    waiting = since_ms[table.node[mine] == NO_NODE]
    return Plain(
        total=len(mine),
        ready=int(np.count_nonzero(ready)),
        ready_since_ms=int(since_ms[ready].max(initial=0)),
        waiting_since_ms=int(waiting.min()) if len(waiting) else None,
        newest_ms=newest_ms,
    )
