"""A slot runs at most one container, and a successor of another version where that starts first, except
while one of its hosts is away or was until lately."""

from __future__ import annotations

from bayplan.model import UpdateOrder
from tests.sim.engine import Box
from tests.sim.invariants.base import Part, View


class OneCopyPerSlot:
    watches = Part.HOST

    def __init__(self) -> None:
        self._slot_of: dict[str, tuple[str, int]] = {}
        self._version_of: dict[str, int] = {}
        #: When each task was first seen not to be wanted any more.
        self._told_ms: dict[str, int] = {}
        #: Services of which some version was to start its successors first.
        self._surging: set[str] = set()

    def check(self, world: View) -> str:
        if world.control.running:
            for task in world.state.tasks.values():
                self._slot_of[task.id] = (task.service_id, task.slot)
                self._version_of[task.id] = task.version
                if not task.wanted:
                    self._told_ms.setdefault(task.id, world.clock.now_ms)
            for (service_id, _), spec in world.state.specs.items():
                if UpdateOrder.START_FIRST in (spec.update.order, spec.rollback.order):
                    self._surging.add(service_id)
        running: dict[tuple[str, int], list[Box]] = {}
        for name, host in world.hosts.items():
            if not world.calm(name):
                continue
            for box in host.engine.running():
                slot = self._slot_of.get(box.task_id)
                if slot is None:
                    return f"{name} runs {box.task_id}, which no controller knows"
                running.setdefault(slot, []).append(box)
        for slot, copies in running.items():
            if len(copies) > 1 and not self._succession(slot[0], copies):
                return f"slot {slot} runs as {sorted(box.container_id for box in copies)}"
        return ""

    def _succession(self, service_id: str, copies: list[Box]) -> bool:
        """Whether these are a task and its successor of another version, which started before the task was
        told to stop."""
        if len(copies) > 2 or service_id not in self._surging:
            return False
        elder, heir = sorted(copies, key=lambda box: box.started_ms)
        told_ms = self._told_ms.get(elder.task_id, heir.started_ms)
        same = self._version_of[elder.task_id] == self._version_of[heir.task_id]
        return not same and heir.started_ms <= told_ms
