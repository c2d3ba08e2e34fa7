"""The controller's state: what shall be (`controller.intent`), and beside it what is observed, in memory.

Records change only through `apply`; observations are written by the core as agents report, and go with the
record of what they are about. Nothing here decides, reads a clock or does I/O.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bayplan.directory import Entry, key_of
from bayplan.lifecycle import ENDED, ON_NODE, TaskState
from bayplan.model import Availability, NodeStatus, Resources, TaskStatus
from bayplan.views import Event
from controller.endpoints import Leaving, Watchers
from controller.intent import Intent
from controller.observations import Exposure, Headway, Life, SlotHistory
from controller.pending import PendingReasons
from controller.records import Node, Put, Record, ServiceVersion, Task
from controller.told import Statuses, Times

#: Instances of the registry that are kept made.
INSTANCES_KEPT_MAX = 50_000
#: Falls of a task that are kept, to see whether it flaps.
FALLS_KEPT_MAX = 10
#: Events kept for people.
EVENTS_KEPT_MAX = 1_000


class State(Intent):
    """All that the controller knows."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        super().__init__()
        #: What the controller was told at its start: set aside where a service declares nothing.
        self.default_reservation = Resources()
        #: What the controller was told at its start: how long a silent node counts on being heard.
        self.lease_ms = 0
        self.lives: dict[str, Life] = {}
        #: By number of a node in `tasks.table` whether it is within reach and keeps its tasks.
        self.steady: npt.NDArray[np.bool_] = np.zeros(64, bool)
        #: By number of a node whether clients are sent to what is on it.
        self._reached: npt.NDArray[np.bool_] = np.zeros(64, bool)
        #: By number of a node whether it is given up, or is no more.
        self._lost: npt.NDArray[np.bool_] = np.zeros(64, bool)
        #: Grows when a node is reached in another way.
        self.addresses_changed = 0
        #: Entries of services as they were made last, until something about them changes.
        self.shown: dict[str, tuple[Entry, ...]] = {}
        self._shown_count = 0
        #: Nodes that were sent a pulse, in the order of their last ones.
        self.pulsed: OrderedDict[str, None] = OrderedDict()
        #: When too many nodes were last silent together for any to be given up, monotonic ms.
        self.braked_ms: int | None = None
        #: When this process last went on after it had stood still, monotonic ms.
        self.resumed_ms: int | None = None
        #: When a node was last heard for the first time since the start, monotonic ms.
        self.came_ms = 0
        #: Grows when a session of a node is over, however it ended.
        self.sessions_ended = 0
        self.statuses = Statuses(self.tasks)
        self.since_ms = Times(self.tasks)
        #: How long a task that runs no more had been running, as far as this controller saw it.
        self.ran_ms: dict[str, int] = {}
        #: By service, then slot and version: a new version has a clean slate, what it replaces keeps its own.
        self.pasts: dict[str, dict[tuple[int, int], SlotHistory]] = {}
        self.exposures: dict[str, Exposure] = {}
        #: Keys of the listings that have changed since somebody looked; None while nobody does.
        self.touched: set[str] | None = None
        #: By task what was last known of it before the controller started, until its node is heard.
        self.remembered: dict[str, Entry] = {}
        #: When tasks that run fell from being ready lately, and until when those that flap are held back
        #: (monotonic ms).
        self.falls: dict[str, deque[int]] = {}
        self.damped: dict[str, int] = {}
        #: What the checks of outsiders said last, by the outsider's key.
        self.outputs: dict[str, str] = {}
        #: By service how its rollout gets on, as far as this controller saw it.
        self.headways: dict[str, Headway] = {}
        #: The newest revision of any exposure: a service that is removed and made anew does not go back.
        self.revision = 0
        self.pending_reasons = PendingReasons(self.tasks)
        #: Tasks that shall stop and serve until they are let go of, and those who let go.
        self.leaving: dict[str, Leaving] = {}
        self.watchers = Watchers()
        #: By network the places of virtual addresses that nobody gets yet, with until when (monotonic ms).
        self.resting_vips: dict[str, dict[int, int]] = {}
        #: When blocks of a network (first) that a node (second) does not use are looked at (monotonic ms).
        self.idle_blocks: dict[tuple[str, str], int] = {}
        #: `addresses_changed` as nodes were last told of each other's addresses.
        self.addresses_told = 0
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        for record in records:
            self.apply(Put(record=record))

    # --- what was seen goes with its record ---

    def _put_node(self, node: Node) -> None:
        before = self.nodes.get(node.id)
        self.addresses_changed += before is not None and _reached_at(before) != _reached_at(node)
        super()._put_node(node)
        self.lives.setdefault(node.id, Life())
        self.note_node(node.id)

    def _drop_node(self, node_id: str) -> None:
        super()._drop_node(node_id)
        self.note_node(node_id)
        self.tasks.table.forget_node(node_id)  # its number was needed until now
        self.lives.pop(node_id, None)

    def _drop_task(self, task_id: str) -> None:
        super()._drop_task(task_id)
        self.ran_ms.pop(task_id, None)
        self.leaving.pop(task_id, None)
        self.falls.pop(task_id, None)
        self.damped.pop(task_id, None)

    def _drop_service(self, service_id: str) -> None:
        service = self.services.get(service_id)
        if service is not None:
            self.touch(service.stack, service.short_name)
        super()._drop_service(service_id)
        self.exposures.pop(service_id, None)
        self.forget_shown(service_id)
        self.headways.pop(service_id, None)
        self.forget_failures(service_id)

    def _put_version(self, version: ServiceVersion) -> None:
        self.pending_reasons.forget_version(version.service_id, version.version)
        super()._put_version(version)

    def _drop_version(self, service_id: str, version: int) -> None:
        super()._drop_version(service_id, version)
        self.pending_reasons.forget_version(service_id, version)
        self.forget_failures(service_id, version)

    # --- tasks ---

    def status_of(self, task: Task) -> TaskStatus:
        """What is seen of a task; before its agent has spoken, what the controller itself knows."""
        seen = self.statuses.get(task.id)
        if seen is not None:
            return seen
        if task.end is not None:
            return task.end
        state = TaskState.ASSIGNED if task.node_id else TaskState.PENDING
        if task.completed:
            state = TaskState.COMPLETE
        return TaskStatus(task_id=task.id, state=state, since_ms=task.created_ms)

    def ended(self, task: Task) -> bool:
        """Whether the task will never run again."""
        return self.status_of(task).state in ENDED

    def holds_node(self, task: Task) -> bool:
        """Whether the task takes room on its node: it may be running there, or will."""
        return bool(task.node_id) and self.status_of(task).state in ON_NODE and not self.is_lost(task.node_id)

    # --- nodes ---

    def note_node(self, node_id: str) -> None:
        """A node's record, or what the scheduler asks of its life, has changed."""
        self.changed_nodes.add(node_id)
        self.touch("", "")
        number = self.tasks.table.nodes.number(node_id)
        self._grow_steady()
        node = self.nodes.get(node_id)
        drained = node is None or node.availability is Availability.DRAIN
        self.steady[number] = not drained and not self.is_down(node_id)
        unheard = node is None or self.lives[node_id].status is NodeStatus.UNKNOWN
        self._reached[number] = not unheard and not self.is_down(node_id)
        self._lost[number] = node is None or self.is_lost(node_id)

    def in_reach(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """To what is on which of these nodes (numbers of `tasks.table`) clients are sent."""
        self._grow_steady()
        return self._reached[numbers]

    def steadies(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which of these nodes (numbers of `tasks.table`) are within reach and keep their tasks."""
        self._grow_steady()
        return self.steady[numbers]

    def are_lost(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which of these nodes (numbers of `tasks.table`) are given up, as `is_lost`."""
        self._grow_steady()
        return self._lost[numbers]

    def _grow_steady(self) -> None:
        missing = len(self.tasks.table.nodes.names) - len(self.steady)
        if missing > 0:
            more = np.zeros(missing + 64, bool)
            self.steady = np.concatenate((self.steady, more))
            self._reached = np.concatenate((self._reached, more))
            self._lost = np.concatenate((self._lost, more))

    def is_down(self, node_id: str) -> bool:
        """Whether a node's lease has ended: nobody shall be sent to what is on it."""
        life = self.lives.get(node_id)
        return life is None or life.status is NodeStatus.DOWN

    def is_lost(self, node_id: str) -> bool:
        """Whether a node is given up: what is on it may be replaced, and takes no room."""
        life = self.lives.get(node_id)
        return life is None or life.lost

    # --- services ---

    def past_of(self, task: Task) -> SlotHistory:
        """What a task's slot has behind it at the task's version, made when first asked for."""
        pasts = self.pasts.setdefault(task.service_id, {})
        return pasts.setdefault((task.slot, task.version), SlotHistory())

    def forget_failures(self, service_id: str, version: int | None = None) -> None:
        """A clean slate for all slots of a service, at one version or all."""
        pasts = self.pasts.pop(service_id, {})
        kept = {key: past for key, past in pasts.items() if version not in (None, key[1])}
        if kept:
            self.pasts[service_id] = kept

    def exposure(self, service_id: str) -> Exposure:
        """What the registry shows of a service, made when first asked for."""
        return self.exposures.setdefault(service_id, Exposure())

    def note_fall(self, task_id: str, now_ms: int) -> deque[int]:
        """A task that runs is ready no more. Returns when it fell lately (monotonic ms)."""
        falls = self.falls.setdefault(task_id, deque(maxlen=FALLS_KEPT_MAX))
        falls.append(now_ms)
        return falls

    def touch(self, stack: str, service: str) -> None:
        """What is shown of a service has changed; without a name: of the nodes."""
        if self.touched is not None:
            self.touched.add(key_of(stack, service))

    def keep_shown(self, service_id: str, entries: tuple[Entry, ...]) -> None:
        """Keep what was made of a service for the next who asks."""
        if self._shown_count + len(entries) > INSTANCES_KEPT_MAX:
            self.shown.clear()
            self._shown_count = 0
        self.shown[service_id] = entries
        self._shown_count += len(entries)

    def forget_shown(self, service_id: str) -> None:
        """Something about a service's instances has changed."""
        self._shown_count -= len(self.shown.pop(service_id, ()))


def _reached_at(node: Node) -> tuple[str, str]:
    """How other nodes reach it: its address, and its key."""
    return node.address, node.inventory.tunnel_key
