"""What the controller keeps durably: the users' intent and its own assignments.

Observations (task status, node life) are not here: agents tell them again after a restart.
A record is stored whole under its kind and key; a change is a Put or a Drop.
"""

from __future__ import annotations

from bayplan.directory.registrar import Registration
from bayplan.model import (
    Availability,
    Desired,
    FileKind,
    Good,
    Inventory,
    Model,
    NetworkSpec,
    Resources,
    ServiceMode,
    ServiceSpec,
    StackSpec,
    TaskStatus,
)
from bayplan.views import RolloutState

#: Modes with one task on each fit node.
GLOBAL_MODES = frozenset({ServiceMode.GLOBAL, ServiceMode.GLOBAL_JOB})
#: Modes whose tasks shall end.
JOB_MODES = frozenset({ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB})


class Cluster(Model, frozen=True, kw_only=True, tag=True):
    """The cluster itself; `epoch` grows with each start of a controller."""

    id: str
    epoch: int = 0

    @property
    def key(self) -> str:
        return "cluster"


class Node(Model, frozen=True, kw_only=True, tag=True):
    """A machine that joined. `key_id` is the hash of the key it joined with: joining twice is one node.

    `ordinal` (from 1) is its slot in every global service. `drain_until_ms` (Unix ms, 0: never) is when a
    drain gives up waiting for heirs.
    """

    id: str
    name: str
    key_id: str = ""
    address: str = ""
    labels: dict[str, str] = {}
    availability: Availability = Availability.ACTIVE
    inventory: Inventory = Inventory()
    joined_ms: int = 0
    ordinal: int = 0
    drain_until_ms: int = 0

    @property
    def key(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.availability.value}>"


class JoinToken(Model, frozen=True, kw_only=True, tag=True):
    """A token by the hash of its secret; the secret itself is never kept. Times are Unix ms."""

    id: str
    secret_hash: str
    expires_ms: int
    uses_left: int

    @property
    def key(self) -> str:
        return self.id


class Rollout(Model, frozen=True, kw_only=True):
    """How a service goes from one version to another: `version` is the one that the user asked for.

    `failed` are the slots in which a new task failed; only tasks made after `after_ms` (`created_ms`)
    count. `reason` says why it does not go on. `promoted`: its canaries were found good.
    """

    version: int
    from_version: int
    state: RolloutState = RolloutState.ROLLING
    failed: tuple[int, ...] = ()
    reason: str = ""
    after_ms: int = 0
    promoted: bool = False


class Service(Model, frozen=True, kw_only=True, tag=True):
    """A service as it shall be. `name` is <stack>_<service>; `removed` stays until its last task is gone.

    `settled` is the last version that all slots were seen to run well (0: none yet): what a rollback
    goes back to. `rollout` is the way to `version` from there, until that is settled as well.
    `previous` is the version that was settled before (0: none): what an undo goes back to once the rollout
    is done. `run` counts the runs of a scheduled job, the last of which was due at `fired_ms` (Unix ms).
    """

    id: str
    name: str
    stack: str
    version: int
    replicas: int
    updated_ms: int = 0
    removed: bool = False
    settled: int = 0
    rollout: Rollout | None = None
    previous: int = 0
    run: int = 0
    fired_ms: int = 0

    @property
    def key(self) -> str:
        return self.id

    @property
    def short_name(self) -> str:
        """The name within its stack."""
        return self.name.removeprefix(f"{self.stack}_")

    @property
    def asked_version(self) -> int:
        """The version that the user asked for, which is not the current one when that failed."""
        return self.rollout.version if self.rollout else self.version

    @property
    def next_version(self) -> int:
        """The number of a new version: numbers are not given twice, also when the service went back."""
        return 1 + max(self.version, self.asked_version)

    def __repr__(self) -> str:
        return f"<Service {self.name} v{self.version} x{self.replicas}{' removed' if self.removed else ''}>"


class ServiceVersion(Model, frozen=True, kw_only=True, tag=True):
    """One version of a service's spec, kept while a task runs it or it is the current one.

    `image_digest` is what its image's name meant on the nodes that were asked; empty where they differ.
    """

    service_id: str
    version: int
    spec: ServiceSpec
    image_digest: str = ""

    @property
    def key(self) -> str:
        return f"{self.service_id}/{self.version}"


class StackRevision(Model, frozen=True, kw_only=True, tag=True):
    """A stack as it was after a change; one without services says that the stack was removed.

    `spec` has no contents; `digests` says which each of its own files had, by `kind/name`.
    """

    stack: str
    revision: int
    spec: StackSpec
    cause: str
    time_ms: int
    digests: dict[str, str] = {}

    @property
    def key(self) -> str:
        return f"{self.stack}/{self.revision}"

    def __repr__(self) -> str:
        return f"<StackRevision {self.stack} {self.revision} {self.cause}>"


class File(Model, frozen=True, kw_only=True, tag=True):
    """A config or secret by its name; `stack` is empty for one that was made by name."""

    kind: FileKind
    name: str
    digest: str
    version: int
    size_bytes: int
    stack: str = ""
    labels: dict[str, str] = {}
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def key(self) -> str:
        return f"{self.kind.value}/{self.name}"

    def __repr__(self) -> str:
        return f"<File {self.key} v{self.version} of {self.stack or 'nobody'}>"


class FileContent(Model, frozen=True, kw_only=True, tag=True):
    """A content by its keyed digest, kept while a file, a version of a service or a revision refers to it."""

    digest: str
    content: bytes

    @property
    def key(self) -> str:
        return self.digest

    def __repr__(self) -> str:
        return f"<FileContent {self.digest[:12]}>"


class Task(Model, frozen=True, kw_only=True, tag=True):
    """One container, once. `node_id` is empty while it waits; `removing`: no trace of it shall stay.

    `completed`: it did its work and is never to run again, whatever its node forgets. `end`: how it ended,
    if that was its own doing. `failures` and `past_ms` are what its slot had behind it when it was made:
    failures in a row, and ends (Unix ms) for the window of the restart policy; `past_ms` has its own end too
    once there is one. `displaced`: a rebalance wants it elsewhere. `run`: which run of a scheduled job it
    belongs to. `goods` are those of its node's named goods that are its own.
    """

    id: str
    service_id: str
    slot: int
    version: int
    node_id: str = ""
    desired: Desired = Desired.RUN
    removing: bool = False
    created_ms: int = 0
    completed: bool = False
    end: TaskStatus | None = None
    failures: int = 0
    past_ms: tuple[int, ...] = ()
    displaced: bool = False
    run: int = 0
    goods: tuple[Good, ...] = ()

    @property
    def key(self) -> str:
        return self.id

    @property
    def wanted(self) -> bool:
        """Whether it shall run, now or as soon as the task before it has gone."""
        return self.desired is not Desired.STOP and not self.removing

    @property
    def leaving(self) -> bool:
        """Whether it shall end: it neither runs nor is made ready to."""
        return not self.wanted

    def __repr__(self) -> str:
        wish = "remove" if self.removing else self.desired.value
        place = self.node_id or "-"
        return f"<Task {self.id} {self.service_id}.{self.slot} v{self.version} {wish} on {place}>"


class Quota(Model, frozen=True, kw_only=True, tag=True):
    """What the services of a stack may set aside together, in all replicas; an amount of 0 is no limit.

    It may be there before its stack is, and outlives it.
    """

    stack: str
    limit: Resources = Resources()
    tasks: int = 0

    @property
    def key(self) -> str:
        return self.stack


class Home(Model, frozen=True, kw_only=True, tag=True):
    """A named volume that has data on a node: `task` (<service>.<slot>) was the last to be sent there.

    `since_ms` (Unix ms) is when. It outlives its stack, as the volume does; it goes with its node.
    """

    volume: str
    node_id: str
    task: str
    since_ms: int

    @property
    def key(self) -> str:
        return f"{self.volume}/{self.node_id}"


class Network(Model, frozen=True, kw_only=True, tag=True):
    """A network that spans nodes; one that was made by hand has no `stack`.

    `subnet` in CIDR form. `blocks`: which of the subnet's blocks each node has (`bayplan.addressing`), by the
    node's id; virtual addresses are out of those of nobody (""). `vips`: the place of a service's virtual
    address in the subnet, by the service's id.
    """

    id: str
    name: str
    vni: int
    subnet: str
    stack: str = ""
    spec: NetworkSpec = NetworkSpec()
    blocks: dict[str, tuple[int, ...]] = {}
    vips: dict[str, int] = {}
    created_ms: int = 0

    @property
    def key(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Network {self.name} {self.subnet} of {self.stack or 'nobody'}>"


class Outsider(Model, frozen=True, kw_only=True, tag=True):
    """An instance that is no task's, as it was registered or last renewed; when its lease ends is kept in
    memory. `by` is the id of the node through which it came, empty for an admin. Times are Unix ms."""

    registration: Registration
    by: str = ""
    since_ms: int = 0

    @property
    def key(self) -> str:
        return entry_key(self.registration.stack, self.registration.service, self.registration.id)

    def __repr__(self) -> str:
        return f"<Outsider {self.key} at {self.registration.address}:{self.registration.port}>"


class Override(Model, frozen=True, kw_only=True, tag=True):
    """An operator's word about an instance, a task's or an outsider's, which wins over its health."""

    stack: str
    service: str
    id: str
    drain: bool = False
    weight: int | None = None

    @property
    def key(self) -> str:
        return entry_key(self.stack, self.service, self.id)


def entry_key(stack: str, service: str, entry_id: str) -> str:
    """The key of what is kept about one instance; an id may have slashes of its own."""
    return f"{stack}/{service}/{entry_id}"


Record = (
    Cluster
    | Node
    | JoinToken
    | Service
    | ServiceVersion
    | Task
    | StackRevision
    | File
    | FileContent
    | Quota
    | Home
    | Network
    | Outsider
    | Override
)


class Put(Model, frozen=True, kw_only=True, tag=True):
    """Keep this record in place of the one with its kind and key."""

    record: Record


class Drop(Model, frozen=True, kw_only=True, tag=True):
    """Keep no record of this kind (the struct's name) and key."""

    kind: str
    key: str


class PutTasks(Model, frozen=True, kw_only=True, tag=True):
    """Keep these tasks, of which there is no more to tell than stands in columns, little endian.

    `ids`: their ids' numbers, 8 bytes each. `service_of`, `node_of`: places in `services` and `nodes`, 4
    each, -1 for no node. `slots`, `versions`: 4. `created_ms`: 8. `desired`, `flags`: 1 (`task_columns`).
    """

    services: tuple[str, ...]
    nodes: tuple[str, ...]
    ids: bytes
    service_of: bytes
    node_of: bytes
    slots: bytes
    versions: bytes
    created_ms: bytes
    desired: bytes
    flags: bytes

    def __repr__(self) -> str:
        return f"<PutTasks {len(self.ids) // 8}>"


class DropTasks(Model, frozen=True, kw_only=True, tag=True):
    """Keep no task whose id has one of these numbers (8 bytes each, little endian)."""

    ids: bytes

    def __repr__(self) -> str:
        return f"<DropTasks {len(self.ids) // 8}>"


Change = Put | Drop | PutTasks | DropTasks


def drop(record: Record) -> Drop:
    """The change that forgets a record."""
    return Drop(kind=type(record).__name__, key=record.key)
