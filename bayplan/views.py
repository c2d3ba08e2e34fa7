"""What the controller shows: rows for lists and screens, derived and never stored.

Every struct has a message of the same name and fields in protos/bayplan/v1, as in `model`.
"""

from __future__ import annotations

from enum import StrEnum

from bayplan.errors import Problem
from bayplan.model import (
    Availability,
    Desired,
    FileKind,
    Inventory,
    Model,
    NetworkSpec,
    NodeCondition,
    NodeStatus,
    PortSpec,
    Resources,
    ServiceMode,
    TaskStatus,
    UpdatePolicy,
)


class Origin(StrEnum):
    """Where an amount of a reservation comes from."""

    NONE = "none"
    EXPLICIT = "explicit"
    LIMIT = "limit"
    DEFAULT = "default"


class Reservation(Model, frozen=True, kw_only=True):
    """What a task sets aside on its node, and why so much."""

    resources: Resources = Resources()
    cpu_origin: Origin = Origin.NONE
    memory_origin: Origin = Origin.NONE


class ServiceView(Model, frozen=True, kw_only=True):
    """A service with its numbers: wanted, running, ready, ready and of the current version.

    `completed` counts the tasks of a job that did their work. `waits_for` says which dependency holds
    it back; `rollout` how its rollout goes, in words; `next_run_ms` when a scheduled job runs next.
    """

    id: str
    name: str
    stack: str
    mode: ServiceMode = ServiceMode.REPLICATED
    desired: int = 0
    running: int = 0
    ready: int = 0
    current: int = 0
    image: str = ""
    ports: tuple[PortSpec, ...] = ()
    version: int = 0
    removed: bool = False
    revision: int = 0
    updated_ms: int = 0
    completed: int = 0
    waits_for: str = ""
    rollout: str = ""
    reservation: Reservation = Reservation()
    next_run_ms: int = 0


class TaskView(Model, frozen=True, kw_only=True):
    """A task with its node's name and, while it waits, the reasons."""

    id: str
    service: str
    slot: int
    version: int
    image: str
    desired: Desired
    status: TaskStatus
    node: str = ""
    pending_reasons: tuple[str, ...] = ()
    created_ms: int = 0
    place: str = ""
    stale: bool = False
    node_address: str = ""
    goods: dict[str, str] = {}


class NodeView(Model, frozen=True, kw_only=True):
    """A node with what is reserved on it; `silent_ms` is -1 when it was never heard.

    `engine_silent_ms`: how long its engine has not answered. `held`: why its tasks are not moved though it is
    down. `shaky_ms`: how long it still takes tasks only where no other can, because it came and went.
    `condition`: what is the matter with it, as it said last.
    """

    id: str
    name: str
    status: NodeStatus
    availability: Availability
    address: str = ""
    labels: dict[str, str] = {}
    inventory: Inventory = Inventory()
    reserved: Resources = Resources()
    tasks: int = 0
    silent_ms: int = -1
    joined_ms: int = 0
    engine_silent_ms: int = 0
    held: str = ""
    drain_until_ms: int = 0
    shaky_ms: int = 0
    condition: NodeCondition = NodeCondition()


class StackView(Model, frozen=True, kw_only=True):
    """A stack with the sums over its services."""

    name: str
    services: int = 0
    desired: int = 0
    ready: int = 0
    revision: int = 0


class QuotaView(Model, frozen=True, kw_only=True):
    """What a stack may set aside (an amount of 0: no limit), and what all its tasks together do."""

    stack: str
    limit: Resources = Resources()
    tasks: int = 0
    used: Resources = Resources()
    used_tasks: int = 0


class Event(Model, frozen=True, kw_only=True):
    """Something that happened, for people; `index` grows by one within an epoch."""

    index: int
    time_ms: int
    kind: str
    subject: str
    text: str


class RegistryEntry(Model, frozen=True, kw_only=True):
    """A service in the registry's list."""

    stack: str
    service: str
    ready: int = 0
    total: int = 0
    revision: int = 0


class ServiceAction(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    SCALE = "scale"
    SAME = "same"
    REMOVE = "remove"


class ServiceChange(Model, frozen=True, kw_only=True):
    """What a deploy does to one service (its full name), and the version after it."""

    service: str
    action: ServiceAction
    version: int


class FieldChange(Model, frozen=True, kw_only=True):
    """A field of a spec that changes, by its path (`container.image`); the values as text, secrets hidden.

    `before` is empty for what is added, `after` for what is taken away.
    """

    path: str
    before: str = ""
    after: str = ""


class PlannedTask(Model, frozen=True, kw_only=True):
    """Where a new task would go and why; `node` is empty when it fits nowhere, `reasons` then say why."""

    name: str
    node: str = ""
    reasons: tuple[str, ...] = ()


class NodeShare(Model, frozen=True, kw_only=True):
    """How many new tasks of a service a node would get."""

    node: str
    tasks: int


class Placement(Model, frozen=True, kw_only=True):
    """Where all new tasks of a service would go, in numbers: so many `tasks`, of which some fit `nowhere`, on
    so many `nodes`; `shares` are those with most first, of many nodes a part."""

    tasks: int = 0
    nowhere: int = 0
    nodes: int = 0
    shares: tuple[NodeShare, ...] = ()


class ServicePlan(Model, frozen=True, kw_only=True):
    """What a deploy would do to one service. `wave` orders the services, from 1; `rolls` says how.

    `image_before` and `image_after` are digests where they are known and differ. `tasks` are those that fit
    nowhere first, of many a part; `placement` counts them all.
    """

    change: ServiceChange
    fields: tuple[FieldChange, ...] = ()
    tasks: tuple[PlannedTask, ...] = ()
    wave: int = 1
    rolls: str = ""
    reservation: Reservation = Reservation()
    image_before: str = ""
    image_after: str = ""
    place: str = ""
    placement: Placement = Placement()


class FileChange(Model, frozen=True, kw_only=True):
    """What happens to a config or secret: created, updated, the same, or removed."""

    kind: FileKind
    name: str
    action: ServiceAction


class Plan(Model, frozen=True, kw_only=True):
    """The controller's decision on a stack, not carried out.

    `index` is the stack's revision now (0: there is none): a deploy can be made conditional on it.
    `problems` are why a deploy would be refused.
    """

    stack: str
    index: int = 0
    services: tuple[ServicePlan, ...] = ()
    files: tuple[FileChange, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Deployed(Model, frozen=True, kw_only=True):
    """What a deploy changed, and the stack's revision after it."""

    changes: tuple[ServiceChange, ...] = ()
    revision: int = 0
    warnings: tuple[str, ...] = ()


class RevisionView(Model, frozen=True, kw_only=True):
    """One entry of a stack's history; `cause` says what made it (deploy, scale, rollback to 3)."""

    revision: int
    time_ms: int
    cause: str
    services: int = 0
    current: bool = False


class FileView(Model, frozen=True, kw_only=True):
    """A config or secret as lists show it. `stack` is empty for one that was made by name.

    `content` is set only where a config is inspected; that of a secret is never shown.
    """

    kind: FileKind
    name: str
    digest: str
    version: int
    size_bytes: int
    created_ms: int
    updated_ms: int
    stack: str = ""
    labels: dict[str, str] = {}
    used_by: tuple[str, ...] = ()
    content: bytes | None = None


class NetworkNode(Model, frozen=True, kw_only=True):
    """A node that takes part in a network: its address among nodes, its own (`gateway`) in the network, and
    the parts of the subnet out of which its tasks have theirs."""

    node: str
    address: str
    gateway: str = ""
    blocks: tuple[str, ...] = ()


class NetworkUser(Model, frozen=True, kw_only=True):
    """A service that is in a network, by its full name; without `vip` its tasks' own addresses are given."""

    service: str
    vip: str = ""
    tasks: int = 0


class NetworkView(Model, frozen=True, kw_only=True):
    """A network that spans nodes; `stack` is empty for one that was made by hand."""

    id: str
    name: str
    stack: str = ""
    spec: NetworkSpec = NetworkSpec()
    vni: int = 0
    subnet: str = ""
    created_ms: int = 0
    nodes: tuple[NetworkNode, ...] = ()
    services: tuple[NetworkUser, ...] = ()


class RolloutState(StrEnum):
    """Where a rollout stands. A paused one waits for the user's next word; DONE: there is none."""

    ROLLING = "rolling"
    PAUSED = "paused"
    ROLLING_BACK = "rolling back"
    ROLLBACK_PAUSED = "rollback paused"
    ROLLED_BACK = "rolled back"
    AWAITING_PROMOTION = "awaiting promotion"
    DONE = "done"


class RolloutAction(StrEnum):
    """What a user wants of a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    UNDO = "undo"


class RolloutView(Model, frozen=True, kw_only=True):
    """A service's rollout. `policy` is the one in force, its order resolved, `order_reason` why that.

    It leads from `from_version` to `version`, and on the way back from there; of one that is done
    `from_version` is what an undo would go back to (0: nothing). `canaries` are those that are ready.
    `deadline_left_ms`: time left without progress until it has failed (-1: no limit).
    """

    service: str
    state: RolloutState = RolloutState.DONE
    version: int = 0
    from_version: int = 0
    done: int = 0
    total: int = 0
    canaries: int = 0
    failed: int = 0
    reason: str = ""
    policy: UpdatePolicy = UpdatePolicy()
    order_reason: str = ""
    deadline_left_ms: int = -1
    tasks: tuple[TaskView, ...] = ()


class Score(Model, frozen=True, kw_only=True):
    """One part of how good a node is for a task; shares of a node are 0 to 1 and above, all else counts."""

    part: str
    value: float


class CauseCount(Model, frozen=True, kw_only=True):
    """How many nodes say no for the same cause."""

    cause: str
    nodes: int


class NodeVerdict(Model, frozen=True, kw_only=True):
    """What a node says to a new task of a service; `rank` among those that fit is from 1, else 0. `scores`
    are the parts of its rank in the order in which they count."""

    node: str
    fits: bool = False
    reason: str = ""
    free: Resources = Resources()
    tasks: int = 0
    rank: int = 0
    scores: tuple[Score, ...] = ()


class Explanation(Model, frozen=True, kw_only=True):
    """Why a service or a task stands as it does. Of all `nodes` so many fit, the others say no by cause;
    `verdicts` are those of the most telling ones, `nearest` is told where none fits."""

    subject: str
    lines: tuple[str, ...] = ()
    verdicts: tuple[NodeVerdict, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    events: tuple[Event, ...] = ()
    nodes: int = 0
    fits: int = 0
    causes: tuple[CauseCount, ...] = ()
    nearest: str = ""


class Move(Model, frozen=True, kw_only=True):
    """A task that would move, or moves, between nodes by name; `after` is empty when it fits nowhere."""

    task: str
    before: str
    after: str = ""
    reasons: tuple[str, ...] = ()
