"""What a rollout means for its service's slots: the policy in force, canaries, who goes first, who stays.

A rollout leads from the version that is settled to another. What can be read off the tasks is not kept;
the service's record says only what cannot: its state, the slots that failed, whether it was promoted.
Knows neither how it goes on (`progress`) nor which slot is next (`renewal`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from bayplan.lifecycle import TaskState
from bayplan.model import ServiceSpec, UpdateOrder, UpdatePolicy
from bayplan.views import RolloutState
from controller.decide import succession
from controller.decide.rows import NO_PLAIN, Plain
from controller.records import JOB_MODES, Service, Task

#: A successor that finds no room beside the task that it replaces: after this long that one stops first, if
#: nobody asked for another order. Longer than a node that comes and goes is away.
ROOM_MS_MAX = 3_000

#: States in which no further slot takes the new version.
HALTED = frozenset({RolloutState.PAUSED, RolloutState.ROLLBACK_PAUSED})
#: States on the way to the version before, and at its end.
BACK = frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLBACK_PAUSED, RolloutState.ROLLED_BACK})


class Seen(Protocol):
    """What is asked of a task here."""

    @property
    def task(self) -> Task: ...
    @property
    def state(self) -> TaskState: ...
    @property
    def ready(self) -> bool: ...
    @property
    def displaced(self) -> bool: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def ran_ms(self) -> int: ...
    @property
    def why(self) -> str: ...


def newest_wanted(rows: Sequence[Seen], slots: Collection[int]) -> dict[int, Seen]:
    """By slot the newest task that shall run."""
    return {row.task.slot: row for row in rows if row.task.wanted and row.task.slot in slots}


def policy(service: Service, spec: ServiceSpec) -> UpdatePolicy:
    """The policy in force: on the way back it is that for rollbacks."""
    return spec.rollback if service.rollout and service.rollout.state in BACK else spec.update


def order(service: Service, spec: ServiceSpec) -> succession.Order:
    """Whether a successor starts first, and why."""
    return succession.resolve(policy(service, spec), spec)


def start_first(service: Service, spec: ServiceSpec) -> bool:
    """Whether a successor is made, and becomes ready, before the task that it replaces stops."""
    return order(service, spec).order is UpdateOrder.START_FIRST


def canaries(service: Service, spec: ServiceSpec, slots: Collection[int]) -> frozenset[int]:
    """The slots in which the new version runs beside the old one until it is promoted: the first ones. As
    many as there are slots is blue/green. Empty once promoted, on the way back, and with nothing before."""
    rollout = service.rollout
    if rollout is None or rollout.version != service.version or not rollout.from_version:
        return frozenset()
    if (
        not spec.update.canaries
        or rollout.promoted
        or rollout.state in BACK
        or spec.mode in JOB_MODES
        or spec.fence
    ):
        return frozenset()
    return frozenset(sorted(slots)[: spec.update.canaries])


def halted(service: Service) -> bool:
    """Whether the slots that do not run the service's version shall stay at that from which it came."""
    rollout = service.rollout
    return rollout is not None and rollout.state is RolloutState.PAUSED and bool(rollout.from_version)


def stays(service: Service, among: Collection[int], slot: int) -> bool:
    """Whether a slot heals at the version that it has: it is not its turn. `among` are the canaries."""
    return halted(service) or (bool(among) and slot not in among)


def gives_room(service: Service, spec: ServiceSpec, heir: Seen, now_ms: int) -> bool:
    """Whether a task shall stop because its successor, which would rather have started first, finds no room
    beside it."""
    if heir.task.node_id or policy(service, spec).order is not UpdateOrder.AUTO:
        return False
    return now_ms - heir.since_ms >= ROOM_MS_MAX


def is_there(row: Seen | None, version: int) -> bool:
    """Whether a slot's newest task is one of this version that is ready, or has done its work."""
    return row is not None and row.task.version == version and (row.ready or row.task.completed)


def told(
    service: Service,
    spec: ServiceSpec,
    newest: Mapping[int, Seen],
    slots: Collection[int],
    plain: Plain = NO_PLAIN,
) -> str:
    """How a rollout goes, in words; empty when there is none, or tasks only start for the first time.
    `newest` are those of the slots that are not `plain`, of which no canary is one."""
    rollout = service.rollout
    if rollout is None:
        return ""
    ready = {slot for slot, row in newest.items() if row.ready and row.task.version == service.version}
    done = f"{plain.ready + len(ready)}/{len(slots)}"
    match rollout.state:
        case RolloutState.ROLLING:
            first = canaries(service, spec, slots)
            among = f" (canaries {len(ready & first)}/{len(first)})" if first else ""
            return f"rolling {done}{among}" if rollout.from_version else ""
        case RolloutState.ROLLING_BACK:
            return f"rolling back to version {service.version} {done}: {rollout.reason}"
        case RolloutState.ROLLED_BACK:
            return f"rolled back to version {service.version}: {rollout.reason}"
        case waiting:
            return f"{waiting.value}: {rollout.reason}"
