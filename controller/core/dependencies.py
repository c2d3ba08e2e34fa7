"""Who waits for whom, out of the state: what holds a service back, and whether its tasks shall end."""

from __future__ import annotations

from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import DependencyCondition, Health, RestartPolicy, ServiceSpec, TaskStatus
from controller.core import placing
from controller.decide import order, restarts
from controller.records import JOB_MODES, Service, Task
from controller.state import State


def hindrance(state: State, service: Service) -> str:
    """What the current version of a service waits for; empty when nothing, or once it has begun."""
    spec = state.spec_of(service)
    if service.removed or not spec.depends_on or _released(state, service):
        return ""
    found = []
    for each in spec.depends_on:
        name = f"{service.stack}_{each.service}"
        found.append(order.hindrance(each, name, _standings(state, name)))
    return ", ".join(text for text in found if text)


def restart_policy(state: State, service: Service, spec: ServiceSpec) -> RestartPolicy:
    """The restart policy of a service's tasks of this spec as it is obeyed. Success is the end of a job's
    tasks, and of those that others wait to complete, since with the usual policy they never would."""
    awaited = any(_awaits_end(state, each, service) for each in state.dependents(service.name))
    return restarts.effective(spec.restart, awaited or spec.mode in JOB_MODES)


def is_over(state: State, service: Service, task: Task) -> bool:
    """Whether a task's slot is done with it: its work is done, or it was given up."""
    policy = restart_policy(state, service, state.spec_of(service))
    return state.ended(task) and _is_final(state, task, policy)


def _awaits_end(state: State, dependent_id: str, service: Service) -> bool:
    dependent = state.services[dependent_id]
    return any(
        each.condition is DependencyCondition.COMPLETED
        and f"{dependent.stack}_{each.service}" == service.name
        for each in state.spec_of(dependent).depends_on
    )


def _released(state: State, service: Service) -> bool:
    """Once it has begun it goes on, and what ran well before need not wait to run again."""
    begun = service.rollout is not None and service.rollout.version == service.version
    settled = service.version == service.settled
    return begun or settled or service.version in state.used_versions(service.id)


def _standings(state: State, name: str) -> list[order.Standing] | None:
    """How each slot of a service stands, by its full name; None when there is no such service."""
    service = state.service_named(name)
    if service is None:
        return None
    spec = state.spec_of(service)
    policy = restart_policy(state, service, spec)
    tasks = {
        task.slot: task
        for task in state.tasks_of(service.id)
        if (task.wanted or task.completed) and task.version == service.version
    }
    slots = placing.slots_of(state, spec, service.replicas).wanted
    return [_standing(state, tasks[slot], policy) if slot in tasks else order.Standing() for slot in slots]


def _standing(state: State, task: Task, policy: RestartPolicy) -> order.Standing:
    status = state.status_of(task)
    if status.state in ENDED:
        final, complete = _is_final(state, task, policy), status.state is TaskState.COMPLETE
        verdict = _verdict(status) if final and not complete else ""
        return order.Standing(status.state, ready=final and complete, given_up=verdict)
    if state.is_down(task.node_id):
        return order.Standing()
    passed = status.health in (Health.NONE, Health.HEALTHY)
    return order.Standing(status.state, ready=status.state is TaskState.RUNNING and passed)


def _is_final(state: State, task: Task, policy: RestartPolicy) -> bool:
    """Whether a task that has ended gets no successor."""
    history = state.pasts.get(task.service_id, {}).get((task.slot, task.version))
    ended = state.status_of(task).state
    return not restarts.wants_successor(policy, ended, history.ended_ms if history else ())


def _verdict(status: TaskStatus) -> str:
    if status.message.startswith("exit code"):
        return f"it failed with {status.message}"
    return f"it failed: {status.message or status.state.value}"
