"""What shall be: the records, which are durable, with their indexes.

Records change only through `apply`. What is seen of them is `controller.state`'s, which builds on this and
forgets what was seen together with its record. Nothing here decides, reads a clock or does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bayplan import ids
from bayplan.columns import unpack_ids
from bayplan.directory import key_of
from bayplan.lifecycle import ENDED
from bayplan.model import Desired, ServiceSpec
from controller.contents import Contents
from controller.networks import Networks
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
    Network,
    Node,
    Outsider,
    Override,
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

#: Services of which the list of tasks is kept, and how long such a list is at most.
SORTED_SERVICES_MAX, SORTED_TASKS_MAX = 1_000, 100


class Intent:
    """All records."""

    def __init__(self) -> None:
        self.cluster = Cluster(id="")
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
        #: Those who registered themselves, by stack, service and id.
        self.outsiders: dict[str, dict[str, dict[str, Outsider]]] = {}
        #: Operators' words, by the listing's key and the entry's id.
        self.overrides: dict[str, dict[str, Override]] = {}
        self.networks = Networks()
        self.tasks = Tasks()
        #: Grows whenever a service or a version of one is put: what was made of them may have changed.
        self.intents = 0
        #: Nodes that are not as the scheduler's fleet has them: another record, status or load.
        self.changed_nodes: set[str] = set()
        #: What `tasks_of` gives, until one of them changes: it is asked several times for each report.
        self._sorted: dict[str, list[Task]] = {}
        self._by_name: dict[str, str] = {}
        #: Ids of the services of each stack, also of those on their way out.
        self._by_stack: dict[str, set[str]] = {}
        #: The same by name, of the stacks that were asked for since they changed.
        self._in_order: dict[str, list[str]] = {}
        self._global: set[str] = set()
        #: Services that publish fixed ports.
        self._publishing: set[str] = set()
        self._versions: dict[str, set[int]] = {}
        #: Services by the full name of one that they depend on, and those names by service.
        self._dependents: dict[str, set[str]] = {}
        self._depends_on: dict[str, tuple[str, ...]] = {}
        #: Services by a name that one of their affinities may mean, and those names by service.
        self._near: dict[str, set[str]] = {}
        self._near_to: dict[str, tuple[str, ...]] = {}

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
                self._put_node(node)
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
            case Network() as network:
                self.networks.put(network)
            case _:
                self._put_instance(record)

    def _put_instance(self, record: Outsider | Override | Task) -> None:
        """Instances, and what is said of them."""
        match record:
            case Outsider() | Override() as said:
                self._put_said(said)
            case Task() as task:
                self._put_task(task)

    def _put_node(self, node: Node) -> None:
        self.nodes[node.id] = node

    def _put_service(self, service: Service) -> None:
        self.services[service.id] = service
        mine = self._by_stack.setdefault(service.stack, set())
        if service.id not in mine:
            mine.add(service.id)
            self._in_order.pop(service.stack, None)
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
        self._publishing.discard(service_id)
        if service is None or spec is None:
            return
        if any(port.published for port in spec.container.ports):
            self._publishing.add(service_id)
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
        before = self.tasks.get(task.id)
        if before is None or _takes(before) != _takes(task):
            self.changed_nodes.update((before.node_id if before else "", task.node_id))
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
            case "StackRevision":
                stack, _, revision = change.key.rpartition("/")
                self._drop_revision(stack, int(revision))
            case "File":
                self._drop_file(change.key)
            case "FileContent":
                self.contents.drop(change.key)
            case "Home":
                self._drop_home(*change.key.rpartition("/")[::2])
            case "Network":
                self.networks.drop(change.key)
            case "Outsider" | "Override":
                self._drop_said(change.kind, *change.key.split("/", 2))
            case "JoinToken" | "Quota" as kind:
                (self.tokens if kind == "JoinToken" else self.quotas).pop(change.key, None)
            case "Node":
                self._drop_node(change.key)
            case other:
                raise AssertionError(f"nothing drops a {other}")

    def _drop_node(self, node_id: str) -> None:
        self.nodes.pop(node_id, None)

    def _drop_task(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is not None:
            status = self.tasks.status(task_id)
            if status is None or status.state not in ENDED:
                self.changed_nodes.add(task.node_id)
            self.tasks.drop(task_id)
            self._sorted.pop(task.service_id, None)

    def _drop_service(self, service_id: str) -> None:
        service = self.services.pop(service_id, None)
        if service and self._by_name.get(service.name) == service_id:
            del self._by_name[service.name]
        if service is not None:
            self._leave_stack(service)
        self.tasks.table.forget_service(service_id)
        self._sorted.pop(service_id, None)
        self._index(service_id)

    def _leave_stack(self, service: Service) -> None:
        mine = self._by_stack[service.stack]
        mine.discard(service.id)
        self._in_order.pop(service.stack, None)
        if not mine:
            del self._by_stack[service.stack]

    def _put_version(self, version: ServiceVersion) -> None:
        self._forget_spec(version.service_id, version.version)
        self._versions.setdefault(version.service_id, set()).add(version.version)
        self.specs[version.service_id, version.version] = version.spec
        self.image_digests[version.service_id, version.version] = version.image_digest
        self.contents.refer(_mounted(version.spec), 1)
        self.networks.join(version.service_id, version.version, version.spec.container)

    def _drop_version(self, service_id: str, version: int) -> None:
        self._forget_spec(service_id, version)

    def _forget_spec(self, service_id: str, version: int) -> None:
        spec = self.specs.pop((service_id, version), None)
        versions = self._versions.get(service_id, set())
        versions.discard(version)
        if not versions:
            self._versions.pop(service_id, None)
        self.image_digests.pop((service_id, version), None)
        if spec is not None:
            self.contents.refer(_mounted(spec), -1)
            self.networks.leave(service_id, version)

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

    def _put_said(self, said: Outsider | Override) -> None:
        """What was said of an instance, by itself or by an operator."""
        if isinstance(said, Override):
            self.overrides.setdefault(key_of(said.stack, said.service), {})[said.id] = said
        else:
            services = self.outsiders.setdefault(said.registration.stack, {})
            services.setdefault(said.registration.service, {})[said.registration.id] = said

    def _drop_said(self, kind: str, stack: str, service: str, entry_id: str) -> None:
        key, services = key_of(stack, service), self.outsiders.get(stack, {})
        if kind == "Override":
            self.overrides.get(key, {}).pop(entry_id, None)
            if not self.overrides.get(key):
                self.overrides.pop(key, None)
            return
        services.get(service, {}).pop(entry_id, None)
        if not services.get(service):
            services.pop(service, None)
        if not services:
            self.outsiders.pop(stack, None)

    # --- questions ---

    def outsiders_of(self, stack: str, service: str) -> Mapping[str, Outsider]:
        """Those who registered themselves for a service, by id."""
        return self.outsiders.get(stack, {}).get(service, {})

    def service_named(self, name: str) -> Service | None:
        """The living service of this full name."""
        service_id = self._by_name.get(name)
        return self.services[service_id] if service_id else None

    def stack_names(self) -> list[str]:
        """The names of all stacks, sorted."""
        return sorted(self._by_stack)

    def stack(self, name: str, *, removed: bool = False) -> list[Service]:
        """A stack's services by name; with `removed` also those that are on their way out."""
        order = self._in_order.get(name)
        if order is None:
            mine = self._by_stack.get(name, ())
            order = sorted(mine, key=lambda service_id: (self.services[service_id].name, service_id))
            if mine:
                self._in_order[name] = order
        found = [self.services[service_id] for service_id in order]
        return [each for each in found if removed or not each.removed]

    def spec_of(self, service: Service) -> ServiceSpec:
        """The spec of the current version."""
        return self.specs[service.id, service.version]

    def tasks_of(self, service_id: str) -> list[Task]:
        """A service's tasks by slot, oldest first."""
        found = self._sorted.get(service_id)
        if found is None:
            found = self.tasks.of(self.tasks.table.of_service(service_id))
            if len(found) <= SORTED_TASKS_MAX:
                if len(self._sorted) >= SORTED_SERVICES_MAX:
                    self._sorted.clear()
                self._sorted[service_id] = found
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

    def publishing(self) -> list[Service]:
        """The services that shall be and publish fixed ports, by id."""
        return [self.services[service_id] for service_id in sorted(self._publishing)]

    def named_near(self, name: str) -> frozenset[str]:
        """The ids of the services one of whose affinities may mean the one of this full name."""
        return frozenset(self._near.get(name, ()))

    def dependents(self, name: str) -> frozenset[str]:
        """The ids of the services that depend on the one of this full name."""
        return frozenset(self._dependents.get(name, ()))

    def waiting(self) -> list[Task]:
        """Tasks without a node, by service, slot and age."""
        return self.tasks.of(self.tasks.waiting_rows())

    def next_ordinal(self) -> int:
        """The ordinal of a node that has none yet."""
        return 1 + max((each.ordinal for each in self.nodes.values()), default=0)

    def versions(self, service_id: str) -> list[int]:
        """The versions of a service that are known, ascending."""
        return sorted(self._versions.get(service_id, ()))

    def used_versions(self, service_id: str) -> set[int]:
        """Versions that a task still runs."""
        table = self.tasks.table
        versions = table.version[table.of_service(service_id)]
        if len(versions) and versions.min() == versions.max():
            return {int(versions[0])}
        return set(versions.tolist())

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
        yield from self.networks.values()
        for services in self.outsiders.values():
            for outsiders in services.values():
                yield from outsiders.values()
        for overrides in self.overrides.values():
            yield from overrides.values()


def _takes(task: Task) -> tuple[Any, ...]:
    """Of a task what room it takes, and where; what it takes does not change when it shall stop, but when it
    has."""
    return task.node_id, task.version, task.desired is Desired.READY, task.completed, task.end, task.goods


def _mounted(spec: ServiceSpec) -> tuple[str, ...]:
    return tuple(file.digest for file in spec.container.files)


def _kept(revision: StackRevision) -> tuple[str, ...]:
    mounting = (spec for spec in revision.spec.services if spec.container.files)
    return (*revision.digests.values(), *(digest for spec in mounting for digest in _mounted(spec)))
