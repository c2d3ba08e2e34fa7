"""Once the last fault has healed: each service runs exactly as wanted, and nothing else of ours is left."""

from __future__ import annotations

from agent import events as ev
from bayplan.model import NodeStatus
from controller.core import placing
from controller.decide import registry
from controller.state import State
from tests.sim.invariants.base import View


def missing(world: View) -> list[str]:
    """What is not yet as it shall be."""
    if not world.control.running:
        return ["the controller does not run"]
    state = world.state
    left = [
        f"{service.name} is still on its way out" for service in state.services.values() if service.removed
    ]
    left += [f"somebody waits for an answer about {stack}" for stack in world.intents.waiting()]
    left += [
        f"{state.nodes[node_id].name} is {life.status}"
        for node_id, life in state.lives.items()
        if life.status is not NodeStatus.READY
    ]
    for service in state.services.values():
        if not service.removed:
            left += _service(world, service.id)
    for name in sorted(world.hosts):
        left += _host(world, name)
    return left


def _service(world: View, service_id: str) -> list[str]:
    state, hosts = world.state, world.hosts_by_id
    service = state.services[service_id]
    slots = [
        task.slot
        for task in state.tasks_of(service_id)
        if task.wanted
        and task.node_id
        and task.version == service.version
        and (box := hosts[task.node_id].engine.boxes.get(task.id)) is not None
        and box.phase is ev.Phase.RUNNING
    ]
    left = []
    waiting = _waiting_for_room(state, service_id)
    if sorted(slots + waiting) != list(range(1, service.replicas + 1)):
        left.append(f"{service.name} runs in slots {sorted(slots)} of {service.replicas}")
    shown = len(registry.ready(state.exposure(service_id).instances))
    if shown != service.replicas - len(waiting):
        left.append(f"the registry shows {shown} of {service.replicas} of {service.name}")
    return left


def _waiting_for_room(state: State, service_id: str) -> list[int]:
    """Slots that wait because no node has the CPU: a deploy may have been let in while they backed off."""
    waiting = [task for task in state.tasks_of(service_id) if task.wanted and not task.node_id]
    if not waiting:
        return []
    most_free = max(each.free.cpu_millis for each in placing.candidates(state))
    needed = state.spec_of(state.services[service_id]).reservations.cpu_millis
    return [task.slot for task in waiting if most_free < needed]


def _host(world: View, name: str) -> list[str]:
    """No container or network that the controller does not know, none that runs and shall not."""
    state, host = world.state, world.hosts[name]
    mine = {task.id: task for task in state.tasks_on(host.identity.node_id)}
    left = []
    for task_id, box in sorted(host.engine.boxes.items()):
        task = mine.get(task_id)
        if task is None or task.removing:
            left.append(f"{name} still has {task_id}")
        elif box.phase is ev.Phase.RUNNING and not task.wanted:
            left.append(f"{name} still runs {task_id}")
    specs = [state.specs[task.service_id, task.version].container for task in mine.values()]
    used = {attachment.network for spec in specs for attachment in spec.networks}
    left += [f"{name} still has network {each}" for each in sorted(host.engine.networks - used)]
    if host.core is None:
        return [*left, f"{name} has no agent"]
    rows = host.core.state
    strangers = sorted(rows.tasks.keys() - mine.keys())
    left += [f"the agent of {name} still has rows of {strangers}"] if strangers else []
    return left
