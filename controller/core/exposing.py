"""What the registry shows of a service is renewed: its revision moves only when what can be routed to does.

With it what is remembered for that: who flaps, and whether most of a service failed at once.
"""

from __future__ import annotations

import msgspec

from bayplan.directory import key_of
from bayplan.lifecycle import TaskState
from bayplan.model import Health, TaskStatus
from controller import instances, listings
from controller.core.turn import Turn
from controller.decide import damping, protection, registry
from controller.observations import Exposure, Protection
from controller.records import Service, Task

_STEADY = frozenset({Health.NONE, Health.HEALTHY})
_FALLEN = frozenset({Health.STARTING, Health.UNHEALTHY})


def expose(turn: Turn, service: Service) -> int | None:
    """Renew what is shown of a service of a stack. Returns when to look again (monotonic ms)."""
    state, now_ms = turn.state, turn.now.mono_ms
    _forget_overrides(turn, service)
    state.forget_shown(service.id)
    state.touch(service.stack, service.short_name)
    steady_ms = _steady_from(turn, service)
    exposure = state.exposure(service.id)
    ready, failing = instances.counts(state, service.id)
    _protect(turn, service.name, exposure, protection.look(exposure.protection, ready, failing, now_ms))
    _show(turn, exposure, instances.routable(state, service.id))
    dues = (steady_ms, protection.wake_ms(exposure.protection))
    return min((due for due in dues if due is not None), default=None)


def expose_outside(turn: Turn, stack: str, service: str) -> None:
    """Renew what is shown of those who registered themselves for a service."""
    state, key = turn.state, key_of(stack, service)
    state.touch(stack, service)
    turn.stacks.add(stack)
    if state.outsiders_of(stack, service):
        shown = listings.outside(state, stack, service)
        _show(turn, state.exposure(key), msgspec.msgpack.encode(registry.routable(shown)))
    else:
        state.exposures.pop(key, None)


def note_fall(turn: Turn, task: Task, before: TaskStatus, now: TaskStatus) -> None:
    """What is told of a task may be that it is ready no more though it runs: one to which that happens again
    and again is held back."""
    fell = before.health in _STEADY and now.health in _FALLEN
    if not fell or before.state is not TaskState.RUNNING or now.state is not TaskState.RUNNING:
        return
    state, now_ms = turn.state, turn.now.mono_ms
    falls = state.note_fall(task.id, now_ms)
    until_ms = damping.held_until(falls, now_ms)
    if until_ms:
        if task.id not in state.damped:
            name = state.services[task.service_id].name
            turn.note("registry", f"{name}.{task.slot}", "it comes and goes: given again once it is steady")
        state.damped[task.id] = until_ms


def _show(turn: Turn, exposure: Exposure, routable: bytes) -> None:
    if exposure.routable != routable:
        exposure.routable = routable
        turn.state.revision = registry.next_revision(turn.state.cluster.epoch, turn.state.revision)
        exposure.revision = turn.state.revision


def _protect(turn: Turn, name: str, exposure: Exposure, now: Protection) -> None:
    before, exposure.protection = exposure.protection, now
    if now.on and not before.on:
        turn.note("registry", name, "most of its instances failed at once: they are given all the same")
    elif before.on and not now.on:
        turn.note("registry", name, "those that fail their checks are not given any more")


def _steady_from(turn: Turn, service: Service) -> int | None:
    """Give those that have been steady for long enough. Returns when the next ones will have been."""
    state, due = turn.state, None
    mine = [
        task_id
        for task_id in (state.damped.keys() if state.damped else ())
        if state.tasks[task_id].service_id == service.id
    ]
    for task_id in mine:
        until_ms = state.damped[task_id]
        if until_ms <= turn.now.mono_ms:
            del state.damped[task_id]
        else:
            due = until_ms if due is None else min(due, until_ms)
    return due


def _forget_overrides(turn: Turn, service: Service) -> None:
    """An operator's word about a task goes with the task."""
    key = key_of(service.stack, service.short_name)
    for word in [
        each for each in turn.state.overrides.get(key, {}).values() if each.id not in turn.state.tasks
    ]:
        turn.drop(word)
