"""A slot runs at most one container, and one successor where that starts first, except while one of its
hosts is away or was until lately."""

from __future__ import annotations

from bayplan.model import Availability, ServiceSpec, UpdateOrder
from controller.decide import succession
from controller.records import Node, ServiceVersion
from tests.sim.engine import Box
from tests.sim.invariants.base import VIEW_LAG_MS, Part, View

#: Orders in which a successor may start before its elder stops.
SURGING = frozenset({UpdateOrder.START_FIRST, UpdateOrder.AUTO})
#: A task that was made because its elder's node was drained starts within this time after that.
MOVE_MS_MAX = 5_000


class OneCopyPerSlot:
    watches = frozenset({Part.BOXES, Part.RECORDS, Part.VIEW, Part.CALM})

    def __init__(self) -> None:
        #: When each task was first seen not to be wanted any more.
        self._told_ms: dict[str, int] = {}
        #: Services of which some version was to start its successors first.
        self._surging: set[str] = set()
        #: Services of which some version may have two tasks while one moves.
        self._moving: set[str] = set()
        #: Nodes that are drained, and until when the others were.
        self._draining: set[str] = set()
        self._drained_ms: dict[str, int] = {}

    def check(self, world: View) -> str:
        for record in world.news.records:
            if isinstance(record, ServiceVersion):
                self._surging |= {record.service_id} if _may_surge(record.spec) else set()
                self._moving |= {record.service_id} if succession.apart(record.spec) else set()
            elif isinstance(record, Node):
                self._note(record, world.clock.now_ms)
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

    def _note(self, node: Node, now_ms: int) -> None:
        if node.availability is Availability.DRAIN:
            self._draining.add(node.id)
        elif node.id in self._draining:
            self._draining.discard(node.id)
            self._drained_ms[node.id] = now_ms

    def _succession(self, world: View, service_id: str, copies: list[Box]) -> bool:
        """Whether these are a task and its successor of another version, which started before the task was
        told to stop, or on another node, as the task is to leave its own and may have had its time there. Its
        place may be on the same node, when that takes tasks again before the elder has ended."""
        if len(copies) > 2:
            return False
        ever = world.control.tasks_ever
        elder, heir = sorted(copies, key=lambda box: ever[box.task_id].created_ms)
        told_ms = self._told_ms.get(elder.task_id, heir.first_ms)
        before, after = (ever[box.task_id] for box in (elder, heir))
        is_back = heir.started_ms <= self._drained_ms.get(before.node_id, -MOVE_MS_MAX) + MOVE_MS_MAX
        leaves = before.displaced or before.node_id in self._draining or is_back
        moves = is_back or (leaves and before.node_id != after.node_id)
        surges = (before.version != after.version or leaves) and service_id in self._surging
        return (moves and service_id in self._moving) or (surges and heir.first_ms <= told_ms + VIEW_LAG_MS)


def _may_surge(spec: ServiceSpec) -> bool:
    """Canaries run beside their elders in any order."""
    return spec.update.canaries > 0 or not SURGING.isdisjoint((spec.update.order, spec.rollback.order))
