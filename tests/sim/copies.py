"""Which containers of each slot run, on whatever host, kept up to date by what engines tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.engine import Box
from tests.sim.host import Host
from tests.sim.invariants.base import is_running

if TYPE_CHECKING:
    from tests.sim.invariants.base import View

#: A slot of a service, by the service's id.
Slot = tuple[str, int]


class Copies:
    """`crowded` are the slots of which more than one container runs; `unknown` runs without a task."""

    def __init__(self) -> None:
        self.crowded: dict[Slot, dict[str, tuple[Host, Box]]] = {}
        self.unknown: dict[str, Host] = {}
        self._running: dict[Slot, dict[str, tuple[Host, Box]]] = {}

    def update(self, world: View) -> None:
        """Take over what is fresh."""
        tasks = world.control.tasks_ever
        for host, box in world.news.boxes:
            task, runs = tasks.get(box.task_id), is_running(host.engine.boxes.get(box.task_id))
            if task is None:
                if runs:
                    self.unknown[box.task_id] = host
                else:
                    self.unknown.pop(box.task_id, None)
                continue
            slot = (task.service_id, task.slot)
            copies = self._running.setdefault(slot, {})
            key = f"{host.name}/{box.task_id}"
            if runs:
                copies[key] = (host, box)
            else:
                copies.pop(key, None)
            if len(copies) > 1:
                self.crowded[slot] = copies
            else:
                self.crowded.pop(slot, None)
