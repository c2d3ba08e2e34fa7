"""When a new task, or a rollout as a whole, has failed, and why.

A failure that comes after the monitor time is the restart policy's business, not the rollout's. Pure.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import FailureAction, ServiceSpec
from bayplan.units import format_duration_ms
from bayplan.views import RolloutState
from controller.decide import restarts
from controller.decide.rollout import Seen, canaries, is_there, policy
from controller.decide.rows import NO_PLAIN, Plain
from controller.observations import Headway
from controller.records import Service

#: A new task for which no node has room after this long has failed: it would block the rollout for ever.
#: Longer than a machine of the cluster needs to be seen down and its tasks to be moved.
PLACE_MS_MAX = 30_000
#: Failures in one slot after which a version with none before it has failed: it can do no harm, and what it
#: waits for at its start, such as a database, may be on its way.
FIRST_TRIES_MAX = 3
#: States in which a rollout is expected to get further.
_ONWARD = frozenset({RolloutState.ROLLING, RolloutState.ROLLING_BACK})


def headway(
    before: Headway | None,
    service: Service,
    newest: Mapping[int, Seen],
    now_ms: int,
    plain: Plain = NO_PLAIN,
) -> Headway:
    """How far it is now. A slot that was lost and comes back is no progress."""
    done = plain.ready + sum(is_there(row, service.version) for row in newest.values())
    if before is not None and before.version == service.version and done <= before.done:
        return before
    return Headway(service.version, done, now_ms)


def failed_slots(
    service: Service, spec: ServiceSpec, rows: Sequence[Seen], slots: Collection[int], now_ms: int
) -> dict[int, str]:
    """The slots in which a new task failed, each with the cause. `rows` are oldest first within a slot."""
    rollout, first = service.rollout, canaries(service, spec, slots)
    assert rollout is not None
    monitor_ms, until_ms = policy(service, spec).monitor_ms, place_until(rows)
    causes: dict[int, list[str]] = {}
    for row in rows:
        slot, is_new = row.task.slot, row.task.created_ms > rollout.after_ms
        if slot not in slots or row.task.version != service.version or not is_new:
            continue
        if row.task.id in until_ms and now_ms >= until_ms[row.task.id]:
            causes[slot] = [row.why] * FIRST_TRIES_MAX
        elif _ended_badly(row, spec, None if slot in first else monitor_ms):
            causes.setdefault(slot, []).append(row.why)
    tries = 1 if rollout.from_version else FIRST_TRIES_MAX
    return {slot: found[-1] for slot, found in causes.items() if len(found) >= tries}


def place_until(rows: Sequence[Seen]) -> dict[str, int]:
    """By id the tasks that have no node, and when they have failed for it (monotonic ms). One that waits for
    a task of its slot to leave has not begun to wait: it could not be placed before."""
    waiting = [row for row in rows if row.task.wanted and not row.task.node_id]
    begun_ms: dict[int, int] = {}
    for row in rows if waiting else ():
        if not row.task.wanted:
            left_ms = row.since_ms if row.state in ENDED else sys.maxsize
            begun_ms[row.task.slot] = max(left_ms, begun_ms.get(row.task.slot, 0))
    found = {row.task.id: max(row.since_ms, begun_ms.get(row.task.slot, 0)) for row in waiting}
    return {task_id: since_ms + PLACE_MS_MAX for task_id, since_ms in found.items() if since_ms < sys.maxsize}


def _ended_badly(row: Seen, spec: ServiceSpec, monitor_ms: int | None) -> bool:
    """Cases: could not be started; failed too early, or ended although it should go on. What nobody has
    found good yet (`monitor_ms` None: a canary) never ends late enough."""
    if row.state is TaskState.REJECTED:
        return True
    if monitor_ms is not None and row.ran_ms >= monitor_ms:
        return False
    if row.state is TaskState.COMPLETE:
        return restarts.wants_successor(spec.restart, row.state, ())
    return row.state is TaskState.FAILED


def deadline_ms(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    going: Headway,
    plain: Plain = NO_PLAIN,
) -> int | None:
    """When a rollout that gets no further has failed (monotonic ms); None while nothing presses: it waits for
    a user, has no deadline, goes on whatever fails, or is only watched. The delay between slots is apart."""
    rollout, rules = service.rollout, policy(service, spec)
    if rollout is None or rollout.state not in _ONWARD:
        return None
    if not rules.deadline_ms or rules.failure_action is FailureAction.CONTINUE:
        return None
    if not plain.unready and not any(_behind(service, spec, newest, slots, plain)):
        return None
    return going.since_ms + (rules.delay_ms if going.done else 0) + rules.deadline_ms


def _behind(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    plain: Plain = NO_PLAIN,
) -> Iterator[int]:
    """The slots that are not where they shall be now: all of them, or until promotion the canaries'. Failures
    that are put up with are left out, and `plain` slots."""
    chosen = canaries(service, spec, slots) or plain.others(slots)
    failed = service.rollout.failed if service.rollout else ()
    for slot in sorted(chosen):
        if slot not in failed and not is_there(newest.get(slot), service.version):
            yield slot


def stall(
    service: Service,
    spec: ServiceSpec,
    rows: Sequence[Seen],
    newest: Mapping[int, Seen],
    slots: Collection[int],
) -> str:
    """Why a rollout whose deadline has passed has failed: the first slot that holds it up, and how it is."""
    slot = next(_behind(service, spec, newest, slots))
    here = [row for row in rows if row.task.slot == slot]
    fresh = [row for row in here if row.task.version == service.version]
    limit = format_duration_ms(policy(service, spec).deadline_ms)
    why = (fresh or here)[-1].why if here else "there is no task yet"
    return f"no progress in {limit}: slot {slot}: {why}"
