"""Rows for lists and screens, derived from the state. Pure; changes nothing."""

from __future__ import annotations

import numpy as np

from bayplan.directory import Listing, key_of
from bayplan.lifecycle import ALIVE, TaskState
from bayplan.model import Desired, NodeStatus
from bayplan.views import NodeView, RegistryEntry, RolloutView, ServiceView, StackView, TaskView
from controller import instances, listings
from controller.core import dependencies, fencing, history, placing, rolling, schedules
from controller.decide import liveness
from controller.decide.reservations import reserve
from controller.observations import Life
from controller.records import Node, Service, Task
from controller.state import State
from controller.task_columns import COMPLETED, DESIRED_CODE, REMOVING
from controller.tasks import STATE_CODE

#: By the code of a state whether the container's process runs; 0 is what nothing is known of.
_ALIVE = np.isin(np.arange(len(STATE_CODE) + 1), [STATE_CODE[state] for state in ALIVE])


def service_view(state: State, service: Service) -> ServiceView:
    """One service with its numbers."""
    spec = state.spec_of(service)
    table = state.tasks.table
    rows = table.of_service(service.id)
    rows = rows[table.flags[rows] & REMOVING == 0]
    done = rows[(table.flags[rows] & COMPLETED != 0) & (table.version[rows] == service.version)]
    kept = rows[(table.desired[rows] != DESIRED_CODE[Desired.STOP]) & (table.node[rows] >= 0)]
    running = _ALIVE[table.state[kept]] & state.in_reach(table.node[kept])
    ready = instances.ready_rows(state, service.id)
    slots = placing.slots_of(state, spec, service.replicas).wanted
    return ServiceView(
        id=service.id,
        name=service.name,
        stack=service.stack,
        mode=spec.mode,
        desired=0 if service.removed else len(slots),
        running=int(running.sum()),
        ready=len(ready),
        current=int((table.version[ready] == service.version).sum()),
        image=spec.container.image,
        ports=spec.container.ports,
        version=service.version,
        removed=service.removed,
        revision=state.exposure(service.id).revision,
        updated_ms=service.updated_ms,
        completed=len(np.unique(table.slot[done])),
        waits_for=dependencies.hindrance(state, service),
        rollout=rolling.told(state, service),
        reservation=reserve(spec, state.default_reservation),
        next_run_ms=schedules.next_run_ms(service, spec),
    )


def rollout_view(state: State, service: Service, now_ms: int) -> RolloutView:
    """How far a service's rollout is; `now_ms` is monotonic."""
    return rolling.view(state, service, now_ms, tuple(task_views(state, service_id=service.id)))


def service_views(state: State, stack: str = "") -> list[ServiceView]:
    """Services by name, those on their way out included."""
    chosen = [each for each in state.services.values() if not stack or each.stack == stack]
    return [service_view(state, each) for each in sorted(chosen, key=lambda each: (each.name, each.id))]


def task_view(state: State, task: Task) -> TaskView:
    """One task."""
    spec = state.specs[task.service_id, task.version]
    node = state.nodes.get(task.node_id)
    life = state.lives.get(task.node_id)
    return TaskView(
        id=task.id,
        service=state.services[task.service_id].name,
        slot=task.slot,
        version=task.version,
        image=spec.container.image,
        node=node.name if node else "",
        desired=task.desired if task.wanted else Desired.STOP,
        status=state.status_of(task),
        pending_reasons=state.pending_reasons.get(task.id, ()),
        created_ms=task.created_ms,
        place=spec.places.get("image", ""),
        stale=life is not None and life.status is not NodeStatus.READY,
        node_address=node.address if node else "",
    )


def task_views(state: State, *, stack: str = "", service_id: str = "", node_id: str = "") -> list[TaskView]:
    """Tasks by service, slot and age, newest first; each argument given restricts."""
    services = {each.id for each in (state.stack(stack, removed=True) if stack else state.services.values())}
    chosen = services & {service_id} if service_id else services
    tasks = [task for each in chosen for task in state.tasks_of(each) if node_id in ("", task.node_id)]
    tasks.sort(key=lambda task: (state.services[task.service_id].name, task.slot, -task.created_ms, task.id))
    return [task_view(state, task) for task in tasks]


def node_views(state: State, now_ms: int) -> list[NodeView]:
    """Nodes by name."""
    by_name = sorted(state.nodes.values(), key=lambda node: node.name)
    return [node_view(state, node.id, now_ms) for node in by_name]


def node_view(state: State, node_id: str, now_ms: int) -> NodeView:
    """One node; `now_ms` is monotonic."""
    node, life = state.nodes[node_id], state.lives[node_id]
    holding = [task for task in state.tasks_on(node_id) if state.holds_node(task)]
    return NodeView(
        id=node.id,
        name=node.name,
        status=life.status,
        availability=node.availability,
        address=node.address,
        labels=node.labels,
        inventory=node.inventory,
        reserved=placing.reserved(state, holding),
        tasks=len(holding),
        silent_ms=max(0, now_ms - life.heard_ms) if life.ever else -1,
        joined_ms=node.joined_ms,
        engine_silent_ms=life.engine_silent_ms,
        held=life.held,
        drain_until_ms=node.drain_until_ms,
        shaky_ms=max(0, life.shaky_until_ms - now_ms),
        condition=life.condition,
    )


def stack_views(state: State) -> list[StackView]:
    """Stacks by name."""
    names = sorted({service.stack for service in state.services.values() if not service.removed})
    return [_stack_view(state, name) for name in names]


def _stack_view(state: State, name: str) -> StackView:
    rows = [service_view(state, service) for service in state.stack(name)]
    return StackView(
        name=name,
        services=len(rows),
        desired=sum(row.desired for row in rows),
        ready=sum(_good(row) for row in rows),
        revision=history.index(state, name),
    )


def _good(row: ServiceView) -> int:
    """Tasks that are as they shall be: ready, or done; a job by schedule is, in its runs and between them."""
    return row.desired if row.next_run_ms else min(row.desired, row.ready + row.completed)


def registry_entries(state: State) -> list[RegistryEntry]:
    """The registry's list, by stack and name."""
    found = [_registry_entry(state, each) for each in state.services.values() if not each.removed]
    for stack, services in state.outsiders.items():
        shown = (listings.listing(state, stack, name) for name in services)
        found += [registry_entry(each) for each in shown if each is not None]
    return sorted(found, key=lambda each: (each.stack, each.service))


def registry_entry(listing: Listing) -> RegistryEntry:
    """A listing with its numbers."""
    return RegistryEntry(
        stack=listing.stack,
        service=listing.service,
        ready=len(listing.given()),
        total=len(listing.entries),
        revision=listing.revision,
    )


def _registry_entry(state: State, service: Service) -> RegistryEntry:
    """The same off the columns, where nothing is said of single instances: nobody makes all of them for a
    list of numbers."""
    said = key_of(service.stack, service.short_name) in state.overrides
    if said or state.remembered or state.exposure(service.id).protection.on:
        listing = listings.listing(state, service.stack, service.short_name)
        assert listing is not None, "it is not removed"
        return registry_entry(listing)
    table = state.tasks.table
    rows = table.of_service(service.id)
    return RegistryEntry(
        stack=service.stack,
        service=service.short_name,
        ready=len(instances.ready_rows(state, service.id)),
        total=int((_ALIVE[table.state[rows]] & (table.node[rows] >= 0)).sum()),
        revision=listings.revision(state, service.stack, service.short_name),
    )


def problems(state: State) -> list[str]:
    """What is wrong, one line each, with the way out where there is one."""
    found = []
    by_name = sorted(state.nodes.values(), key=lambda node: node.name)
    found += [line for node in by_name if (line := _node_problem(node, state.lives[node.id]))]
    held = [node.name for node in by_name if state.lives[node.id].held]
    if held:
        found.append(
            f"the tasks of {', '.join(held)} are not moved: too many nodes fell silent together, so that it "
            "may be the controller which is cut off; `bayplan node drain NODE` moves a node's now"
        )
    for service in sorted(state.services.values(), key=lambda each: each.name):
        row = service_view(state, service)
        if not service.removed and _good(row) < row.desired:
            found.append(f"service {row.name}: {_good(row)}/{row.desired} ready: {_why(state, row)}")
    return found


def _node_problem(node: Node, life: Life) -> str:
    """What is wrong with a node; empty when nothing is."""
    if life.status in (NodeStatus.DOWN, NodeStatus.SUSPECT):
        return f"node {node.name} is {life.status.value}: look at bayplan-agent on it"
    if life.status is NodeStatus.UNKNOWN:
        return (
            f"node {node.name} has not been heard since the controller started: look at bayplan-agent on it"
        )
    if life.engine_silent_ms > liveness.ENGINE_SILENT_MS_MAX:
        silent_s = life.engine_silent_ms // 1000
        return f"node {node.name}: its engine has not answered for {silent_s} s; look at docker on it"
    return ""


def _why(state: State, row: ServiceView) -> str:
    """The most telling reason: what it waits for, else one among its tasks."""
    if row.waits_for:
        return f"waits for {row.waits_for}"
    for task in reversed(state.tasks_of(row.id)):
        status = state.status_of(task)
        if task.wanted and state.is_down(task.node_id) and task.node_id and fencing.fenced(state, task):
            name = state.nodes[task.node_id].name
            return f"its fenced task may still run on {name}; `bayplan node rm --force {name}` says it is off"
        if task.id in state.pending_reasons:
            return state.pending_reasons[task.id][-1]
        if status.state in (TaskState.FAILED, TaskState.REJECTED) and status.message:
            return status.message
    return f"`bayplan service ps {row.name}` tells more"
