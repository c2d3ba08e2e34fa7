"""Rollouts out of the state: lets them go on, keeps what they came to, and tells people."""

from __future__ import annotations

import msgspec

from bayplan.model import ServiceSpec
from bayplan.views import RolloutState
from controller.core import dependencies, history, placing
from controller.core.turn import Turn
from controller.decide import reconcile, rollout
from controller.records import Service, Task
from controller.state import State


def advance(turn: Turn, service: Service, rows: list[reconcile.Row]) -> tuple[Service, int | None]:
    """Let a rollout begin, halt, turn back or end. Returns the service as it is then, and when to ask
    again (monotonic ms)."""
    before, wake_ms = service, None
    for _ in range(2):  # a rollback that has just been decided is looked at again
        spec = spec_in_force(turn.state, service, held=False)
        slots = placing.slots_of(turn.state, spec, service.replicas).wanted
        version = service.version
        service, wake_ms = rollout.advance(service, spec, rows, slots, turn.now.mono_ms)
        if service.version == version:
            break
        turn.state.forget_failures(service.id)
        service = msgspec.structs.replace(service, updated_ms=turn.now.wall_ms)
    if service != before:
        turn.put(service)
        _tell(turn, before, service)
    if service.version != before.version:  # the stack is not any more what its newest revision says
        name = service.name.removeprefix(f"{service.stack}_")
        history.record(turn, service.stack, f"{name} rolled back by itself")
    return service, wake_ms


def row(state: State, task: Task, now_ms: int) -> reconcile.Row:
    """A task as the deciders see it; what was never seen to change has just begun."""
    status = state.status_of(task)
    return reconcile.Row(
        task=task,
        state=status.state,
        node_down=bool(task.node_id) and state.is_lost(task.node_id),
        since_ms=state.since_ms.get(task.id, now_ms),
        ran_ms=state.ran_ms.get(task.id, reconcile.NEVER_RAN),
        why=(status.message or status.state.value) if task.node_id else "no node has room for it",
    )


def spec_in_force(state: State, service: Service, *, held: bool) -> ServiceSpec:
    """The spec by which a service is kept up, with the restart policy as it is obeyed. While its version
    is held that is the spec which is settled, if there is one."""
    settled = (service.id, service.settled)
    spec = state.specs[settled] if held and settled in state.specs else state.spec_of(service)
    policy = dependencies.restart_policy(state, service, spec)
    return spec if policy is spec.restart else msgspec.structs.replace(spec, restart=policy)


def versions_kept(service: Service) -> set[int]:
    """Versions whose specs are needed though no task may run them: the current one, that which the user
    asked for, and the one to go back to."""
    return {service.version, service.asked_version, service.settled}


def told(state: State, service: Service) -> str:
    """How a service's rollout goes, in words; empty when there is none."""
    if service.rollout is None:
        return ""
    rows = [row(state, task, 0) for task in state.tasks_of(service.id)]
    slots = placing.slots_of(state, state.spec_of(service), service.replicas).wanted
    return rollout.told(service, rollout.newest_wanted(rows, slots), slots)


def _tell(turn: Turn, before: Service, after: Service) -> None:
    """Tell people of a change that they would want to know of."""
    was, now = before.rollout, after.rollout
    if now is None:
        if was is not None:
            turn.note("service", after.name, f"version {after.version} is rolled out")
    elif now.state is not (was.state if was else RolloutState.ROLLING):
        words = f"{now.state.value}: {now.reason}"
        if now.state in (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK):
            words = f"{now.state.value} from version {now.version} to {after.version}: {now.reason}"
        turn.note("service", after.name, words)
