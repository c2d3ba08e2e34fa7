"""What is reserved on a node is at most what it has."""

from __future__ import annotations

from controller.core import placing
from tests.sim.invariants.base import Part, View


class CapacityKept:
    watches = Part.CONTROLLER

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        for node in state.nodes.values():
            if not state.lives[node.id].ever:
                continue  # what is on it is not known yet, and nothing is placed there
            holding = [task for task in state.tasks_on(node.id) if state.holds_node(task)]
            used, has = placing.reserved(state, holding), node.inventory.capacity
            if used.cpu_millis > has.cpu_millis or used.memory_bytes > has.memory_bytes:
                return f"{node.name} has {has} and {used} are reserved"
        return ""
