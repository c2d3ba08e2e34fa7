"""What is reserved on a node is at most what it has."""

from __future__ import annotations

from controller.core import placing
from tests.sim.invariants.base import Part, View, holding


class CapacityKept:
    watches = frozenset({Part.VIEW, Part.CALM})

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        nodes = state.nodes if Part.CALM in world.news.parts else world.news.nodes & state.nodes.keys()
        for node_id in sorted(nodes):
            node = state.nodes[node_id]
            used, has = placing.reserved(state, holding(world, node.id)), node.inventory.capacity
            if used.cpu_millis > has.cpu_millis or used.memory_bytes > has.memory_bytes:
                return f"{node.name} has {has} and {used} are reserved"
        return ""
