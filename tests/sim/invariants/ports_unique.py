"""A fixed port is promised to one task of a node at a time."""

from __future__ import annotations

from controller.core import placing
from controller.decide.filters import clash, port_keys
from tests.sim.invariants.base import Part, View, holding


class PortsUnique:
    watches = frozenset({Part.VIEW, Part.CALM})

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        nodes = state.nodes if Part.CALM in world.news.parts else world.news.nodes & state.nodes.keys()
        for node_id in sorted(nodes):
            taken: set[tuple[int, str, str]] = set()
            there = holding(world, node_id)
            waiting = placing.heirs(there)  # they do not run before their elders have gone
            for task in there:
                if task.id in waiting:
                    continue
                keys = port_keys(state.specs[task.service_id, task.version].container.ports)
                if clash(keys, frozenset(taken)):
                    return f"two tasks of {state.nodes[node_id].name} have {sorted(keys)}"
                taken |= keys
        return ""
