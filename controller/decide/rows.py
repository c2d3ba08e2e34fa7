"""What reconciling looks at and what it answers: tasks as they are seen, and what shall be done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from bayplan.lifecycle import ALIVE, ENDED, TaskState
from bayplan.model import Desired
from controller.records import Task

#: How long a task ran that never did: less than any monitor time.
NEVER_RAN = -1


class Row(NamedTuple):
    """A task, what is seen of it (since when, monotonic ms), whether its node's lease has ended, how
    long it ran before it ended, and why it ended or waits.

    `prepared`: its container is made. `displaced`: it shall run on another node, and from `leave_ms`
    (monotonic; None: never) on not any more on its own, whatever has become of its heir. `silent`: its node
    is out of reach, which alone is no reason to replace it. `alone`: by its own version's spec no other task
    of its slot may run beside it, whatever the next version allows.
    """

    task: Task
    state: TaskState
    node_down: bool = False
    since_ms: int = 0
    ran_ms: int = NEVER_RAN
    why: str = ""
    prepared: bool = False
    displaced: bool = False
    leave_ms: int | None = None
    silent: bool = False
    alone: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waits(self) -> bool:
        """Whether it is not to run before its elder has gone."""
        return self.task.desired is Desired.READY

    @property
    def occupies(self) -> bool:
        """Whether its container may be running where the controller can know about it."""
        told = not self.waits or self.state in ALIVE
        return told and bool(self.task.node_id) and not self.ended and not self.node_down

    @property
    def ready(self) -> bool:
        away = self.node_down or self.silent
        return self.state is TaskState.RUNNING and self.task.wanted and not away

    def overdue(self, now_ms: int) -> bool:
        """Whether it has had its time to be replaced where it is not to stay."""
        return self.leave_ms is not None and now_ms >= self.leave_ms and not self.ended


class Plain(NamedTuple):
    """Slots that hold one task each, in which nothing is to be decided: counted, not looked at one by one.

    Such a task is of the service's version and run, shall run, has not ended and is not to leave its node,
    which is within reach. `total`: how many; `ready` of them, the last of them since `ready_since_ms`.
    `waiting_since_ms`: since when one has been without a node (the longest; None: none is), monotonic.
    `newest_ms`: when the newest was made (`created_ms`). `rest`: the other slots that shall be filled,
    ascending, of those without any task the first ones; None: nothing is counted here.
    """

    total: int = 0
    ready: int = 0
    ready_since_ms: int = 0
    waiting_since_ms: int | None = None
    newest_ms: int = 0
    rest: tuple[int, ...] | None = None

    @property
    def unready(self) -> int:
        return self.total - self.ready

    def others(self, slots: Collection[int]) -> Iterable[int]:
        """Those of the slots that shall be filled which are not counted here, ascending."""
        return sorted(slots) if self.rest is None else self.rest


#: Every slot is looked at by itself.
NO_PLAIN = Plain()


class SlotPast(NamedTuple):
    """A slot's ends so far (monotonic ms), and the earliest time for a successor."""

    ended_ms: tuple[int, ...] = ()
    not_before_ms: int = 0


class New(NamedTuple):
    """A task to be made, on a given node or (empty) on any; READY where its elder still runs."""

    slot: int
    version: int
    node_id: str = ""
    desired: Desired = Desired.RUN
    run: int = 0


class Decision(NamedTuple):
    """Tasks to make, to let run, to stop, to remove with all traces, to drop from the records.

    `fill` are slots that get a plain new task of the service's version, on any node or that which they are
    bound to. `wake_ms` is when to ask again though nothing has happened.
    """

    create: tuple[New, ...] = ()
    run: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    fill: tuple[int, ...] = ()
    wake_ms: int | None = None

    def __or__(self, other: Decision) -> Decision:
        return Decision.of((self, other))

    @staticmethod
    def of(parts: Sequence[Decision]) -> Decision:
        """Several as one."""
        parts = [each for each in parts if each != _NOTHING]
        if len(parts) < 2:
            return parts[0] if parts else _NOTHING
        wakes = [each.wake_ms for each in parts if each.wake_ms is not None]
        return Decision(
            tuple(new for each in parts for new in each.create),
            tuple(task_id for each in parts for task_id in each.run),
            tuple(task_id for each in parts for task_id in each.stop),
            tuple(task_id for each in parts for task_id in each.remove),
            tuple(task_id for each in parts for task_id in each.drop),
            tuple(slot for each in parts for slot in each.fill),
            min(wakes, default=None),
        )


_NOTHING = Decision()


def away(rows: list[Row]) -> Decision:
    """These shall go: stopped where they may run, forgotten where they never did or are out of reach,
    removed where they were only made ready to."""
    drop = tuple(row.task.id for row in rows if row.node_down or not row.task.node_id)
    there = [row for row in rows if row.task.id not in drop]
    unused = {row.task.id for row in there if row.waits and not row.ended}
    stop = tuple(row.task.id for row in there if row.task.id not in unused)
    return Decision(drop=drop, stop=stop, remove=tuple(sorted(unused)))
