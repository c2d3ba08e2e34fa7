"""What a service's tasks should become: which to make, to let run, to stop, to remove, to forget.

Slot by slot, from the whole set: the same input gives the same answer, and once it has been carried
out the answer is "nothing". Placement is not decided here, only that a task shall exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bayplan.model import Desired, ServiceSpec
from controller.decide import restarts, rollout, succession
from controller.decide.renewal import Lateness, Renewal, slots_to_renew, whenever
from controller.decide.rows import NEVER_RAN, NO_PLAIN, Decision, New, Plain, Row, SlotPast, away
from controller.decide.slots import NO_SLOTS, Slots
from controller.records import JOB_MODES, Service, Task

__all__ = ["HISTORY_PER_SLOT", "NEVER_RAN", "Decision", "New", "Row", "SlotPast", "reconcile"]

#: Ended tasks kept in a slot, with their containers and logs.
HISTORY_PER_SLOT = 4


def reconcile(
    service: Service,
    spec: ServiceSpec,
    slots: Slots,
    rows: list[Row],
    past: Mapping[tuple[int, int], SlotPast],
    now_ms: int,
    *,
    held: bool = False,
    fits: Callable[[Task], bool] = lambda task: False,
    plain: Plain = NO_PLAIN,
    lateness: Lateness = whenever,
) -> Decision:
    """What to do about a service. `rows` are all of its tasks but those in `plain` slots, oldest first within
    a slot; `past` is by slot and version.

    `held`: its version must wait for services that come first; what runs goes on and heals as it is.
    `fits`: whether a task of this spec fits on the node of a task, in its place. `lateness`: how late tasks
    shall give way that may do so in any order.
    """
    by_slot: dict[int, list[Row]] = {}
    for row in rows:
        by_slot.setdefault(row.task.slot, []).append(row)
    if spec.schedule is not None and not service.run:
        slots, plain = NO_SLOTS, NO_PLAIN  # its first run is not due yet
    renewal = Renewal()
    if not held and spec.schedule is None:
        newest = rollout.newest_wanted(_without_prepared(rows), slots.wanted)
        renewal = slots_to_renew(service, spec, newest, slots.wanted, now_ms, plain, lateness)
    decisions, fill = [Decision(wake_ms=_next_ms(rows, renewal, now_ms))], []
    canaries = rollout.canaries(service, spec, slots.wanted)
    others = plain.others(slots.wanted)
    if not (held or canaries or past or service.run or rollout.halted(service)):
        fill = [number for number in others if number not in by_slot]
        others = ()
    for number in sorted(by_slot.keys() | set(others)):
        mine = by_slot.get(number, [])
        if number in slots.idle:
            decisions.append(away([row for row in mine if row.task.wanted and row.overdue(now_ms)]))
            continue
        if number not in slots.wanted:
            decisions.append(_surplus(mine))
            continue
        stays = held or rollout.stays(service, canaries, number)
        version = _version(service, mine) if stays else service.version
        if not mine and version == service.version and not service.run and (number, version) not in past:
            fill.append(number)
            continue
        due = Due(number in renewal.slots, number in renewal.ahead, number in canaries)
        slot = _Slot(
            number, service, spec, version, mine, past.get((number, version), SlotPast()), due, now_ms, fits
        )
        if not slot.at_rest:
            decisions.append(slot.decide())
    return Decision.of(decisions)._replace(fill=tuple(fill))


def _without_prepared(rows: list[Row]) -> list[Row]:
    """The tasks without those that only wait for the place of one that serves."""
    serving = {row.task.slot for row in rows if row.ready}
    return [row for row in rows if not row.waits or row.task.slot not in serving]


def _next_ms(rows: list[Row], renewal: Renewal, now_ms: int) -> int | None:
    """When the answer changes though nothing happens: a delay between renewals or a deadline ends."""
    leaves = [row.leave_ms for row in rows if row.leave_ms is not None and row.leave_ms > now_ms]
    wakes = [renewal.wake_ms] if renewal.wake_ms is not None else []
    return min([*wakes, *leaves], default=None)


def _version(service: Service, rows: list[Row]) -> int:
    """The version at which a slot goes on while the service's own is held or halted: the new one if the
    slot got so far, else the one that is settled (0 for none: nothing may be made yet)."""
    versions = {row.task.version for row in rows if row.task.wanted} or {
        row.task.version for row in rows[-1:]
    }
    if service.version in versions:
        return service.version
    return service.settled or max(versions, default=0)


def _surplus(rows: list[Row]) -> Decision:
    """A slot that shall not be: everything in it goes. What a lost node has goes when it comes back."""
    drop = tuple(row.task.id for row in rows if not row.task.node_id or row.node_down)
    remove = tuple(row.task.id for row in rows if row.task.id not in drop and not row.task.removing)
    return Decision(drop=drop, remove=remove)


class Due(NamedTuple):
    """Whether a slot's task shall give way, or soon shall, and whether its successor is a canary."""

    now: bool = False
    soon: bool = False
    canary: bool = False


class _Slot(NamedTuple):
    """One slot that shall hold one running task, which is made at `version`."""

    number: int
    service: Service
    spec: ServiceSpec
    version: int
    rows: list[Row]
    past: SlotPast
    due: Due
    now_ms: int
    fits: Callable[[Task], bool]

    @property
    def at_rest(self) -> bool:
        """Whether it is as it shall be: the rule by far, and not worth a closer look."""
        if self.due.now or self.due.soon or len(self.rows) != 1:
            return False
        (row,) = self.rows
        if not self._counts(row) or row.waits or row.overdue(self.now_ms):
            return False
        return row.task.completed or not (row.ended or row.node_down)

    def decide(self) -> Decision:
        wanted = [row for row in self.rows if self._counts(row)]
        decision = self._tidy()
        if not wanted:
            return decision | self._fill(self.rows)
        if len(wanted) == 1:
            return decision | self._keep_or_replace(wanted[0])
        *elders, heir = wanted
        if any(self._gives_way(row, heir) for row in elders):
            return decision | self._settle_successor(elders, heir)
        return decision | self._settle_heir(elders, heir)

    def _counts(self, row: Row) -> bool:
        """Whether a task is what the slot shall hold; what earlier runs of a schedule left does not."""
        return row.task.wanted and row.task.run == self.service.run

    @staticmethod
    def _gives_way(row: Row, heir: Row) -> bool:
        """Whether a task would run on, had it not to make room for a new version or leave its node."""
        return not row.node_down and (row.displaced or row.task.version != heir.task.version)

    def _starts_first(self, rows: list[Row]) -> bool:
        """Whether the successor of these becomes ready before they stop; who only moves wherever he can."""
        if any(row.alone for row in rows):
            return False
        displaced = any(row.displaced for row in rows)
        moves = displaced and succession.apart(self.spec)
        return self.due.canary or moves or rollout.start_first(self.service, self.spec)

    # --- one task ---

    def _keep_or_replace(self, row: Row) -> Decision:
        """Cases: ended (a successor or not), on a lost node, too long on a node that it shall leave, to be
        renewed (waiting or running), made ready and now its turn, fine."""
        others = [each for each in self.rows if each is not row]
        if row.ended:
            successor = self.due.now or self._wants_successor(row)
            return Decision(stop=(row.task.id,)) | self._fill(others) if successor else Decision()
        if row.node_down:
            return self._fill(others)
        if row.overdue(self.now_ms):
            return away([row])
        if self.due.now:
            return self._renew(row, others)
        if self.due.soon and row.ready and not row.displaced and not self._starts_first([row]):
            return self._prepare(row, others) or Decision()
        if row.waits and not any(each.occupies for each in others):
            return Decision(run=(row.task.id,))
        return Decision()

    def _renew(self, row: Row, others: list[Row]) -> Decision:
        """Cases: it waits for a node itself; it is work that may be finished where it was begun; its heir
        starts beside it; its heir is prepared, on its node or where it shall go; it stops first, since it
        serves nobody or there is no room."""
        if not row.task.node_id:
            return away([row]) | self._fill(others)
        if self.spec.mode in JOB_MODES and row.task.version == self.version:
            return Decision()
        if not row.ready and not row.displaced:
            return away([row])
        if self._starts_first([row]):
            return self._fill(others)
        if row.displaced:
            return self._fill(others, Desired.READY)
        return self._prepare(row, others) or away([row])

    def _prepare(self, row: Row, others: list[Row]) -> Decision | None:
        """An heir in the place of a task that still serves; None when it does not fit there."""
        if not self.fits(row.task):
            return None
        return self._fill(others, Desired.READY, row.task.node_id)

    def _wants_successor(self, row: Row) -> bool:
        return not row.task.completed and restarts.wants_successor(
            self.spec.restart, row.state, self.past.ended_ms
        )

    def _fill(self, others: list[Row], desired: Desired = Desired.RUN, node_id: str = "") -> Decision:
        """A new task, once the one before has left its node and the delay has passed; none where the work
        of this version was done before it was left, and is gone back to."""
        done = any(self._did_work(row) for row in self.rows)
        if done or any(row.occupies for row in others) or not self.version:
            return Decision()
        if self.now_ms < self.past.not_before_ms:
            return Decision(wake_ms=self.past.not_before_ms)
        return Decision(create=(New(self.number, self.version, node_id, desired, self.service.run),))

    def _did_work(self, row: Row) -> bool:
        task = row.task
        return task.completed and (task.version, task.run) == (self.version, self.service.run)

    # --- a task and its heir ---

    def _settle_successor(self, elders: list[Row], heir: Row) -> Decision:
        """A successor beside a task that would run on: one of them goes.

        Cases: it is superseded, maybe by what ran before; out of reach, or the service halts before it
        began; it ended; it is ready; it is prepared, or its turn has come anyway; it is on its way, and
        only elders go that serve nobody or had their time.
        """
        if heir.task.version != self.version:
            back = any(self._is_better(row) for row in elders)
            return away([heir]) if back or not heir.ready else away(elders)
        begun = bool(heir.task.node_id) and not heir.waits
        if heir.node_down or (self._halts(elders, heir) and not begun):
            return away([heir])
        if heir.ended and not heir.task.completed and (heir.waits or self._wants_successor(heir)):
            return away([heir])
        if self.due.canary and not any(row.alone for row in elders):
            return self._keep_beside(elders, heir)
        if heir.ready or heir.task.completed or self._takes_over(elders, heir):
            return away(elders)
        if not heir.waits and not heir.ended and not self._starts_first(elders):
            return self._settle_heir(elders, heir)
        if self._gives_room(elders, heir):
            return away(elders)
        spent = [row for row in elders if row.ended or row.node_down or not row.task.node_id]
        return away(spent or [row for row in elders if row.overdue(self.now_ms)])

    def _takes_over(self, elders: list[Row], heir: Row) -> bool:
        """Whether a prepared heir gets its elders' place: at their turn, or where they serve nobody."""
        prepared = heir.waits and heir.prepared and not heir.ended
        return prepared and (self.due.now or not any(row.ready for row in elders))

    def _is_better(self, elder: Row) -> bool:
        """Whether a task is to be kept rather than an heir that is superseded: it is what is wanted now, or
        what was good before."""
        task = elder.task
        return task.version == self.version or (task.version == self.service.settled and elder.ready)

    def _keep_beside(self, elders: list[Row], heir: Row) -> Decision:
        """A canary, and the task of the old version that serves on beside it until the promotion, unless it
        is to leave its node."""
        if heir.ended:
            return away([heir])
        leaving = [row for row in elders if row.displaced and (heir.ready or row.overdue(self.now_ms))]
        return away(leaving or [row for row in elders if row.ended or row.node_down or not row.task.node_id])

    def _gives_room(self, elders: list[Row], heir: Row) -> bool:
        """Whether the elders stop first after all, since the heir finds no room beside them."""
        moves = any(row.displaced for row in elders)
        return not moves and rollout.gives_room(self.service, self.spec, heir, self.now_ms)

    def _halts(self, elders: list[Row], heir: Row) -> bool:
        """Whether the rollout that made the heir goes no further; one that is made for a move is not its."""
        rolls = any(row.task.version != heir.task.version and not row.displaced for row in elders)
        return rolls and self.service.rollout is not None and self.service.rollout.state in rollout.HALTED

    def _settle_heir(self, elders: list[Row], heir: Row) -> Decision:
        """A task and an heir that was made because its node went down, or because it should have moved.

        The heir wins once it has a node, unless the elder's work was done or it is back and serves. If it
        is back but does not, it is judged as if there had been no heir.
        """
        if any(row.task.completed or (row.ready and not heir.ready) for row in elders):
            return away([heir])
        if heir.task.node_id:
            return away(elders)
        if all(row.node_down and not row.ended for row in elders):
            return Decision()
        return Decision(drop=(heir.task.id,)) | self._keep_or_replace(elders[-1])

    # --- the past ---

    def _tidy(self) -> Decision:
        """Old history goes: beyond HISTORY_PER_SLOT, and whatever was on a node that is down; but not what
        tells that the work of this version is done, nor the slot's last end, by which its next task counts.
        What an earlier run left becomes history."""
        earlier = [row for row in self.rows if row.task.wanted and not self._counts(row)]
        past = [row for row in self.rows if not self._counts(row) and not self._did_work(row)]
        last = [row for row in self.rows[-1:] if row.ended and not row.task.removing]
        lost = [row for row in past if not row.task.node_id or (row.node_down and row not in last)]
        drop = tuple(row.task.id for row in lost)
        kept = [row for row in past if row.ended and not row.task.removing and row.task.id not in drop]
        surplus = kept[: max(0, len(kept) - HISTORY_PER_SLOT)]
        remove = tuple(row.task.id for row in surplus)
        gone = {*drop, *remove}
        stop = tuple(row.task.id for row in earlier if row.task.id not in gone)
        return Decision(stop=stop, drop=drop, remove=remove)
