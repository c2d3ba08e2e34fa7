"""How a service goes from one version to the next: which slots take it, when it is done, when it fails.

Gated: at most `parallelism` slots are away from ready at a time, so that a version that does not come
up stops the rollout by itself and the rest goes on serving. Progress is read off the tasks; only what
cannot be (slots that failed, that it was paused or goes back) is kept, in the service's record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from bayplan.lifecycle import TaskState
from bayplan.model import FailureAction, ServiceSpec, UpdateOrder, UpdatePolicy
from bayplan.views import RolloutState
from controller.decide import restarts, succession
from controller.records import JOB_MODES, Rollout, Service, Task

#: A new task for which no node has room after this long has failed: it would block the rollout for ever.
#: Longer than a machine of the cluster needs to be seen down and its tasks to be moved.
PLACE_MS_MAX = 30_000

#: States in which no further slot takes the new version.
HALTED = frozenset({RolloutState.PAUSED, RolloutState.ROLLBACK_PAUSED})
_BACK = frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLBACK_PAUSED, RolloutState.ROLLED_BACK})


class Seen(Protocol):
    """What is asked of a task here."""

    @property
    def task(self) -> Task: ...
    @property
    def state(self) -> TaskState: ...
    @property
    def ready(self) -> bool: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def ran_ms(self) -> int: ...
    @property
    def why(self) -> str: ...


class Progress(NamedTuple):
    """The service as it shall be kept now, and when to ask again (monotonic ms)."""

    service: Service
    wake_ms: int | None = None


class Renewal(NamedTuple):
    """The slots whose outdated task shall give way now, and when to ask again."""

    slots: frozenset[int] = frozenset()
    wake_ms: int | None = None


def policy(service: Service, spec: ServiceSpec) -> UpdatePolicy:
    """The policy in force: on the way back it is that for rollbacks."""
    return spec.rollback if service.rollout and service.rollout.state in _BACK else spec.update


def start_first(service: Service, spec: ServiceSpec) -> bool:
    """Whether a successor is made, and becomes ready, before the task that it replaces stops."""
    return succession.resolve(policy(service, spec), spec).order is UpdateOrder.START_FIRST


def halted(service: Service) -> bool:
    """Whether the slots that do not run the service's version shall stay at that from which it came."""
    return service.rollout is not None and service.rollout.state is RolloutState.PAUSED


def advance(
    service: Service, spec: ServiceSpec, rows: Sequence[Seen], slots: Collection[int], now_ms: int
) -> Progress:
    """Begin, count failures, halt, turn back, or be done.

    `rows` are all of the service's tasks, oldest first within a slot; `slots` those that shall be filled.
    A change of the version in the answer is a rollback, to be asked about again.
    """
    rests = service.rollout is None or service.rollout.state is RolloutState.ROLLED_BACK
    if rests and service.settled == service.version:
        return Progress(service)
    newest = newest_wanted(rows, slots)
    if spec.mode in JOB_MODES:
        return Progress(_settled(service))
    service = _begun(service, rows, newest, slots)
    if service.rollout is not None:
        if service.rollout.state in HALTED:
            return Progress(service)
        service = _counted(service, spec, rows, slots, now_ms)
        service = _acted(service, spec, rows, len(slots))
        if service.rollout is not None and service.rollout.state in HALTED:
            return Progress(service)
    done = _done_yet(service, spec, newest, slots, now_ms)
    waiting = [row.since_ms + PLACE_MS_MAX for row in newest.values() if not row.task.node_id]
    if done.service.rollout is None or not waiting:
        return done
    return Progress(done.service, min(waiting) if done.wake_ms is None else min(done.wake_ms, *waiting))


def newest_wanted(rows: Sequence[Seen], slots: Collection[int]) -> dict[int, Seen]:
    """By slot the newest task that shall run."""
    return {row.task.slot: row for row in rows if row.task.wanted and row.task.slot in slots}


def _begun(
    service: Service, rows: Sequence[Seen], newest: Mapping[int, Seen], slots: Collection[int]
) -> Service:
    """A rollout for a version that has none yet. One that ran in all slots when it was superseded counts
    as settled: it need not have been watched to its end."""
    before = service.rollout
    if service.version == service.settled or (before and before.version == service.version):
        return service
    settled = service.settled
    if before is None or before.state is RolloutState.ROLLING:
        came = {row.task.version for row in newest.values() if row.ready}
        whole = len(came) == 1 and len(newest) == len(slots) and all(row.ready for row in newest.values())
        if whole and service.version not in came and not (before and before.failed):
            settled = came.pop()
    if not settled:
        return service
    rollout = Rollout(version=service.version, from_version=settled, after_ms=_newest_ms(rows))
    return msgspec.structs.replace(service, settled=settled, rollout=rollout)


def _newest_ms(rows: Sequence[Seen]) -> int:
    return max((row.task.created_ms for row in rows), default=0)


def _counted(
    service: Service, spec: ServiceSpec, rows: Sequence[Seen], slots: Collection[int], now_ms: int
) -> Service:
    """The rollout with the slots in which a new task failed, and the first cause."""
    rollout, monitor_ms = service.rollout, policy(service, spec).monitor_ms
    assert rollout is not None
    fresh = [row for row in rows if row.task.version == service.version]
    failures = [
        row
        for row in fresh
        if row.task.created_ms > rollout.after_ms
        and row.task.slot in slots
        and row.task.slot not in rollout.failed
        and _failed(row, spec, monitor_ms, now_ms)
    ]
    if not failures:
        return service
    failed = tuple(sorted({*rollout.failed, *(row.task.slot for row in failures)}))
    reason = rollout.reason or failures[0].why
    rollout = msgspec.structs.replace(rollout, failed=failed, reason=reason)
    return msgspec.structs.replace(service, rollout=rollout)


def _failed(row: Seen, spec: ServiceSpec, monitor_ms: int, now_ms: int) -> bool:
    """Cases: found no room in time; ended too early, by failing or although it should go on."""
    if not row.task.node_id:
        return row.task.wanted and now_ms - row.since_ms >= PLACE_MS_MAX
    if row.state is TaskState.COMPLETE:
        return row.ran_ms < monitor_ms and restarts.wants_successor(spec.restart, row.state, ())
    return row.state is TaskState.REJECTED or (row.state is TaskState.FAILED and row.ran_ms < monitor_ms)


def _acted(service: Service, spec: ServiceSpec, rows: Sequence[Seen], total: int) -> Service:
    """What the failures come to: nothing, a halt, or the way back. A way back has none of its own."""
    rollout, rules = service.rollout, policy(service, spec)
    assert rollout is not None
    if len(rollout.failed) <= rules.max_failure_ratio * total:
        return service
    if rules.failure_action is FailureAction.CONTINUE:
        return service
    reason = f"{len(rollout.failed)} of {total} failed: {rollout.reason}"
    if rollout.state is RolloutState.ROLLING and rules.failure_action is FailureAction.ROLLBACK:
        back = msgspec.structs.replace(
            rollout, state=RolloutState.ROLLING_BACK, failed=(), reason=reason, after_ms=_newest_ms(rows)
        )
        return msgspec.structs.replace(service, version=rollout.from_version, rollout=back)
    state = RolloutState.PAUSED if rollout.state is RolloutState.ROLLING else RolloutState.ROLLBACK_PAUSED
    rollout = msgspec.structs.replace(rollout, state=state, reason=reason)
    return msgspec.structs.replace(service, rollout=rollout)


def _done_yet(
    service: Service, spec: ServiceSpec, newest: Mapping[int, Seen], slots: Collection[int], now_ms: int
) -> Progress:
    """Done when each slot runs the version and has done so for the monitor time, or is a failure that
    is put up with. The first version of a service has nothing to be compared with and is not watched."""
    failed = service.rollout.failed if service.rollout else ()
    monitor_ms = policy(service, spec).monitor_ms if service.rollout else 0
    due_ms = now_ms
    for slot in slots:
        row = newest.get(slot)
        if row is None and slot in failed:
            continue  # it backs off
        if row is None or row.task.version != service.version:
            return Progress(service)
        if row.ready:
            due_ms = max(due_ms, row.since_ms + monitor_ms)
        elif not row.task.completed and slot not in failed:
            return Progress(service)
    return Progress(_settled(service)) if due_ms <= now_ms else Progress(service, due_ms)


def _settled(service: Service) -> Service:
    rollout = service.rollout
    if rollout is not None and rollout.state is RolloutState.ROLLING_BACK:
        rollout = msgspec.structs.replace(rollout, state=RolloutState.ROLLED_BACK, failed=())
        return msgspec.structs.replace(service, rollout=rollout)
    return msgspec.structs.replace(service, settled=service.version, rollout=None)


def slots_to_renew(
    service: Service, spec: ServiceSpec, newest: Mapping[int, Seen], slots: Collection[int], now_ms: int
) -> Renewal:
    """The slots to renew, the lowest first, those that failed already last. `newest` is by slot.

    Outdated ones that are not ready cost nothing and go first; ready ones follow as long as fewer
    than `parallelism` (0 is all) slots are not ready, failures that are put up with apart, and the
    delay since the last one has passed. The tasks of a job do not depend on each other: all at once.
    """
    outdated = [row for row in newest.values() if row.task.version != service.version]
    if not outdated or (service.rollout is not None and service.rollout.state in HALTED):
        return Renewal()
    if spec.mode in JOB_MODES:
        return Renewal(frozenset(row.task.slot for row in outdated))
    rules, failed = policy(service, spec), service.rollout.failed if service.rollout else ()
    outdated.sort(key=lambda row: (row.task.slot in failed, row.task.slot))
    parallelism = rules.parallelism or len(slots)
    broken = [row.task.slot for row in outdated if not row.ready][:parallelism]
    ready = [row for row in newest.values() if row.ready]
    fresh = [row.since_ms for row in ready if row.task.version == service.version]
    due_ms = max(fresh) + rules.delay_ms if fresh and rules.delay_ms else 0
    if now_ms < due_ms:
        return Renewal(frozenset(broken), due_ms)
    away = len(set(slots) - set(failed) - {row.task.slot for row in ready})
    serving = [row.task.slot for row in outdated if row.ready][: max(0, parallelism - away)]
    return Renewal(frozenset(broken + serving))


def told(service: Service, newest: Mapping[int, Seen], slots: Collection[int]) -> str:
    """How a rollout goes, in words; empty when there is none."""
    rollout = service.rollout
    if rollout is None:
        return ""
    done = sum(row.ready and row.task.version == service.version for row in newest.values())
    match rollout.state:
        case RolloutState.ROLLING:
            return f"rolling {done}/{len(slots)}"
        case RolloutState.ROLLING_BACK:
            return f"rolling back to version {service.version} {done}/{len(slots)}: {rollout.reason}"
        case RolloutState.ROLLED_BACK:
            return f"rolled back to version {service.version}: {rollout.reason}"
        case halted_state:
            return f"{halted_state.value}: {rollout.reason}"
