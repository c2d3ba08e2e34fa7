"""Lookup shows only what the controller assigned; on a calm, connected node it really runs.

A container that died is gone from the answer within a second.
"""

from __future__ import annotations

from bayplan.model import NodeStatus
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
                if task is None and instance.id in world.control.tasks_ever and _goes_on(world):
                    continue  # its service is looked at in one of the next slices
                if task is None or not task.node_id:
                    return f"{service.name} shows {instance.id}, which is assigned to no node"
                if state.lives[task.node_id].status is NodeStatus.UNKNOWN:
                    continue  # it is shown as last known until its node has come back
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


def _goes_on(world: View) -> bool:
    """Whether the controller has more to do at once."""
    core, daemon = world.control.core, world.control.daemon
    due = core.wake_at() if core is not None else None
    return due is not None and daemon is not None and due <= daemon.now().mono_ms
