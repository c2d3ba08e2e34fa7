"""A slot runs at most one container, except while one of its hosts is away or was until lately."""

from __future__ import annotations

from tests.sim.invariants.base import Part, View


class OneCopyPerSlot:
    watches = Part.HOST

    def __init__(self) -> None:
        self._slot_of: dict[str, tuple[str, int]] = {}

    def check(self, world: View) -> str:
        if world.control.running:
            for task in world.state.tasks.values():
                self._slot_of[task.id] = (task.service_id, task.slot)
        running: dict[tuple[str, int], str] = {}
        for name, host in world.hosts.items():
            if not world.calm(name):
                continue
            for box in host.engine.running():
                slot = self._slot_of.get(box.task_id)
                if slot is None:
                    return f"{name} runs {box.task_id}, which no controller knows"
                other = running.setdefault(slot, f"{box.task_id} on {name}")
                if other != f"{box.task_id} on {name}":
                    return f"slot {slot} runs as {other} and as {box.task_id} on {name}"
        return ""
