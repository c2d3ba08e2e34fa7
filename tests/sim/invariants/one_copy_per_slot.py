"""A slot runs at most one container, and a successor of another version where that starts first, except
while one of its hosts is away or was until lately."""

from __future__ import annotations

from bayplan.model import UpdateOrder
from tests.sim.invariants.base import Part, View


class OneCopyPerSlot:
    watches = Part.HOST

    def __init__(self) -> None:
        self._slot_of: dict[str, tuple[str, int]] = {}
        self._version_of: dict[str, int] = {}
        #: Services of which some version was to start its successors first.
        self._surging: set[str] = set()

    def check(self, world: View) -> str:
        if world.control.running:
            for task in world.state.tasks.values():
                self._slot_of[task.id] = (task.service_id, task.slot)
                self._version_of[task.id] = task.version
            for (service_id, _), spec in world.state.specs.items():
                if UpdateOrder.START_FIRST in (spec.update.order, spec.rollback.order):
                    self._surging.add(service_id)
        running: dict[tuple[str, int], dict[str, str]] = {}
        for name, host in world.hosts.items():
            if not world.calm(name):
                continue
            for box in host.engine.running():
                slot = self._slot_of.get(box.task_id)
                if slot is None:
                    return f"{name} runs {box.task_id}, which no controller knows"
                running.setdefault(slot, {})[box.task_id] = name
        for slot, copies in running.items():
            versions = {self._version_of[task_id] for task_id in copies}
            allowed = 2 if slot[0] in self._surging and len(versions) > 1 else 1
            if len(copies) > allowed:
                return f"slot {slot} runs as {sorted(copies.items())}"
        return ""
