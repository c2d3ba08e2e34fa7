"""What a service's tasks should become: which to make, to stop, to remove, to forget.

Slot by slot, from the whole set: the same input gives the same answer, and once it has been carried
out the answer is "nothing". Placement is not decided here, only that a task shall exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import ServiceSpec
from controller.decide import restarts, rollout
from controller.decide.slots import Slots
from controller.records import Service, Task

#: Ended tasks kept in a slot, with their containers and logs.
HISTORY_PER_SLOT = 4
#: How long a task ran that never did: less than any monitor time.
NEVER_RAN = -1


class Row(NamedTuple):
    """A task, what is seen of it (since when, monotonic ms), whether its node's lease has ended, how
    long it ran before it ended, and why it ended or waits."""

    task: Task
    state: TaskState
    node_down: bool = False
    since_ms: int = 0
    ran_ms: int = NEVER_RAN
    why: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def occupies(self) -> bool:
        """Whether its container may be running where the controller can know about it."""
        return bool(self.task.node_id) and not self.ended and not self.node_down

    @property
    def ready(self) -> bool:
        return self.state is TaskState.RUNNING and self.task.wanted and not self.node_down


class SlotPast(NamedTuple):
    """A slot's ends so far (monotonic ms), and the earliest time for a successor."""

    ended_ms: tuple[int, ...] = ()
    not_before_ms: int = 0


class New(NamedTuple):
    """A task to be made."""

    slot: int
    version: int


class Decision(NamedTuple):
    """Tasks to make, to stop, to remove with all traces, to drop from the records.

    `wake_ms` is when to ask again though nothing has happened.
    """

    create: tuple[New, ...] = ()
    stop: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    wake_ms: int | None = None

    def __or__(self, other: Decision) -> Decision:
        wakes = [each for each in (self.wake_ms, other.wake_ms) if each is not None]
        return Decision(
            self.create + other.create,
            self.stop + other.stop,
            self.remove + other.remove,
            self.drop + other.drop,
            min(wakes, default=None),
        )


def reconcile(
    service: Service,
    spec: ServiceSpec,
    slots: Slots,
    rows: list[Row],
    past: Mapping[int, SlotPast],
    now_ms: int,
    *,
    held: bool = False,
) -> Decision:
    """What to do about a service. `rows` are all of its tasks, oldest first within a slot.

    `held`: its version must wait for services that come first; what runs goes on and heals as it is.
    """
    by_slot: dict[int, list[Row]] = {}
    for row in rows:
        by_slot.setdefault(row.task.slot, []).append(row)
    renewal = rollout.Renewal()
    if not held:
        newest = rollout.newest_wanted(rows, slots.wanted)
        renewal = rollout.slots_to_renew(service, spec, newest, slots.wanted, now_ms)
    decision = Decision(wake_ms=renewal.wake_ms)
    stays = held or rollout.halted(service)
    for slot in sorted((by_slot.keys() | slots.wanted.keys()) - slots.idle):
        mine = by_slot.get(slot, [])
        if slot not in slots.wanted:
            decision |= _surplus(mine)
        elif (renew := slot in renewal.slots) or not _at_rest(mine):
            version = _version(service, mine) if stays else service.version
            going = _Slot(slot, service, spec, version, mine, past.get(slot, SlotPast()), renew, now_ms)
            decision |= going.decide()
    return decision


def _version(service: Service, rows: list[Row]) -> int:
    """The version at which a slot goes on while the service's own is held or halted: the new one if the
    slot got so far, else the one that is settled (0 for none: nothing may be made yet)."""
    versions = {row.task.version for row in rows if row.task.wanted} or {
        row.task.version for row in rows[-1:]
    }
    if service.version in versions:
        return service.version
    return service.settled or max(versions, default=0)


def _at_rest(rows: list[Row]) -> bool:
    """Whether a slot is as it shall be: the rule by far, and not worth a closer look."""
    if len(rows) != 1:
        return False
    (row,) = rows
    return row.task.wanted and (row.task.completed or not (row.ended or row.node_down))


def _surplus(rows: list[Row]) -> Decision:
    """A slot that shall not be: everything in it goes. What a lost node has goes when it comes back."""
    drop = tuple(row.task.id for row in rows if not row.task.node_id or row.node_down)
    remove = tuple(row.task.id for row in rows if row.task.id not in drop and not row.task.removing)
    return Decision(drop=drop, remove=remove)


class _Slot(NamedTuple):
    """One slot that shall hold one running task, which is made at `version`."""

    number: int
    service: Service
    spec: ServiceSpec
    version: int
    rows: list[Row]
    past: SlotPast
    renew: bool
    now_ms: int

    @property
    def start_first(self) -> bool:
        """Whether a successor is made, and becomes ready, before the task that it replaces stops."""
        return rollout.start_first(self.service, self.spec)

    def decide(self) -> Decision:
        wanted = [row for row in self.rows if row.task.wanted]
        if not wanted:
            return self._tidy() | self._fill(self.rows)
        if len(wanted) == 1:
            return self._tidy() | self._keep_or_replace(wanted[0])
        *elders, heir = wanted
        if any(not row.node_down and row.task.version != heir.task.version for row in elders):
            return self._tidy() | self._settle_successor(elders, heir)
        return self._tidy() | self._settle_heir(wanted)

    def _keep_or_replace(self, row: Row) -> Decision:
        """Cases: ended (a successor or not), on a lost node, outdated (waiting or running), fine."""
        others = [each for each in self.rows if each is not row]
        gives_way = Decision(stop=(row.task.id,))
        if row.ended:
            successor = self.renew or self._wants_successor(row)
            return gives_way | self._fill(others) if successor else Decision()
        if row.node_down:
            return self._fill(others)
        if self.renew and not row.task.node_id:
            return Decision(drop=(row.task.id,)) | self._fill(others)
        if self.renew and row.ready and self.start_first:
            return self._fill(others)
        return gives_way if self.renew else Decision()

    def _wants_successor(self, row: Row) -> bool:
        return not row.task.completed and restarts.wants_successor(
            self.spec.restart, row.state, self.past.ended_ms
        )

    def _fill(self, others: list[Row]) -> Decision:
        """A new task, once the one before has left its node and the delay has passed; none where the work
        of this version was done before it was left, and is gone back to."""
        done = any(row.task.completed and row.task.version == self.version for row in self.rows)
        if done or any(row.occupies for row in others) or not self.version:
            return Decision()
        if self.now_ms < self.past.not_before_ms:
            return Decision(wake_ms=self.past.not_before_ms)
        return Decision(create=(New(self.number, self.version),))

    def _settle_successor(self, elders: list[Row], heir: Row) -> Decision:
        """A successor of another version beside a task that runs: one of them goes.

        Cases: it is superseded, maybe by what ran before; out of reach, or the service halts before it
        found a node; it failed; it is ready, or its work is done; nobody waits for it; it is on its way.
        """
        halts = self.service.rollout is not None and self.service.rollout.state in rollout.HALTED
        if heir.task.version != self.service.version:
            back = any(row.task.version == self.service.version for row in elders)
            return _away([heir]) if back or not heir.ready else _away(elders)
        if heir.node_down or (halts and not heir.task.node_id):
            return _away([heir])
        if heir.ended and self._wants_successor(heir):
            return _away([heir])
        if heir.ready or heir.ended:
            return _away(elders)
        if not self.start_first:
            return self._settle_heir([*elders, heir])
        return _away([row for row in elders if row.ended or row.node_down or not row.task.node_id])

    def _settle_heir(self, wanted: list[Row]) -> Decision:
        """Two wanted tasks: one on a node that went down, and its heir, which may have no node yet.

        The heir wins once it has a node, unless the elder's work was done. If the elder's node comes back
        before that, the elder is judged as if there had been no heir.
        """
        *elders, heir = wanted
        if any(row.task.completed for row in elders):
            return _away([heir])
        if heir.task.node_id:
            return _away(elders)
        if all(row.node_down and not row.ended for row in elders):
            return Decision()
        return Decision(drop=(heir.task.id,)) | self._keep_or_replace(elders[-1])

    def _tidy(self) -> Decision:
        """Old history goes: beyond HISTORY_PER_SLOT, and whatever was on a node that is down; but not what
        tells that the work of this version is done."""
        done = [row for row in self.rows if row.task.completed and row.task.version == self.version]
        past = [row for row in self.rows if not row.task.wanted and row not in done]
        drop = tuple(row.task.id for row in past if row.node_down or not row.task.node_id)
        kept = [row for row in past if row.ended and not row.task.removing and row.task.id not in drop]
        surplus = kept[: max(0, len(kept) - HISTORY_PER_SLOT)]
        return Decision(drop=drop, remove=tuple(row.task.id for row in surplus))


def _away(rows: list[Row]) -> Decision:
    """These shall go: stopped where they may run, forgotten where they never did or are out of reach."""
    drop = tuple(row.task.id for row in rows if row.node_down or not row.task.node_id)
    return Decision(drop=drop, stop=tuple(row.task.id for row in rows if row.task.id not in drop))
