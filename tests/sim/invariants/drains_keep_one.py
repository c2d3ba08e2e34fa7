"""Who is told to leave a drained node, or moves, has an heir that is ready, unless the drain's time is over.

Only where two tasks of a slot may run side by side, and the service is not being changed otherwise.
"""

from __future__ import annotations

from bayplan.lifecycle import TaskState
from bayplan.model import Availability, NodeStatus, ServiceMode
from controller import instances
from controller.decide import succession
from controller.records import Node, Service, Task
from tests.sim.invariants.base import Part, View


class DrainsKeepOne:
    watches = frozenset({Part.RECORDS})

    def __init__(self) -> None:
        self._was: dict[str, Task] = {}

    def check(self, world: View) -> str:
        for task in [record for record in world.news.records if isinstance(record, Task)]:
            before, self._was[task.id] = self._was.get(task.id), task
            told = before is not None and before.wanted and task.leaving and world.control.running
            if told and self._must_have_heir(world, task) and not self._has_heir(world, task):
                return f"{task} is told to go though nothing is wrong with it, and has no heir that is ready"
        return ""

    def _must_have_heir(self, world: View, task: Task) -> bool:
        records, state = world.control.records, world.state
        node, service = records.get(("Node", task.node_id)), records.get(("Service", task.service_id))
        if not isinstance(node, Node) or not isinstance(service, Service):
            return False
        spec = world.control.spec(task.service_id, task.version)
        drained = node.availability is Availability.DRAIN
        gives_way = not node.drain_until_ms if drained else task.displaced
        settled = not service.removed and service.version == task.version and service.rollout is None
        runs = task.id in state.tasks and state.status_of(task).state is TaskState.RUNNING
        return (
            gives_way
            and settled
            and runs
            and state.lives[node.id].status is NodeStatus.READY
            and task.slot <= service.replicas
            and spec is not None
            and spec.mode is ServiceMode.REPLICATED
            and succession.apart(spec)
        )

    def _has_heir(self, world: View, task: Task) -> bool:
        """Also a task that came back from a lost node counts."""
        shown = instances.ready(world.state, task.service_id)
        return any(each.slot == task.slot and each.id != task.id for each in shown)
