"""Rollouts out of the state: lets them go on, keeps what they came to, and tells people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from bayplan.model import NodeStatus, ServiceSpec
from bayplan.views import RolloutState, RolloutView, TaskView
from controller.core import dependencies, history, placing, surveys
from controller.core.ground import Ground
from controller.core.surveys import Survey
from controller.core.turn import Turn
from controller.decide import consolidation, failures, progress, renewal, rollout
from controller.records import GLOBAL_MODES, Service, ServiceVersion, Task
from controller.state import State

#: Steps of a rollout in one turn: failed, gone back, there already.
STEPS_MAX = 5


def advance(turn: Turn, service: Service, seen: Survey) -> tuple[Service, int | None]:
    """Let a rollout begin, halt, turn back or end; `seen` are its tasks, for the version that it has. Returns
    the service as it is then, and when to ask again (monotonic ms)."""
    state, now_ms = turn.state, turn.now.mono_ms
    if _waits_for_nodes(state, state.spec_of(service)):
        return service, None
    before, found = service, progress.Progress(service)
    headways = state.headways
    for _ in range(STEPS_MAX):  # what has just been decided may be all that the next step waited for
        asked = found.service
        spec = spec_in_force(state, asked, held=False)
        slots = placing.slots_of(state, spec, asked.replicas).wanted
        if asked is not before and not seen.complete:
            seen = surveys.survey(state, asked, spec, slots, turn.now)
        headway = headways.pop(service.id, None)
        found = progress.advance(asked, spec, seen.rows, slots, now_ms, headway, seen.plain)
        if found.headway is not None:
            headways[service.id] = found.headway
        if found.service == asked:
            break
    if found.service != before:
        keep(turn, before, found.service, "rolled back by itself")
    return state.services[service.id], found.wake_ms


def _waits_for_nodes(state: State, spec: ServiceSpec) -> bool:
    """Whether it is not known yet which slots count, so soon after a start: of nodes that may be on their way
    none has a slot, and a rollout would be over since nothing is left to do, or its failures forgotten."""
    lives = state.lives.values() if spec.mode in GLOBAL_MODES else ()
    return any(life.status is NodeStatus.UNKNOWN for life in lives)


def is_over(before: Service, after: Service) -> bool:
    """Whether a rollout from one version to another has come to its end."""
    was, now = before.rollout, after.rollout
    if was is None or not was.from_version or was.state is RolloutState.ROLLED_BACK:
        return False
    return now is None or now.state is RolloutState.ROLLED_BACK


def lateness(ground: Ground, service: Service) -> renewal.Lateness:
    """Who of a service gives way last: whose node is emptiest without them, so that it becomes free."""

    def late(tasks: Sequence[Task]) -> Sequence[int]:
        fleet, versions = ground.fleet(), {task.version for task in tasks}
        asked = ground.demand(service.id, max(versions))
        if not asked.packs or asked.preferences:
            return renewal.whenever(tasks)
        rows = np.array([fleet.rows[task.node_id] for task in tasks], np.int64)
        found: list[int] = consolidation.room_without(fleet, asked, rows).tolist()
        return found

    return late


def keep(turn: Turn, before: Service, after: Service, cause: str) -> None:
    """Keep what became of a rollout, and tell people; going back is a change of the stack, for which there
    is a `cause`."""
    was, now = before.rollout, after.rollout
    if was is None or now is None or was.state is not now.state:
        turn.state.headways.pop(after.id, None)  # its time counts anew
    if after.version == before.version:
        turn.put(after)
        _tell(turn, before, after)
        return
    state, key = turn.state, (after.id, after.version)
    spec = spec_back(state, before, after)
    if spec != state.specs[key]:
        digest = state.image_digests[key]
        turn.put(ServiceVersion(service_id=after.id, version=after.version, spec=spec, image_digest=digest))
    turn.put(msgspec.structs.replace(after, replicas=spec.replicas, updated_ms=turn.now.wall_ms))
    _tell(turn, before, after)
    history.record(turn, after.stack, f"{after.name.removeprefix(f'{after.stack}_')} {cause}")


def spec_back(state: State, before: Service, after: Service) -> ServiceSpec:
    """The spec with which a service goes back to the version of `after`: that it was scaled since is not
    gone back on."""
    spec = state.specs[after.id, after.version]
    scaled = state.spec_of(before).mode is spec.mode and after.replicas != spec.replicas
    return msgspec.structs.replace(spec, replicas=after.replicas) if scaled else spec


def spec_in_force(state: State, service: Service, *, held: bool) -> ServiceSpec:
    """The spec by which a service is kept up, with the restart policy as it is obeyed. While its version
    is held that is the spec which is settled, if there is one."""
    settled = (service.id, service.settled)
    spec = state.specs[settled] if held and settled in state.specs else state.spec_of(service)
    policy = dependencies.restart_policy(state, service, spec)
    return spec if policy is spec.restart else msgspec.structs.replace(spec, restart=policy)


def versions_kept(service: Service) -> set[int]:
    """Versions whose specs are needed though no task may run them: the current one, that which the user
    asked for, and those to go back to."""
    return {service.version, service.asked_version, service.settled, service.previous}


def told(state: State, service: Service) -> str:
    """How a service's rollout goes, in words; empty when there is none."""
    if service.rollout is None:
        return ""
    spec = state.spec_of(service)
    slots = placing.slots_of(state, spec, service.replicas).wanted
    seen = surveys.survey(state, service, spec, slots, surveys.BEGINNING)
    return rollout.told(service, spec, rollout.newest_wanted(seen.rows, slots), slots, seen.plain)


def view(state: State, service: Service, now_ms: int, tasks: tuple[TaskView, ...] = ()) -> RolloutView:
    """How far a service's rollout is; `now_ms` is monotonic, `tasks` are the service's.

    It leads from `from_version` to `version`, or on the way back from there. Without one `from_version` is
    what an undo would go back to.
    """
    spec, newest, slots = standing(state, service)
    kept, order = service.rollout, rollout.order(service, spec)
    there = {slot for slot, row in newest.items() if rollout.is_there(row, service.version)}
    first = rollout.canaries(service, spec, slots)
    shown = RolloutView(
        service=service.name,
        version=service.version,
        from_version=service.previous,
        done=len(there),
        total=len(slots),
        canaries=len(there & first),
        policy=msgspec.structs.replace(rollout.policy(service, spec), order=order.order),
        order_reason=order.reason,
        tasks=tasks,
    )
    if kept is None or kept.version < service.version:  # its version has not begun, or is rolled out
        if service.version == service.settled:
            return shown
        hindrance = dependencies.hindrance(state, service)
        return msgspec.structs.replace(
            shown,
            state=RolloutState.ROLLING,
            from_version=service.settled,
            reason=f"waits for {hindrance}" if hindrance else "",
        )
    return msgspec.structs.replace(
        shown,
        state=kept.state,
        version=kept.version,
        from_version=kept.from_version,
        failed=len(kept.failed),
        reason=kept.reason,
        deadline_left_ms=_deadline_left_ms(state, service, now_ms),
    )


def _deadline_left_ms(state: State, service: Service, now_ms: int) -> int:
    spec, newest, slots = standing(state, service)
    going = failures.headway(state.headways.get(service.id), service, newest, now_ms)
    due_ms = failures.deadline_ms(service, spec, newest, slots, going)
    return -1 if due_ms is None else max(0, due_ms - now_ms)


def standing(state: State, service: Service) -> tuple[ServiceSpec, dict[int, rollout.Seen], Collection[int]]:
    """The spec of a service, by slot its newest task, and the slots that it shall have."""
    spec = state.spec_of(service)
    rows = surveys.every(state, service).rows
    slots = placing.slots_of(state, spec, service.replicas).wanted
    return spec, rollout.newest_wanted(rows, slots), slots


def _tell(turn: Turn, before: Service, after: Service) -> None:
    """Tell people of a change that they would want to know of."""
    was, now = before.rollout, after.rollout
    words = ""
    if now is None:
        words = f"version {after.version} is rolled out" if was else ""
    elif now.promoted and was is not None and not was.promoted:
        words = f"the canaries of version {now.version} are promoted"
    elif now.state in (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK):
        words = f"{now.state.value} from version {now.version} to {after.version}: {now.reason}"
    elif now.state is not RolloutState.ROLLING:
        words = f"{now.state.value}: {now.reason}"
    elif was is not None and was.version == now.version:
        words = f"version {now.version} rolls on"
    if words and (was is None or now is None or (was.state, was.promoted) != (now.state, now.promoted)):
        turn.note("service", after.name, words)
