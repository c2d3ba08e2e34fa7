"""Once the last fault has healed: each service runs exactly as wanted, and nothing else of ours is left."""

from __future__ import annotations

from agent import events as ev
from bayplan.directory import key_of
from bayplan.model import DependencyCondition, FailureAction, NodeStatus, ServiceSpec
from controller import instances
from controller.core import dependencies, placing, rolling
from controller.decide.rollout import HALTED
from controller.decide.steering import BY_USER
from controller.records import JOB_MODES, RolloutState, Service, Task
from controller.state import State
from tests.sim.engine import SHORT_LIFE_MS
from tests.sim.invariants import copies_follow
from tests.sim.invariants.base import View, is_running

#: Rollouts that wait for their users.
HALTING = HALTED | {RolloutState.AWAITING_PROMOTION}
#: Images whose containers do not last.
FAILING_IMAGES = frozenset({"crash", "sick", "ghost"})


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
        left += _named(world, name) if name in world.leaving else _host(world, name)
    return left + copies_follow.missing(world)


def _service(world: View, service_id: str) -> list[str]:
    """Cases: as wanted; on its way for ever, because what it shall run fails or has no room; halted or
    held, where each slot runs some version."""
    state = world.state
    service = state.services[service_id]
    held = dependencies.hindrance(state, service)
    spec = rolling.spec_in_force(state, service, held=bool(held))
    wanted = set(placing.slots_of(state, spec, service.replicas).wanted)
    tasks = [task for task in state.tasks_of(service_id) if task.wanted]
    running = [task for task in tasks if _runs(world, task)]
    good = _at_version(world, service)
    left = []
    if held and _in_vain(world, service):
        left.append(f"{service.name} waits for {held}, in vain")
    if held or _waits(service, spec):
        good |= {task.slot for task in running} | _done(state, service_id)
    if spec.schedule is not None:
        good |= wanted  # between two runs there is nothing, and what has run may be gone
    failing = _failing(state, service, wanted)
    if failing and service.rollout is not None:  # what serves an older version is not taken away meanwhile
        good |= {task.slot for task in running}
    excused = _waiting_for_room(state, service_id) | failing
    missing_slots = wanted - good - excused
    if missing_slots and not (held and not service.settled):
        left.append(f"{service.name} does not run as it shall in slots {sorted(missing_slots)}")
    if strangers := {task.slot for task in running} - wanted:
        left.append(f"{service.name} runs in slots {sorted(strangers)} of {sorted(wanted)}")
    if _should_be_back(service, spec, begun=_begun(state, service)) and wanted and not held:
        left.append(f"{service.name} has not gone back from {service.version}, which fails")
    left += [f"{task} still has to move" for task in running if task.displaced and not held]
    if excused:
        return left
    shown = {each.id for each in instances.ready(state, service_id)}
    if shown != {task.id for task in running} - _taken_out(state, service):
        left.append(f"the registry shows {sorted(shown)} of {service.name}, {running} run")
    rolls = service.rollout and service.rollout.state in (RolloutState.ROLLING, RolloutState.ROLLING_BACK)
    if rolls and not held:
        left.append(f"{service.name} is still {service.rollout.state}")
    return left


def _taken_out(state: State, service: Service) -> set[str]:
    """Those that an operator keeps out of use, whatever their health."""
    said = state.overrides.get(key_of(service.stack, service.short_name), {})
    return {task_id for task_id, each in said.items() if each.drain or each.weight == 0}


def _waits(service: Service, spec: ServiceSpec) -> bool:
    """Whether a rollout waits for its user, or for canaries that will never be good."""
    rollout = service.rollout
    if rollout is None:
        return False
    in_vain = bool(spec.update.canaries) and not rollout.promoted and spec.container.image in FAILING_IMAGES
    return rollout.state in HALTING or in_vain


def _should_be_back(service: Service, spec: ServiceSpec, *, begun: bool) -> bool:
    """Whether a rollout was to go back when it fails, and halts instead, or goes on with what fails."""
    rollout, rules = service.rollout, spec.update
    if rollout is None or not rollout.from_version or rules.failure_action is not FailureAction.ROLLBACK:
        return False
    if rollout.reason == BY_USER:
        return False
    image = spec.container.image
    fails = image == "sick" or (image == "crash" and rules.monitor_ms > 2 * SHORT_LIFE_MS)
    return rollout.state is RolloutState.PAUSED or (rollout.state is RolloutState.ROLLING and fails and begun)


def _runs(world: View, task: Task) -> bool:
    host = world.hosts_by_id.get(task.node_id)
    return host is not None and is_running(host.engine.boxes.get(task.id))


def _at_version(world: View, service: Service) -> set[int]:
    """Slots that run the current version, or have completed it."""
    tasks = [task for task in world.state.tasks_of(service.id) if task.wanted or task.completed]
    current = [task for task in tasks if task.version == service.version]
    spec = world.state.spec_of(service)
    ends = spec.mode in JOB_MODES and spec.container.image == "job"
    return {task.slot for task in current if task.completed or (not ends and _runs(world, task))}


def _done(state: State, service_id: str) -> set[int]:
    """Slots whose newest task did its work, at whatever version."""
    newest = {task.slot: task for task in state.tasks_of(service_id)}
    return {slot for slot, task in newest.items() if task.completed}


def _in_vain(world: View, service: Service) -> bool:
    """Whether a service waits, and all that it needs is there."""
    state = world.state
    for each in state.spec_of(service).depends_on:
        needed = state.service_named(f"{service.stack}_{each.service}")
        if needed is None:
            return not each.required
        wanted = set(placing.slots_of(state, state.spec_of(needed), needed.replicas).wanted)
        met = _at_version(world, needed)
        if each.condition is DependencyCondition.COMPLETED:
            tasks = state.tasks_of(needed.id)
            met = {task.slot for task in tasks if task.completed and task.version == needed.version}
        if wanted - met or (_failing(state, needed, wanted) and wanted):
            return False
    return True


def _failing(state: State, service: Service, slots: set[int]) -> set[int]:
    """Slots whose newest task, or the one to be made, cannot come up or ends by itself."""
    newest = {task.slot: task for task in state.tasks_of(service.id)}

    def fails(version: int) -> bool:
        return state.specs[service.id, version].container.image in FAILING_IMAGES

    ended = {slot for slot, task in newest.items() if not task.wanted}
    due = (slots - newest.keys()) | (slots & ended)
    return {slot for slot in slots & newest.keys() if fails(newest[slot].version)} | (
        due if fails(service.version) else set()
    )


def _begun(state: State, service: Service) -> bool:
    """Whether a task of its version got as far as a node: one that starts first, and finds no room beside the
    one that serves, has until the rollout's deadline (seed 5240), which is longer than is waited for here."""
    return any(task.node_id for task in state.tasks_of(service.id) if task.version == service.version)


def _waiting_for_room(state: State, service_id: str) -> set[int]:
    """Slots that wait because no node has the CPU or the port: a deploy may have been let in while they
    backed off, and a successor that starts first needs more room than there may be."""
    waiting = [task for task in state.tasks_of(service_id) if task.wanted and not task.node_id]
    return {task.slot for task in waiting if task.id in state.pending_reasons}


def _named(world: View, name: str) -> list[str]:
    """What still names a node that was removed, beside the work that was done there."""
    state, node_id = world.state, world.hosts[name].identity.node_id
    shown = (each for key in state.services for each in instances.shown(state, key))
    names = {
        "a node": node_id in state.nodes or node_id in state.lives,
        "where tasks are": any(not task.completed for task in state.tasks_on(node_id)),
        "shown by the registry": any(instance.node == name for instance in shown),
    }
    return [f"{name} was removed and is still {what}" for what, so in names.items() if so]


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
