"""A slot runs at most one container, and one successor where that starts first, except while one of its
hosts is away or was until lately."""

from __future__ import annotations

from bayplan.model import ServiceSpec, UpdateOrder
from controller.records import ServiceVersion
from tests.sim.engine import Box
from tests.sim.invariants.base import Part, View

#: Orders in which a successor may start before its elder stops.
SURGING = frozenset({UpdateOrder.START_FIRST, UpdateOrder.AUTO})


class OneCopyPerSlot:
    watches = frozenset({Part.BOXES, Part.RECORDS, Part.VIEW, Part.CALM})

    def __init__(self) -> None:
        #: When each task was first seen not to be wanted any more.
        self._told_ms: dict[str, int] = {}
        #: Services of which some version was to start its successors first.
        self._surging: set[str] = set()

    def check(self, world: View) -> str:
        for record in world.news.records:
            if isinstance(record, ServiceVersion) and _may_surge(record.spec):
                self._surging.add(record.service_id)
        for task, status in world.news.sightings:
            if not task.wanted or status is None:
                self._told_ms.setdefault(task.id, world.clock.now_ms)
        for task_id, host in world.copies.unknown.items():
            if world.calm(host.name):
                return f"{host.name} runs {task_id}, which no controller knows"
        for slot, places in world.copies.crowded.items():
            copies = [box for host, box in places.values() if world.calm(host.name)]
            if len(copies) > 1 and not self._succession(world, slot[0], copies):
                return f"slot {slot} runs as {sorted(box.container_id for box in copies)}"
        return ""

    def _succession(self, world: View, service_id: str, copies: list[Box]) -> bool:
        """Whether these are a task and its successor of another version, which started before the task was
        told to stop."""
        if len(copies) > 2 or service_id not in self._surging:
            return False
        elder, heir = sorted(copies, key=lambda box: box.started_ms)
        told_ms = self._told_ms.get(elder.task_id, heir.started_ms)
        tasks = world.control.tasks_ever
        same = tasks[elder.task_id].version == tasks[heir.task_id].version
        return not same and heir.started_ms <= told_ms


def _may_surge(spec: ServiceSpec) -> bool:
    return not SURGING.isdisjoint((spec.update.order, spec.rollback.order))
