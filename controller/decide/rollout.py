"""Which slots take the new version next.

Stop-first and gated: at most `parallelism` slots are away from ready at a time, so that a version
that does not come up stops the rollout by itself and the rest goes on serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from bayplan.model import ServiceSpec
from controller.records import Service, Task


class Seen(Protocol):
    """What is asked of a task here."""

    @property
    def task(self) -> Task: ...
    @property
    def ready(self) -> bool: ...
    @property
    def since_ms(self) -> int: ...


class Renewal(NamedTuple):
    """The slots whose outdated task shall give way now, and when to ask again."""

    slots: frozenset[int] = frozenset()
    wake_ms: int | None = None


def slots_to_renew(
    service: Service, spec: ServiceSpec, by_slot: Mapping[int, Sequence[Seen]], wanted: int, now_ms: int
) -> Renewal:
    """The slots to renew, the lowest first.

    Outdated ones that are not ready cost nothing and go first; ready ones follow as long as fewer
    than `parallelism` (0 is all) slots are not ready and the delay since the last one has passed.
    """
    current = [row for slot in range(1, wanted + 1) if (row := _newest(by_slot.get(slot, ())))]
    outdated = [row for row in current if row.task.version != service.version]
    if not outdated:
        return Renewal()
    parallelism = spec.update.parallelism or wanted
    broken = [row.task.slot for row in outdated if not row.ready][:parallelism]
    fresh = [row.since_ms for row in current if row.ready and row.task.version == service.version]
    due_ms = max(fresh) + spec.update.delay_ms if fresh and spec.update.delay_ms else 0
    if now_ms < due_ms:
        return Renewal(frozenset(broken), due_ms)
    budget = max(0, parallelism - (wanted - sum(row.ready for row in current)))
    serving = [row.task.slot for row in outdated if row.ready][:budget]
    return Renewal(frozenset(broken + serving))


def _newest(rows: Sequence[Seen]) -> Seen | None:
    return next((row for row in reversed(rows) if row.task.wanted), None)
