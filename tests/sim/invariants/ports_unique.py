"""A fixed port is promised to one task of a node at a time."""

from __future__ import annotations

from controller.decide.filters import clash, port_keys
from tests.sim.invariants.base import Part, View


class PortsUnique:
    watches = Part.CONTROLLER

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        for node_id in state.nodes:
            if not state.lives[node_id].ever:
                continue  # what is on it is not known yet, and nothing is placed there
            taken: set[tuple[int, str, str]] = set()
            for task in state.tasks_on(node_id):
                if not state.holds_node(task):
                    continue
                keys = port_keys(state.specs[task.service_id, task.version].container.ports)
                if clash(keys, frozenset(taken)):
                    return f"two tasks of {state.nodes[node_id].name} have {sorted(keys)}"
                taken |= keys
        return ""
