"""The controller's state: records (durable) and observations (in memory), with their indexes.

Records change only through `apply`; observations are written by the core as agents report. Nothing
here decides, reads a clock or does I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from bayplan import ids
from bayplan.columns import unpack_ids
from bayplan.lifecycle import ENDED, ON_NODE, TaskState
from bayplan.model import Availability, Instance, NodeStatus, Resources, ServiceSpec, TaskStatus
from bayplan.views import Event
from controller.contents import Contents
from controller.endpoints import Leaving, Watchers
from controller.observations import Exposure, Headway, Life, SlotHistory
from controller.pending import PendingReasons
from controller.records import (
    GLOBAL_MODES,
    Change,
    Cluster,
    Drop,
    DropTasks,
    File,
    FileContent,
    Home,
    JoinToken,
    Node,
    Put,
    PutTasks,
    Quota,
    Record,
    Service,
    ServiceVersion,
    StackRevision,
    Task,
)
from controller.tasks import Tasks
from controller.told import Statuses, Times

#: Instances of the registry that are kept made.
INSTANCES_KEPT_MAX = 50_000
#: Events kept for people.
EVENTS_KEPT_MAX = 1_000


class State:
    """All that the controller knows."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.cluster = Cluster(id="")
        #: What the controller was told at its start: set aside where a service declares nothing.
        self.default_reservation = Resources()
        #: What the controller was told at its start: how long a silent node counts on being heard.
        self.lease_ms = 0
        self.nodes: dict[str, Node] = {}
        self.tokens: dict[str, JoinToken] = {}
        self.services: dict[str, Service] = {}
        self.specs: dict[tuple[str, int], ServiceSpec] = {}
        #: What the image's name of a version meant when it was deployed.
        self.image_digests: dict[tuple[str, int], str] = {}
        self.history: dict[str, dict[int, StackRevision]] = {}
        self.files: dict[str, File] = {}
        self.contents = Contents()
        self.quotas: dict[str, Quota] = {}
        #: Where a volume has data, by its name and the node's id.
        self.homes: dict[str, dict[str, Home]] = {}
        self.tasks = Tasks()
        #: Grows whenever a service or a version of one is put: what was made of them may have changed.
        self.intents = 0
        self.lives: dict[str, Life] = {}
        #: By number of a node in `tasks.table` whether it is within reach and keeps its tasks.
        self.steady: npt.NDArray[np.bool_] = np.zeros(64, bool)
        #: By number of a node whether clients are sent to what is on it.
        self._reached: npt.NDArray[np.bool_] = np.zeros(64, bool)
        #: Grows when a node gets another address.
        self.addresses_changed = 0
        #: Instances of services as they were made last, until something about them changes.
        self.shown: dict[str, tuple[Instance, ...]] = {}
        self._shown_count = 0
        #: Nodes that are not as the scheduler's fleet has them: another record, status or load.
        self.changed_nodes: set[str] = set()
        #: When too many nodes were last silent together for any to be given up, monotonic ms.
        self.braked_ms: int | None = None
        #: When this process last went on after it had stood still, monotonic ms.
        self.resumed_ms: int | None = None
        #: When a node was last heard for the first time since the start, monotonic ms.
        self.came_ms = 0
        self.statuses = Statuses(self.tasks)
        self.since_ms = Times(self.tasks)
        #: How long a task that runs no more had been running, as far as this controller saw it.
        self.ran_ms: dict[str, int] = {}
        #: By service, then slot and version: a new version has a clean slate, what it replaces keeps its own.
        self.pasts: dict[str, dict[tuple[int, int], SlotHistory]] = {}
        self.exposures: dict[str, Exposure] = {}
        #: By service how its rollout gets on, as far as this controller saw it.
        self.headways: dict[str, Headway] = {}
        #: The newest revision of any exposure: a service that is removed and made anew does not go back.
        self.revision = 0
        self.pending_reasons = PendingReasons(self.tasks)
        #: Tasks that shall stop and serve until they are let go of, and those who let go.
        self.leaving: dict[str, Leaving] = {}
        self.watchers = Watchers()
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        #: What `tasks_of` gives, until one of them changes: it is asked several times for each report.
        self._sorted: dict[str, list[Task]] = {}
        self._by_name: dict[str, str] = {}
        self._global: set[str] = set()
        self._versions: dict[str, set[int]] = {}
        #: Services by the full name of one that they depend on, and those names by service.
        self._dependents: dict[str, set[str]] = {}
        self._depends_on: dict[str, tuple[str, ...]] = {}
        #: Services by a name that one of their affinities may mean, and those names by service.
        self._near: dict[str, set[str]] = {}
        self._near_to: dict[str, tuple[str, ...]] = {}
        for record in records:
            self.apply(Put(record=record))

    # --- records ---

    def apply(self, change: Change) -> None:
        """Take over one change; the only way in which records change."""
        match change:
            case Put(record=record):
                self._put(record)
            case Drop():
                self._drop(change)
            case PutTasks(services=services):
                self.tasks.put_many(change)
                for service_id in services:
                    self.forget_sorted(service_id)
            case DropTasks(ids=numbers):
                for task_id in ids.encode(unpack_ids(numbers)):
                    self._drop_task(task_id)

    def _put(self, record: Record) -> None:
        match record:
            case Cluster() as cluster:
                self.cluster = cluster
            case Node() as node:
                before = self.nodes.get(node.id)
                self.addresses_changed += before is not None and before.address != node.address
                self.nodes[node.id] = node
                self.lives.setdefault(node.id, Life())
                self.note_node(node.id)
            case JoinToken() as token:
                self.tokens[token.id] = token
            case Service() as service:
                self._put_service(service)
            case ServiceVersion() as version:
                self._put_version(version)
                self._index(version.service_id)
            case StackRevision() as revision:
                self._put_revision(revision)
            case File() as file:
                self._drop_file(file.key)
                self.files[file.key] = file
                self.contents.refer((file.digest,), 1)
            case FileContent() as content:
                self.contents.put(content)
            case Quota() as quota:
                self.quotas[quota.stack] = quota
            case Home() as home:
                self.homes.setdefault(home.volume, {})[home.node_id] = home
            case Task() as task:
                self._put_task(task)

    def _put_service(self, service: Service) -> None:
        self.services[service.id] = service
        if not service.removed:
            self._by_name[service.name] = service.id
        elif self._by_name.get(service.name) == service.id:
            del self._by_name[service.name]
        self._index(service.id)

    def _index(self, service_id: str) -> None:
        """Renew what is found by the current spec of a service; records come in any order."""
        self.intents += 1
        service = self.services.get(service_id)
        spec = self.specs.get((service_id, service.version)) if service and not service.removed else None
        for name in self._depends_on.pop(service_id, ()):
            self._dependents[name].discard(service_id)
            if not self._dependents[name]:
                del self._dependents[name]
        for name in self._near_to.pop(service_id, ()):
            self._near[name].discard(service_id)
            if not self._near[name]:
                del self._near[name]
        self._global.discard(service_id)
        if service is None or spec is None:
            return
        if spec.mode in GLOBAL_MODES:
            self._global.add(service_id)
        names = tuple(f"{service.stack}_{each.service}" for each in spec.depends_on)
        if names:
            self._depends_on[service_id] = names
        for name in names:
            self._dependents.setdefault(name, set()).add(service_id)
        near = [each.service for each in spec.affinities]
        meant = {*near, *(f"{service.stack}_{name}" for name in near)}
        if meant:
            self._near_to[service_id] = tuple(meant)
        for name in meant:
            self._near.setdefault(name, set()).add(service_id)

    def _put_task(self, task: Task) -> None:
        table = self.tasks.table
        row = table.row(task.id)
        if row >= 0 and table.node[row] >= 0:
            self.changed_nodes.add(table.nodes.names[table.node[row]])
        self.changed_nodes.add(task.node_id)
        self.tasks.put(task)
        self._sorted.pop(task.service_id, None)

    def _drop(self, change: Drop) -> None:
        match change.kind:
            case "Task":
                self._drop_task(change.key)
            case "Service":
                self._drop_service(change.key)
            case "ServiceVersion":
                service_id, _, version = change.key.rpartition("/")
                self._drop_version(service_id, int(version))
                self.forget_failures(service_id, int(version))
            case "StackRevision":
                stack, _, revision = change.key.rpartition("/")
                self._drop_revision(stack, int(revision))
            case "File":
                self._drop_file(change.key)
            case "FileContent":
                self.contents.drop(change.key)
            case "Quota":
                self.quotas.pop(change.key, None)
            case "Home":
                self._drop_home(*change.key.rpartition("/")[::2])
            case "JoinToken":
                self.tokens.pop(change.key, None)
            case "Node":
                self.nodes.pop(change.key, None)
                self.note_node(change.key)
                self.tasks.table.forget_node(change.key)
                self.lives.pop(change.key, None)
            case other:
                raise AssertionError(f"nothing drops a {other}")

    def _drop_task(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None:
            return
        self.changed_nodes.add(task.node_id)
        self.tasks.drop(task_id)
        self._sorted.pop(task.service_id, None)
        self.ran_ms.pop(task_id, None)
        self.leaving.pop(task_id, None)

    def _drop_service(self, service_id: str) -> None:
        service = self.services.pop(service_id, None)
        if service and self._by_name.get(service.name) == service_id:
            del self._by_name[service.name]
        self.tasks.table.forget_service(service_id)
        self._sorted.pop(service_id, None)
        self.exposures.pop(service_id, None)
        self.forget_shown(service_id)
        self.headways.pop(service_id, None)
        self.forget_failures(service_id)
        self._index(service_id)

    def _put_version(self, version: ServiceVersion) -> None:
        self._drop_version(version.service_id, version.version)
        self._versions.setdefault(version.service_id, set()).add(version.version)
        self.specs[version.service_id, version.version] = version.spec
        self.image_digests[version.service_id, version.version] = version.image_digest
        self.contents.refer(_mounted(version.spec), 1)

    def _drop_version(self, service_id: str, version: int) -> None:
        self.pending_reasons.forget_version(service_id, version)
        spec = self.specs.pop((service_id, version), None)
        versions = self._versions.get(service_id, set())
        versions.discard(version)
        if not versions:
            self._versions.pop(service_id, None)
        self.image_digests.pop((service_id, version), None)
        if spec is not None:
            self.contents.refer(_mounted(spec), -1)

    def _put_revision(self, revision: StackRevision) -> None:
        self._drop_revision(revision.stack, revision.revision)
        self.history.setdefault(revision.stack, {})[revision.revision] = revision
        self.contents.refer(_kept(revision), 1)

    def _drop_revision(self, stack: str, number: int) -> None:
        revision = self.history.get(stack, {}).pop(number, None)
        if revision is None:
            return
        self.contents.refer(_kept(revision), -1)
        if not self.history[stack]:
            del self.history[stack]

    def _drop_file(self, key: str) -> None:
        file = self.files.pop(key, None)
        if file is not None:
            self.contents.refer((file.digest,), -1)

    def _drop_home(self, volume: str, node_id: str) -> None:
        homes = self.homes.get(volume, {})
        homes.pop(node_id, None)
        if not homes:
            self.homes.pop(volume, None)

    # --- questions ---

    def service_named(self, name: str) -> Service | None:
        """The living service of this full name."""
        service_id = self._by_name.get(name)
        return self.services[service_id] if service_id else None

    def stack(self, name: str, *, removed: bool = False) -> list[Service]:
        """A stack's services by name; with `removed` also those that are on their way out."""
        found = [s for s in self.services.values() if s.stack == name and (removed or not s.removed)]
        return sorted(found, key=lambda service: (service.name, service.id))

    def spec_of(self, service: Service) -> ServiceSpec:
        """The spec of the current version."""
        return self.specs[service.id, service.version]

    def tasks_of(self, service_id: str) -> list[Task]:
        """A service's tasks by slot, oldest first."""
        found = self._sorted.get(service_id)
        if found is None:
            found = self._sorted[service_id] = self.tasks.of(self.tasks.table.of_service(service_id))
        return list(found)

    def forget_sorted(self, service_id: str) -> None:
        """A service's tasks were changed in `tasks` itself."""
        self._sorted.pop(service_id, None)

    def tasks_by_slot(self, service_id: str) -> dict[int, list[Task]]:
        """A service's tasks by slot, oldest first: for whoever looks at several slots."""
        found: dict[int, list[Task]] = {}
        for task in self.tasks_of(service_id):
            found.setdefault(task.slot, []).append(task)
        return found

    def tasks_on(self, node_id: str) -> list[Task]:
        """A node's tasks by id."""
        return self.tasks.of(self.tasks.table.on_node(node_id))

    def global_services(self) -> frozenset[str]:
        """The ids of the services that have a task on each fit node."""
        return frozenset(self._global)

    def named_near(self, name: str) -> frozenset[str]:
        """The ids of the services one of whose affinities may mean the one of this full name."""
        return frozenset(self._near.get(name, ()))

    def dependents(self, name: str) -> frozenset[str]:
        """The ids of the services that depend on the one of this full name."""
        return frozenset(self._dependents.get(name, ()))

    def waiting(self) -> list[Task]:
        """Tasks without a node, by service, slot and age."""
        return self.tasks.of(self.tasks.waiting_rows())

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

    def note_node(self, node_id: str) -> None:
        """A node's record, or what the scheduler asks of its life, has changed."""
        self.changed_nodes.add(node_id)
        number = self.tasks.table.nodes.number(node_id)
        self._grow_steady()
        node = self.nodes.get(node_id)
        drained = node is None or node.availability is Availability.DRAIN
        self.steady[number] = not drained and not self.is_down(node_id)
        unheard = node is None or self.lives[node_id].status is NodeStatus.UNKNOWN
        self._reached[number] = not unheard and not self.is_down(node_id)

    def in_reach(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """To what is on which of these nodes (numbers of `tasks.table`) clients are sent."""
        self._grow_steady()
        return self._reached[numbers]

    def steadies(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which of these nodes (numbers of `tasks.table`) are within reach and keep their tasks."""
        self._grow_steady()
        return self.steady[numbers]

    def _grow_steady(self) -> None:
        missing = len(self.tasks.table.nodes.names) - len(self.steady)
        if missing > 0:
            more = np.zeros(missing + 64, bool)
            self.steady = np.concatenate((self.steady, more))
            self._reached = np.concatenate((self._reached, more))

    def is_down(self, node_id: str) -> bool:
        """Whether a node's lease has ended: nobody shall be sent to what is on it."""
        life = self.lives.get(node_id)
        return life is None or life.status is NodeStatus.DOWN

    def is_lost(self, node_id: str) -> bool:
        """Whether a node is given up: what is on it may be replaced, and takes no room."""
        life = self.lives.get(node_id)
        return life is None or life.lost

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

    def keep_shown(self, service_id: str, instances: tuple[Instance, ...]) -> None:
        """Keep what was made of a service for the next who asks."""
        if self._shown_count + len(instances) > INSTANCES_KEPT_MAX:
            self.shown.clear()
            self._shown_count = 0
        self.shown[service_id] = instances
        self._shown_count += len(instances)

    def forget_shown(self, service_id: str) -> None:
        """Something about a service's instances has changed."""
        self._shown_count -= len(self.shown.pop(service_id, ()))

    def next_ordinal(self) -> int:
        """The ordinal of a node that has none yet."""
        return 1 + max((each.ordinal for each in self.nodes.values()), default=0)

    def versions(self, service_id: str) -> list[int]:
        """The versions of a service that are known, ascending."""
        return sorted(self._versions.get(service_id, ()))

    def used_versions(self, service_id: str) -> set[int]:
        """Versions that a task still runs."""
        table = self.tasks.table
        return set(table.version[table.of_service(service_id)].tolist())

    def records(self) -> Iterator[Record]:
        """Every record, as the store should hold it."""
        yield self.cluster
        yield from self.nodes.values()
        yield from self.tokens.values()
        yield from self.services.values()
        for (service_id, version), spec in self.specs.items():
            digest = self.image_digests[service_id, version]
            yield ServiceVersion(service_id=service_id, version=version, spec=spec, image_digest=digest)
        yield from self.tasks.values()
        for revisions in self.history.values():
            yield from revisions.values()
        yield from self.files.values()
        yield from self.contents.records()
        yield from self.quotas.values()
        for homes in self.homes.values():
            yield from homes.values()


def _mounted(spec: ServiceSpec) -> tuple[str, ...]:
    return tuple(file.digest for file in spec.container.files)


def _kept(revision: StackRevision) -> tuple[str, ...]:
    mounted = (digest for spec in revision.spec.services for digest in _mounted(spec))
    return (*revision.digests.values(), *mounted)
