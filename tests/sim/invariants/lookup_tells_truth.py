"""Lookup shows only what the controller assigned; on a calm, connected node it really runs.

A container that died is gone from the answer within a second.
"""

from __future__ import annotations

from controller import instances
from tests.sim.invariants.base import VIEW_LAG_MS, Part, View, is_running


class LookupTellsTruth:
    watches = frozenset({Part.BOXES, Part.VIEW, Part.TIME, Part.CALM})

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state, hosts = world.state, world.hosts_by_id
        for service in state.services.values():
            for instance in instances.ready(state, service.id):
                task = state.tasks.get(instance.id)
                if task is None or not task.node_id:
                    return f"{service.name} shows {instance.id}, which is assigned to no node"
                host = hosts[task.node_id]
                box = host.engine.boxes.get(task.id)
                if not world.calm(host.name) or host.engine.slowness > 1:
                    continue
                ended_ms = box.ended_ms if box else host.engine.removed_ms.get(task.id, 0)
                died_lately = world.clock.now_ms - ended_ms < VIEW_LAG_MS
                if not is_running(box) and not died_lately:
                    return f"{service.name} shows {instance.id} as ready, and it does not run on {host.name}"
                if box is None or not is_running(box) or world.clock.now_ms - box.started_ms < VIEW_LAG_MS:
                    continue
                if instance.address not in (state.nodes[task.node_id].address, box.address):
                    return f"{service.name} shows {instance.address} for {instance.id}, which is not its own"
        return ""
