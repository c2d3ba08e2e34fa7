"""A fenced service runs at most one container a slot, everywhere and always, cut off or not.

Except while an agent is dead, stands still or has an engine that does not obey: nobody on that machine can
stop the container then. (The controller starts no other as long as the machine's witness says that it lives.)
"""

from __future__ import annotations

from tests.sim.invariants.base import Part, View


class SingletonsAlone:
    watches = frozenset({Part.BOXES})

    def check(self, world: View) -> str:
        for slot, places in world.copies.crowded.items():
            copies = [box for host, box in places.values() if world.able(host.name)]
            if len(copies) > 1 and all(_fenced(world, box.task_id) for box in copies):
                return f"slot {slot} is fenced, and runs as {sorted(box.container_id for box in copies)}"
        return ""


def _fenced(world: View, task_id: str) -> bool:
    task = world.control.tasks_ever[task_id]
    spec = world.control.spec(task.service_id, task.version)
    return spec is not None and spec.fence
