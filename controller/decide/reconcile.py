"""What a service's tasks should become: which to make, to stop, to remove, to forget.

Slot by slot, from the whole set: the same input gives the same answer, and once it has been carried
out the answer is "nothing". Placement is not decided here, only that a task shall exist.
"""

from __future__ import annotations

from typing import NamedTuple

from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import ServiceSpec
from controller.decide import restarts, rollout
from controller.records import Service, Task

#: Ended tasks kept in a slot, with their containers and logs.
HISTORY_PER_SLOT = 4


class Row(NamedTuple):
    """A task, what is seen of it (since when, monotonic ms), and whether its node's lease has ended."""

    task: Task
    state: TaskState
    node_down: bool = False
    since_ms: int = 0

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


class Decision(NamedTuple):
    """Slots that get a new task; tasks to stop, to remove with all traces, to drop from the records.

    `wake_ms` is when to ask again though nothing has happened.
    """

    create: tuple[int, ...] = ()
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
    service: Service, spec: ServiceSpec, rows: list[Row], past: dict[int, SlotPast], now_ms: int
) -> Decision:
    """What to do about a service. `rows` are all of its tasks, oldest first within a slot."""
    by_slot: dict[int, list[Row]] = {}
    for row in rows:
        by_slot.setdefault(row.task.slot, []).append(row)
    wanted = 0 if service.removed else service.replicas
    renewal = rollout.slots_to_renew(service, spec, by_slot, wanted, now_ms)
    decision = Decision(wake_ms=renewal.wake_ms)
    for slot in sorted(set(by_slot) | set(range(1, wanted + 1))):
        mine = by_slot.get(slot, [])
        if slot > wanted:
            decision |= _surplus(mine)
        else:
            renew = slot in renewal.slots
            if renew or not _at_rest(mine):
                decision |= _Slot(slot, spec, mine, past.get(slot, SlotPast()), renew, now_ms).decide()
    return decision


def _at_rest(rows: list[Row]) -> bool:
    """Whether a slot is as it shall be: the rule by far, and not worth a closer look."""
    if len(rows) != 1:
        return False
    (row,) = rows
    return row.task.wanted and not row.ended and not row.node_down


def _surplus(rows: list[Row]) -> Decision:
    """A slot that shall not be: everything in it goes. What a lost node has goes when it comes back."""
    drop = tuple(row.task.id for row in rows if not row.task.node_id or row.node_down)
    remove = tuple(row.task.id for row in rows if row.task.id not in drop and not row.task.removing)
    return Decision(drop=drop, remove=remove)


class _Slot(NamedTuple):
    """One slot that shall hold one running task."""

    number: int
    spec: ServiceSpec
    rows: list[Row]
    past: SlotPast
    renew: bool
    now_ms: int

    def decide(self) -> Decision:
        wanted = [row for row in self.rows if row.task.wanted]
        if not wanted:
            return self._tidy() | self._fill(self.rows)
        if len(wanted) > 1:
            return self._tidy() | self._settle_heir(wanted)
        return self._tidy() | self._keep_or_replace(wanted[0])

    def _keep_or_replace(self, row: Row) -> Decision:
        """Cases: ended (a successor or not), on a lost node, outdated (waiting or running), fine."""
        others = [each for each in self.rows if each is not row]
        gives_way = Decision(stop=(row.task.id,))
        if row.ended:
            successor = self.renew or restarts.wants_successor(
                self.spec.restart, row.state, list(self.past.ended_ms), self.now_ms
            )
            return gives_way | self._fill(others) if successor else Decision()
        if row.node_down:
            return self._fill(others)
        if self.renew and not row.task.node_id:
            return Decision(drop=(row.task.id,)) | self._fill(others)
        return gives_way if self.renew else Decision()

    def _fill(self, others: list[Row]) -> Decision:
        """A new task, once the one before has left its node and the delay has passed."""
        if any(row.occupies for row in others):
            return Decision()
        if self.now_ms < self.past.not_before_ms:
            return Decision(wake_ms=self.past.not_before_ms)
        return Decision(create=(self.number,))

    def _settle_heir(self, wanted: list[Row]) -> Decision:
        """Two wanted tasks: one on a node that went down, and its heir, which may have no node yet.

        The heir wins once it has a node. If the elder's node comes back before that, the elder is judged
        as if there had been no heir.
        """
        *elders, heir = wanted
        if heir.task.node_id:
            return Decision(
                drop=tuple(row.task.id for row in elders if row.node_down),
                stop=tuple(row.task.id for row in elders if not row.node_down),
            )
        if all(row.node_down and not row.ended for row in elders):
            return Decision()
        return Decision(drop=(heir.task.id,)) | self._keep_or_replace(elders[-1])

    def _tidy(self) -> Decision:
        """Old history goes: beyond HISTORY_PER_SLOT, and whatever was on a node that is down."""
        past = [row for row in self.rows if not row.task.wanted]
        drop = tuple(row.task.id for row in past if row.node_down or not row.task.node_id)
        kept = [row for row in past if row.ended and not row.task.removing and row.task.id not in drop]
        surplus = kept[: max(0, len(kept) - HISTORY_PER_SLOT)]
        return Decision(drop=drop, remove=tuple(row.task.id for row in surplus))
