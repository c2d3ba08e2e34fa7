"""Nothing grows without end: queues, history, and tables beside the tasks."""

from __future__ import annotations

from agent.doors.session import OUTGOING_MESSAGES_MAX
from controller.core.requests import OPEN_MAX
from controller.decide.reconcile import HISTORY_PER_SLOT
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
        for what, table in (("statuses", state.statuses), ("times", state.since_ms)):
            if orphans := table.keys() - state.tasks.keys():
                return f"{what} are kept of tasks that are no more: {sorted(orphans)[:3]}"
        return ""
