"""No two instances that are ready on nodes in session are found under one address and port."""

from __future__ import annotations

from bayplan.model import NodeStatus
from controller import instances
from tests.sim.invariants.base import Part, View


class AddressesUnique:
    watches = frozenset({Part.VIEW})

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        ready = {
            node.name for node in state.nodes.values() if state.lives[node.id].status is NodeStatus.READY
        }
        taken: dict[tuple[str, int], str] = {}
        for service_id in state.services:
            for instance in instances.ready(state, service_id):
                if not instance.address or instance.node not in ready:
                    continue
                other = taken.setdefault((instance.address, instance.port), instance.id)
                if other != instance.id:
                    return f"{other} and {instance.id} are both at {instance.address}:{instance.port}"
        return ""
