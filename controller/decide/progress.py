"""How a rollout goes on: it begins, waits for its canaries, is done, fails, halts, turns back. Pure.

Progress is read off the tasks, so that it survives the controller; what cannot be is kept in the service's
record. Which slots are next, and how one changes over, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bayplan.model import FailureAction, ServiceSpec
from bayplan.views import RolloutState
from controller.decide import failures
from controller.decide.rollout import (
    BACK,
    HALTED,
    ROOM_MS_MAX,
    Seen,
    canaries,
    is_there,
    newest_wanted,
    policy,
    start_first,
)
from controller.decide.rows import NO_PLAIN, Plain
from controller.observations import Headway
from controller.records import JOB_MODES, Rollout, Service

#: Said of a version that fails with none before it.
NO_WAY_BACK = "there is no version to go back to, so its tasks are started again and again"


class Progress(NamedTuple):
    """The service as it shall be kept now, when to ask again (monotonic ms), and how far it has come."""

    service: Service
    wake_ms: int | None = None
    headway: Headway | None = None


def advance(
    service: Service,
    spec: ServiceSpec,
    rows: Sequence[Seen],
    slots: Collection[int],
    now_ms: int,
    before: Headway | None = None,
    plain: Plain = NO_PLAIN,
) -> Progress:
    """Begin, count failures, halt, turn back, wait for promotion, or be done.

    `rows` are all of the service's tasks but those in `plain` slots, oldest first within a slot; `slots`
    those that shall be filled; `before` is what was answered the last time. A change of the version in the
    answer is the way back, to be asked about again. Nothing is `plain` where `needs_all`.
    """
    if _rests(service):
        return Progress(service)
    if spec.mode in JOB_MODES:
        return Progress(_settled(service))
    newest = newest_wanted(rows, slots)
    service = _begun(service, rows, newest, slots, plain)
    assert service.rollout is not None
    if service.rollout.state in HALTED:
        return _recovered(service, spec, newest, slots, now_ms, plain)
    going = failures.headway(before, service, newest, now_ms, plain)
    counted = _counted(service, spec, rows, slots, now_ms)
    service = _acted(counted, spec, rows, len(canaries(service, spec, slots) or slots), plain)
    due_ms = failures.deadline_ms(counted, spec, newest, slots, going, plain)
    if service is counted and due_ms is not None and now_ms >= due_ms:
        assert not plain.total, "who a rollout waits for is seen only where all are looked at"
        service = _failed(counted, spec, rows, failures.stall(counted, spec, rows, newest, slots), plain)
    if service is not counted:
        return Progress(service)
    arrived = _arrived(service, spec, newest, slots, now_ms, plain)
    if arrived.service.rollout is None or arrived.service.rollout.state is RolloutState.ROLLED_BACK:
        return arrived
    wakes = [arrived.wake_ms, due_ms, *_room_wakes(service, spec, rows, plain)]
    wake_ms = min((at for at in wakes if at is not None and at > now_ms), default=None)
    return Progress(arrived.service, wake_ms, going)


def _rests(service: Service) -> bool:
    over = service.rollout is None or service.rollout.state is RolloutState.ROLLED_BACK
    return over and service.settled == service.version


def needs_all(service: Service, spec: ServiceSpec, now_ms: int, before: Headway | None, plain: Plain) -> bool:
    """Whether each task must be looked at, also in `plain` slots: some may be canaries, one has waited for a
    node for so long that it counts as failed, or the rollout's time is up."""
    if _rests(service):
        return False
    if spec.update.canaries:
        return True
    if plain.waiting_since_ms is not None and now_ms >= plain.waiting_since_ms + failures.PLACE_MS_MAX:
        return True
    limits_ms = [each.deadline_ms for each in (spec.update, spec.rollback) if each.deadline_ms]
    return before is not None and any(now_ms >= before.since_ms + each for each in limits_ms)


def _begun(
    service: Service, rows: Sequence[Seen], newest: Mapping[int, Seen], slots: Collection[int], plain: Plain
) -> Service:
    """A rollout for a version that has none yet. One that ran in all slots when it was superseded counts
    as settled: it need not have been watched to its end."""
    before = service.rollout
    if before is not None and service.version in (service.settled, before.version):
        return service
    if before is None or before.state is RolloutState.ROLLING:
        came = {row.task.version for row in newest.values() if row.ready}
        came |= {service.version} if plain.ready else set()
        all_ready = not plain.unready and all(row.ready for row in newest.values())
        whole = len(came) == 1 and len(newest) + plain.total == len(slots) and all_ready
        if whole and service.version not in came and not (before and before.failed):
            service = _with_settled(service, came.pop())
    after_ms = newest_ms(rows, plain)
    rollout = Rollout(version=service.version, from_version=service.settled, after_ms=after_ms)
    return msgspec.structs.replace(service, rollout=rollout)


def newest_ms(rows: Sequence[Seen], plain: Plain = NO_PLAIN) -> int:
    """When the newest task was made (`created_ms`): only later ones count for what begins now."""
    return max((plain.newest_ms, *(row.task.created_ms for row in rows)))


def _counted(
    service: Service, spec: ServiceSpec, rows: Sequence[Seen], slots: Collection[int], now_ms: int
) -> Service:
    """The rollout with the slots in which a new task failed, and the first cause."""
    rollout = service.rollout
    assert rollout is not None
    found = failures.failed_slots(service, spec, rows, slots, now_ms)
    if not found and not rollout.failed:
        return service
    failed = tuple(sorted({*rollout.failed, *found} & set(slots)))
    if failed == rollout.failed:
        return service
    reason = rollout.reason if rollout.failed or not found else found[min(found)]
    rollout = msgspec.structs.replace(rollout, failed=failed, reason=reason)
    return msgspec.structs.replace(service, rollout=rollout)


def _acted(
    service: Service, spec: ServiceSpec, rows: Sequence[Seen], total: int, plain: Plain = NO_PLAIN
) -> Service:
    """What the failures come to, if they are too many of the `total`."""
    rollout, rules = service.rollout, policy(service, spec)
    assert rollout is not None
    if len(rollout.failed) <= rules.max_failure_ratio * total:
        return service
    return _failed(service, spec, rows, f"{len(rollout.failed)} of {total} failed: {rollout.reason}", plain)


def _failed(service: Service, spec: ServiceSpec, rows: Sequence[Seen], reason: str, plain: Plain) -> Service:
    """The rollout failed: nothing comes of it, a halt, or the way back. A way back has none of its own."""
    rollout, action = service.rollout, policy(service, spec).failure_action
    assert rollout is not None
    if action is FailureAction.CONTINUE:
        return service
    if rollout.state in BACK:
        rollout = msgspec.structs.replace(rollout, state=RolloutState.ROLLBACK_PAUSED, reason=reason)
    elif action is FailureAction.ROLLBACK and rollout.from_version:
        return gone_back(service, rollout.from_version, reason, newest_ms(rows, plain))
    else:
        reason = reason if rollout.from_version else f"{reason}; {NO_WAY_BACK}"
        rollout = msgspec.structs.replace(rollout, state=RolloutState.PAUSED, reason=reason)
    return msgspec.structs.replace(service, rollout=rollout)


def gone_back(service: Service, version: int, reason: str, after_ms: int) -> Service:
    """The service on its way back to a version that once was settled, and is so again.

    The rollout keeps the newest number that was given, since none is given twice.
    """
    newest = service.next_version - 1
    service = _with_settled(service, version)
    state = RolloutState.ROLLING_BACK
    rollout = Rollout(version=newest, from_version=version, state=state, reason=reason, after_ms=after_ms)
    return msgspec.structs.replace(service, version=version, rollout=rollout)


def _recovered(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    now_ms: int,
    plain: Plain,
) -> Progress:
    """What halts waits for its user; but a version with none before it may come up after all."""
    assert service.rollout is not None
    if service.rollout.from_version:
        return Progress(service)
    forgiven = msgspec.structs.replace(service.rollout, failed=())
    hopeful = msgspec.structs.replace(service, rollout=forgiven)
    arrived = _arrived(hopeful, spec, newest, slots, now_ms, plain)
    return arrived if arrived.service.rollout is None else Progress(service, arrived.wake_ms)


def _arrived(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    now_ms: int,
    plain: Plain,
) -> Progress:
    """Once each slot has run the version for the monitor time, or is a failure that is put up with: done.
    Of canaries none is put up with; they are promoted then, or wait for it."""
    rollout, first = service.rollout, canaries(service, spec, slots)
    assert rollout is not None
    monitor_ms, due_ms = policy(service, spec).monitor_ms, now_ms
    if plain.unready:
        return Progress(service)
    if plain.ready:
        due_ms = max(due_ms, plain.ready_since_ms + monitor_ms)
    for slot in first or plain.others(slots):
        row = newest.get(slot)
        if not is_there(row, service.version):
            if slot in rollout.failed and not first and _is_put_up_with(row, service.version):
                continue
            return Progress(service)
        assert row is not None
        due_ms = max(due_ms, row.since_ms + monitor_ms if row.ready else now_ms)
    if due_ms > now_ms:
        return Progress(service, due_ms)
    return Progress(_watched(service, spec, len(first)) if first else _settled(service))


def _is_put_up_with(row: Seen | None, version: int) -> bool:
    """A slot that failed is tried again, or backs off; it has got so far in any case."""
    return row is None or row.task.version == version


def _watched(service: Service, spec: ServiceSpec, count: int) -> Service:
    """The canaries were found good."""
    assert service.rollout is not None
    if spec.update.auto_promote:
        rollout = msgspec.structs.replace(service.rollout, promoted=True)
    else:
        ready = "1 canary is" if count == 1 else f"{count} canaries are"
        state = RolloutState.AWAITING_PROMOTION
        rollout = msgspec.structs.replace(service.rollout, state=state, reason=f"{ready} ready")
    return msgspec.structs.replace(service, rollout=rollout)


def _settled(service: Service) -> Service:
    rollout = service.rollout
    if rollout is not None and rollout.state is RolloutState.ROLLING_BACK:
        rollout = msgspec.structs.replace(rollout, state=RolloutState.ROLLED_BACK, failed=())
        return msgspec.structs.replace(service, rollout=rollout)
    return msgspec.structs.replace(_with_settled(service, service.version), rollout=None)


def _with_settled(service: Service, version: int) -> Service:
    """Another version is the settled one, and that of before is remembered for an undo."""
    if service.settled == version:
        return service
    return msgspec.structs.replace(service, settled=version, previous=service.settled or service.previous)


def _room_wakes(service: Service, spec: ServiceSpec, rows: Sequence[Seen], plain: Plain) -> list[int]:
    """When those without a node have waited long enough: for room beside their elder, and for any."""
    waiting = [row for row in rows if row.task.wanted and not row.task.node_id]
    patience = [row.since_ms + ROOM_MS_MAX for row in waiting] if start_first(service, spec) else []
    if plain.waiting_since_ms is not None:
        patience += [plain.waiting_since_ms + ROOM_MS_MAX] if start_first(service, spec) else []
        patience.append(plain.waiting_since_ms + failures.PLACE_MS_MAX)
    return [*patience, *failures.place_until(rows).values()]
