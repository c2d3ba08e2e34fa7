"""Nothing grows without end: queues, history, and tables beside the tasks."""

from __future__ import annotations

from agent.doors.session import OUTGOING_MESSAGES_MAX
from controller.core.requests import OPEN_MAX
from controller.decide.reconcile import HISTORY_PER_SLOT
from controller.state import State
from controller.table import NO_TIME
from tests.sim.invariants.base import Part, View

#: A slot's tasks: history, one that runs, its heir, and some that are on their way out.
TASKS_PER_SLOT_MAX = HISTORY_PER_SLOT + 20


class QueuesBounded:
    watches = frozenset({Part.RECORDS, Part.VIEW})

    def check(self, world: View) -> str:
        control = world.control
        if control.daemon is None:
            return ""
        for session in control.sessions.values():
            if len(session.others) > OUTGOING_MESSAGES_MAX:
                return f"{len(session.others)} messages wait for {session.node_id}"
        state = world.state
        if len(control.core._requests.open) > OPEN_MAX:
            return "too many deploys are open"
        slots = sum(max(service.replicas, 1) for service in state.services.values())
        if len(state.tasks) > (slots + 20) * TASKS_PER_SLOT_MAX:
            return f"{len(state.tasks)} tasks for {slots} slots"
        # A task that went is gone from the records a commit later; what was left behind of it stays.
        return _orphans(state) if Part.RECORDS in world.news.parts else ""


def _orphans(state: State) -> str:
    """What is kept of tasks that are no more: by their ids, beside the columns by their rows, and in them."""
    tasks, table = state.tasks, state.tasks.table
    used = table.used()
    known, rows = set(table.ids_of(used)), set(used.tolist())
    by_id = {"tasks": tasks._views, "statuses": tasks._seen, "times": state.ran_ms, "drains": state.leaving}
    for what, kept in by_id.items():
        if not kept.keys() <= known:
            return f"{what} are kept of tasks that are no more: {sorted(kept.keys() - known)[:3]}"
    for what, odd in (("tasks", tasks._odd), ("statuses", tasks._whole)):
        if not odd.keys() <= rows:
            return f"odd {what} are kept of tasks that are no more: {sorted(odd.keys() - rows)[:3]}"
    told = (table.state[: table._high] != 0) | (table.since_ms[: table._high] != NO_TIME)
    told[used] = False
    return "what was told of tasks is kept in rows that are free" if told.any() else ""
