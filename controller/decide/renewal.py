"""Which slots get a new task though theirs could go on: outdated ones, canaries, and displaced ones.

Gated: at most `parallelism` slots are away from ready at a time, so that a version that does not come up
stops the rollout by itself and the rest goes on serving. Pure; how one slot changes over is not its concern.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from bayplan.model import ServiceSpec
from controller.decide.rollout import HALTED, Seen, canaries, policy, start_first
from controller.decide.rows import NO_PLAIN, Plain
from controller.records import JOB_MODES, Service, Task

#: How late each of some tasks shall give way, of those that may do so in any order (a number for each).
Lateness = Callable[[Sequence[Task]], Sequence[int]]


def whenever(tasks: Sequence[Task]) -> Sequence[int]:
    """All alike."""
    return [0] * len(tasks)


class Renewal(NamedTuple):
    """The slots whose task shall give way now, when to ask again (monotonic ms), and the slots that come
    next, whose successors may be prepared meanwhile."""

    slots: frozenset[int] = frozenset()
    wake_ms: int | None = None
    ahead: frozenset[int] = frozenset()


def slots_to_renew(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    now_ms: int,
    plain: Plain = NO_PLAIN,
    lateness: Lateness = whenever,
) -> Renewal:
    """The slots to renew. `newest` is by slot the newest task that shall run, but for `plain` slots; `slots`
    those to be filled.

    Canaries take nothing away, so they come all at once; until they are promoted no other slot is outdated.
    The tasks of a job do not depend on each other: all at once, too; one that is displaced may finish.
    """
    first = canaries(service, spec, slots)
    halts = service.rollout is not None and service.rollout.state in HALTED
    outdated = [] if halts else [row for row in newest.values() if row.task.version != service.version]
    if spec.mode in JOB_MODES:
        return Renewal(frozenset(row.task.slot for row in outdated))
    beside = frozenset(row.task.slot for row in outdated if row.task.slot in first)
    giving_way = [row for row in newest.values() if row.displaced and row.task.slot not in beside]
    if not first:
        giving_way += [row for row in outdated if not row.displaced]
    if not giving_way:
        return Renewal(beside)
    others = set(plain.others(slots)) - first
    gated = _gated(service, spec, newest, others, giving_way, now_ms, plain, lateness)
    return gated._replace(slots=beside | gated.slots)


def _gated(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    giving_way: list[Seen],
    now_ms: int,
    plain: Plain,
    lateness: Lateness,
) -> Renewal:
    """The lowest slots first, those that failed already last. `slots` are without the `plain` ones.

    Tasks that are not ready cost nothing and go first; ready ones follow as long as fewer than
    `parallelism` (0 is all) slots are not ready, failures that are put up with apart, and the delay since
    the last one has passed. Where heirs start first, `lateness` says which of the ready ones are next.
    """
    rules, failed = policy(service, spec), service.rollout.failed if service.rollout else ()
    giving_way.sort(key=lambda row: (row.task.slot in failed, row.task.slot))
    parallelism = rules.parallelism or len(newest.keys() | set(slots)) + plain.total
    broken = [row.task.slot for row in giving_way if not row.ready][:parallelism]
    ready = [row for row in newest.values() if row.ready]
    fresh = [row.since_ms for row in ready if row.task.version == service.version and not row.displaced]
    fresh += [plain.ready_since_ms] if plain.ready else []
    due_ms = max(fresh) + rules.delay_ms if fresh and rules.delay_ms else 0
    serving = [row.task.slot for row in giving_way if row.ready]
    if now_ms < due_ms:
        return Renewal(frozenset(broken), due_ms, frozenset(serving[:parallelism]))
    away = plain.unready + len(set(slots) - set(failed) - {row.task.slot for row in ready})
    free = max(0, parallelism - away)
    if 0 < free < len(serving) and start_first(service, spec):
        serves = [row.task for row in giving_way if row.ready]
        late = dict(zip(serving, lateness(serves), strict=True))
        serving.sort(key=lambda slot: (slot in failed, late[slot]))
    ahead = frozenset(serving[free : free + parallelism])
    return Renewal(frozenset(broken + serving[:free]), ahead=ahead)
