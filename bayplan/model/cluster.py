"""What agents are told and what they see: assignments, task status, nodes, instances, output."""

from __future__ import annotations

from enum import StrEnum

from bayplan.lifecycle import TaskState
from bayplan.model.base import BoundPort, Good, Model, Resources
from bayplan.model.container import ContainerSpec
from bayplan.model.network import Overlay
from bayplan.model.service import RestartCondition


class Health(StrEnum):
    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class TaskStatus(Model, frozen=True, kw_only=True):
    """What the agent sees of a task; the agent that runs it is the only writer.

    `address` is the container's on the network that it was made with; `addresses` are those on all
    networks that span nodes, by their names, where there is more than one.
    """

    task_id: str
    state: TaskState
    health: Health = Health.NONE
    message: str = ""
    exit_code: int | None = None
    container_id: str = ""
    address: str = ""
    ports: tuple[BoundPort, ...] = ()
    probe_output: str = ""
    since_ms: int = 0
    restarts: int = 0
    addresses: dict[str, str] = {}


class Desired(StrEnum):
    """What the controller wants of a task. READY: its container is made but not started yet."""

    RUN = "run"
    STOP = "stop"
    READY = "ready"


class Assignment(Model, frozen=True, kw_only=True):
    """One task that a node shall have; `spec_id` names its container spec in the same message.

    `goods` are the countable goods that are the task's own, by kind: their names with commas between them, or
    how many where they have no names.
    """

    task_id: str
    service: str
    stack: str
    slot: int
    version: int
    desired: Desired
    spec_id: str
    restart: RestartCondition = RestartCondition.ANY
    fence: bool = False
    goods: dict[str, str] = {}


class AssignmentColumns(Model, frozen=True, kw_only=True):
    """Assignments that are alike, `kinds` of them, but for what stands in columns, little endian: a task's
    number (8 bytes, ascending), its slot (4), the place of its kind (4). See `bayplan.columns`."""

    kinds: tuple[Assignment, ...] = ()
    ids: bytes = b""
    slots: bytes = b""
    kind_of: bytes = b""


class Assignments(Model, frozen=True, kw_only=True, tag=True):
    """The whole desired set of a node; what is not in it shall be stopped and removed.

    A task is in `tasks`, or on the wire in `columns`; there `specs` are only those not said before.
    `overlays` are the networks in which the node takes part; `same_overlays`: those said before (on the
    wire only).
    """

    revision: int
    tasks: tuple[Assignment, ...] = ()
    specs: dict[str, ContainerSpec] = {}
    columns: AssignmentColumns = AssignmentColumns()
    overlays: tuple[Overlay, ...] = ()
    same_overlays: bool = False


class Inventory(Model, frozen=True, kw_only=True):
    """What a machine is and has, by its own agent.

    `generic` counts its goods by kind, those with names too, which `named` lists. `overlay_fault`: why it
    can take no part in networks that span nodes (empty: it can). `routes`: networks that it reaches by
    itself, in CIDR form. `tunnel_key`: the public key to which others encrypt what is for it (X25519,
    base64); empty where it can take no part in encrypted networks, and `tunnel_fault` says why.
    """

    hostname: str = ""
    capacity: Resources = Resources()
    generic: dict[str, int] = {}
    engine_version: str = ""
    agent_version: str = ""
    os: str = ""
    arch: str = ""
    named: tuple[Good, ...] = ()
    engine_labels: dict[str, str] = {}
    overlay_fault: str = ""
    tunnel_key: str = ""
    tunnel_fault: str = ""
    routes: tuple[str, ...] = ()


class NodeFaultKind(StrEnum):
    """What a fault of a node is about; behind it what the fault's subject is."""

    DATA_PLANE = "data_plane"  # none: the kernel refuses the rules of virtual addresses and published ports
    NETWORK = "network"  # a network that cannot be made
    SUBNET = "subnet"  # a network that overlaps what the node reaches otherwise
    MTU = "mtu"  # a network, or a node's address: packets are too large for the link between
    PEER = "peer"  # the address of a node from which nothing comes
    RESOLVER = "resolver"  # a network, or none: the address of a name server cannot be had
    PORT = "port"  # a published port that is somebody else's
    SURFACE = "surface"  # none: an address of the registry's surfaces cannot be had


class NodeFault(Model, frozen=True, kw_only=True):
    """One thing that is the matter with a node, by its own agent: why, and the way out, for people."""

    kind: NodeFaultKind
    subject: str = ""
    text: str
    hint: str = ""


class NodeCondition(Model, frozen=True, kw_only=True, tag=True):
    """All that is the matter with a node, by its own agent; an agent says it anew when it changes.

    `link_mtu`: of the link that has the node's address, in bytes (0: not known).
    """

    faults: tuple[NodeFault, ...] = ()
    link_mtu: int = 0


class NodeStatus(StrEnum):
    UNKNOWN = "unknown"
    READY = "ready"
    SUSPECT = "suspect"
    DOWN = "down"


class Availability(StrEnum):
    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class PortCheck(Model, frozen=True, kw_only=True):
    """A port of the node that must be free before a deploy."""

    port: int
    protocol: str = "tcp"
    host_ip: str = ""


class PreflightFault(Model, frozen=True, kw_only=True):
    """One thing that a node cannot do: an image, `8080/tcp`, or a path, and why."""

    subject: str
    reason: str


class Instance(Model, frozen=True, kw_only=True):
    """One row of the registry, derived from a task, its health and its node's lease; or an outsider.

    Nobody new is sent to one of `weight` 0. `tags` are its service's and its own.
    """

    id: str
    address: str
    port: int
    node: str
    health: Health
    ready: bool
    slot: int
    version: int
    ports: tuple[BoundPort, ...] = ()
    reason: str = ""
    weight: int = 1
    tags: tuple[str, ...] = ()


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class LogLine(Model, frozen=True, kw_only=True):
    """One line of a container's output; `time_ns` is Unix time by the node's clock."""

    time_ns: int
    stream: LogStream
    text: bytes
    task_id: str
