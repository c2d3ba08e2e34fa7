"""What the agent tells a controller: all of it in Hello, then what changed since.

Pure: reads the state and changes nothing.
"""

from __future__ import annotations

from agent.decide.status import ended
from agent.events import Phase
from agent.state import State, Task, Work
from bayplan.model import Now, TaskStatus
from bayplan.session import Hello, Report

#: After a report the next waits this long at least, so that what happens together is told together; what is
#: no end, no failure and (of a calm controller) no acknowledgement waits for as long as the controller asks.
REPORT_WINDOW_MS = 20
#: A controller that asks for more than this has much to do. Then acknowledgements wait as all else, and the
#: first news, too: of a task that comes up it is told once, not at each step.
CALM_WINDOW_MS = 50
#: Tasks in one report; the rest goes with the next.
REPORT_TASKS_MAX = 1_000


def hello(state: State, now: Now) -> Hello:
    """All that the agent has. Needs an inventory, so the engine must have answered once."""
    assert state.inventory is not None
    return Hello(
        boot_id=state.boot_id,
        epoch=state.epoch,
        revision=state.assignments.revision,
        inventory=state.inventory,
        tasks=tuple(as_told(task, now.wall_ms) for task in state.sorted_tasks()),
        condition=state.condition,
    )


def as_told(task: Task, wall_ms: int) -> TaskStatus:
    """The status for a controller's ears: a container that has exited has ended its task, unless it is
    being started again at this moment."""
    exited = task.container is not None and task.container.phase is Phase.EXITED
    provisional = exited and not task.ended and task.work is not Work.START
    return ended(task, wall_ms) if provisional else task.status


def next_report(state: State) -> Report:
    """The newest status of each task that changed, by id, and what is gone. What is urgent goes first."""
    outbox, known = state.outbox, state.tasks.keys()
    urgent = sorted(outbox.urgent & known)
    changed = sorted((urgent + sorted((outbox.changed - outbox.urgent) & known))[:REPORT_TASKS_MAX])
    return Report(
        revision=state.assignments.revision,
        tasks=tuple(state.tasks[task_id].status for task_id in changed),
        gone=tuple(sorted(outbox.gone)[:REPORT_TASKS_MAX]),
    )


def report_at(state: State) -> int | None:
    """When the next report may go, monotonic ms; None when there is nothing to tell or nobody listens."""
    outbox = state.outbox
    if not state.session.welcomed or outbox.in_flight or not outbox.waiting:
        return None
    busy_ms = outbox.window_ms - CALM_WINDOW_MS
    if outbox.urgent or (outbox.ack_due and busy_ms <= 0):
        return outbox.last_sent_at + REPORT_WINDOW_MS
    window_ends = outbox.last_sent_at + max(REPORT_WINDOW_MS, outbox.window_ms)
    return window_ends if outbox.since is None else max(window_ends, outbox.since + busy_ms)
