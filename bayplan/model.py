"""The frozen vocabulary of the project: what users ask for and what agents see.

Values only: nothing here reads a clock, rolls dice or knows protobuf. Every struct has a message of
the same name and fields in protos/bayplan/v1 (held equal by tests/unit/test_wire.py); the messages'
comments say who writes a field. Units stand at the end of a name: `_ms`, `_bytes`, `_millis`
(thousandths of a core).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from bayplan.lifecycle import TaskState


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value; unknown fields are ignored when one is decoded."""


class Resources(Model, frozen=True, kw_only=True):
    """Amounts of a machine's goods; 0 is "none" in a reservation and "no limit" in a limit."""

    cpu_millis: int = 0
    memory_bytes: int = 0


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class PortSpec(Model, frozen=True, kw_only=True):
    """A port that a service asks for; `published` 0 lets the engine choose."""

    target: int
    published: int = 0
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""


class BoundPort(Model, frozen=True, kw_only=True):
    """A port as the engine bound it."""

    target: int
    published: int
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""


class HealthCheck(Model, frozen=True, kw_only=True):
    """A command that tells whether a container is healthy. Defaults: the Compose specification's."""

    test: tuple[str, ...]
    interval_ms: int = 30_000
    timeout_ms: int = 30_000
    start_period_ms: int = 0
    retries: int = 3


class MountKind(StrEnum):
    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"


class Mount(Model, frozen=True, kw_only=True):
    """One mount; `source` is a full volume name, an absolute path of the node, or empty."""

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    tmpfs_size_bytes: int = 0
    tmpfs_mode: int = 0


class NetworkAttachment(Model, frozen=True, kw_only=True):
    """Membership in a network, with the names by which others on it find the container."""

    network: str
    aliases: tuple[str, ...] = ()


class LogConfig(Model, frozen=True, kw_only=True):
    """Where output goes; an empty driver is the agent's default (json-file, rotated)."""

    driver: str = ""
    options: dict[str, str] = {}


class ContainerSpec(Model, frozen=True, kw_only=True):
    """How a container is made. `entrypoint` and `command`: None is the image's own, () is none."""

    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    stop_signal: str = ""
    stop_grace_ms: int = 10_000
    health_check: HealthCheck | None = None
    health_check_disabled: bool = False
    mounts: tuple[Mount, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    networks: tuple[NetworkAttachment, ...] = ()
    log: LogConfig = LogConfig()
    limits: Resources = Resources()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    expose: tuple[PortSpec, ...] = ()


class RestartCondition(StrEnum):
    ANY = "any"
    ON_FAILURE = "on_failure"
    NONE = "none"


class RestartPolicy(Model, frozen=True, kw_only=True):
    """How ended tasks are replaced. `delay_ms` 0: at once, then after 1 s, doubling up to 5 minutes;
    another number is the first delay already."""

    condition: RestartCondition = RestartCondition.ANY
    delay_ms: int = 0
    max_attempts: int = 0
    window_ms: int = 0


class UpdatePolicy(Model, frozen=True, kw_only=True):
    """How a new version takes the place of the old: `parallelism` slots at once, 0 is all."""

    parallelism: int = 1
    delay_ms: int = 0


class ServiceSpec(Model, frozen=True, kw_only=True):
    """A service as the user wants it. `places` maps a field to the file:line where it was written."""

    name: str
    container: ContainerSpec
    replicas: int = 1
    reservations: Resources = Resources()
    constraints: tuple[str, ...] = ()
    max_replicas_per_node: int = 0
    restart: RestartPolicy = RestartPolicy()
    update: UpdatePolicy = UpdatePolicy()
    labels: dict[str, str] = {}
    places: dict[str, str] = {}


class StackSpec(Model, frozen=True, kw_only=True):
    """What one compose file makes."""

    name: str
    services: tuple[ServiceSpec, ...] = ()


class Health(StrEnum):
    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class TaskStatus(Model, frozen=True, kw_only=True):
    """What the agent sees of a task; the agent that runs it is the only writer."""

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


class Desired(StrEnum):
    RUN = "run"
    STOP = "stop"


class Assignment(Model, frozen=True, kw_only=True):
    """One task that a node shall have; `spec_id` names its container spec in the same message."""

    task_id: str
    service: str
    stack: str
    slot: int
    version: int
    desired: Desired
    spec_id: str
    restart: RestartCondition = RestartCondition.ANY


class Assignments(Model, frozen=True, kw_only=True, tag=True):
    """The whole desired set of a node; what is not in it shall be stopped and removed."""

    revision: int
    tasks: tuple[Assignment, ...] = ()
    specs: dict[str, ContainerSpec] = {}


class Inventory(Model, frozen=True, kw_only=True):
    """What a machine is and has, by its own agent."""

    hostname: str = ""
    capacity: Resources = Resources()
    engine_version: str = ""
    agent_version: str = ""
    os: str = ""
    arch: str = ""


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
    """One row of the registry, derived from a task, its health and its node's lease."""

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


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class LogLine(Model, frozen=True, kw_only=True):
    """One line of a container's output; `time_ns` is Unix time by the node's clock."""

    time_ns: int
    stream: LogStream
    text: bytes
    task_id: str


class Now(NamedTuple):
    """The time that arrives with each event: monotonic for leases and back-off, wall for display."""

    mono_ms: int
    wall_ms: int
