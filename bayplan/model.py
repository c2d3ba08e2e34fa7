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
    start_interval_ms: int = 0


class MountKind(StrEnum):
    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"


class Mount(Model, frozen=True, kw_only=True):
    """One mount; `source` is a full volume name, an absolute path of the node, or empty.

    `create_source` makes a missing bind path as a folder. `volume` is how a missing volume is made; a
    named one without it must be there.
    """

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    tmpfs_size_bytes: int = 0
    tmpfs_mode: int = 0
    create_source: bool = False
    propagation: str = ""
    no_copy: bool = False
    subpath: str = ""
    volume: VolumeSpec | None = None


class VolumeSpec(Model, frozen=True, kw_only=True):
    """How a volume is made where it is missing; an empty driver is the engine's `local`."""

    driver: str = ""
    driver_options: dict[str, str] = {}
    labels: dict[str, str] = {}


class IpamPool(Model, frozen=True, kw_only=True):
    """A range of addresses of a network, in CIDR form."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: dict[str, str] = {}


class NetworkSpec(Model, frozen=True, kw_only=True):
    """How a network is made where it is missing. `external`: it is never made nor removed."""

    external: bool = False
    driver: str = ""
    driver_options: dict[str, str] = {}
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    ipam_driver: str = ""
    ipam_options: dict[str, str] = {}
    pools: tuple[IpamPool, ...] = ()
    labels: dict[str, str] = {}


class NetworkAttachment(Model, frozen=True, kw_only=True):
    """Membership in a network, with the names by which others on it find the container.

    `network` is the engine's name of it. The highest `priority` is joined first; the default route is
    that of the highest `gateway_priority`, among equals the engine's choice.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_addresses: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    gateway_priority: int = 0
    driver_options: dict[str, str] = {}
    spec: NetworkSpec = NetworkSpec()


class LogConfig(Model, frozen=True, kw_only=True):
    """Where output goes; an empty driver is the agent's default (json-file, rotated)."""

    driver: str = ""
    options: dict[str, str] = {}


class PullPolicy(StrEnum):
    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


class Ulimit(Model, frozen=True, kw_only=True):
    """A resource limit of processes (setrlimit), by its name without `RLIMIT_`; -1 is none."""

    name: str
    soft: int
    hard: int


class Device(Model, frozen=True, kw_only=True):
    """A device of the node inside the container; `permissions` are some of r, w, m."""

    source: str
    target: str
    permissions: str = "rwm"


class DeviceRequest(Model, frozen=True, kw_only=True):
    """Devices that a driver of the engine hands out, such as GPUs; `count` -1 is all of them."""

    capabilities: tuple[str, ...]
    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    options: dict[str, str] = {}


class CpuTuning(Model, frozen=True, kw_only=True):
    """The scheduler's knobs of the engine; 0 and empty are its defaults. `_us` are microseconds."""

    shares: int = 0
    quota_us: int = 0
    period_us: int = 0
    realtime_runtime_us: int = 0
    realtime_period_us: int = 0
    set: str = ""


class MemoryTuning(Model, frozen=True, kw_only=True):
    """The engine's knobs of memory. `swap_bytes` is memory and swap together, -1 is no limit."""

    swap_bytes: int = 0
    swappiness: int | None = None
    oom_kill_disabled: bool = False
    oom_score_adjustment: int = 0
    shm_bytes: int = 0


class DeviceRate(Model, frozen=True, kw_only=True):
    """A weight, or a rate a second (bytes or operations), of one block device."""

    path: str
    rate: int


class BlockIo(Model, frozen=True, kw_only=True):
    """Block I/O limits; weight 10 to 1000, 0 is the engine's default."""

    weight: int = 0
    weight_device: tuple[DeviceRate, ...] = ()
    read_bytes: tuple[DeviceRate, ...] = ()
    read_operations: tuple[DeviceRate, ...] = ()
    write_bytes: tuple[DeviceRate, ...] = ()
    write_operations: tuple[DeviceRate, ...] = ()


class FileKind(StrEnum):
    CONFIG = "config"
    SECRET = "secret"


class FileMount(Model, frozen=True, kw_only=True):
    """A config or secret as a file of the container. `source` is its full name.

    `digest` names the version of its content; only the controller fills it in.
    """

    kind: FileKind
    source: str
    target: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444
    digest: str = ""


class Hook(Model, frozen=True, kw_only=True):
    """A command run in the container after it was started, or before it is stopped."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: tuple[str, ...] = ()


class ContainerSpec(Model, frozen=True, kw_only=True):
    """How a container is made. `entrypoint` and `command`: None is the image's own, () is none.

    `network_mode` is empty (the networks count), `host` or `none`. `platform` is os/arch[/variant].
    The modes of namespaces are the engine's words (`host`, `shareable`, ...); empty is its default.
    """

    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    user: str = ""
    group_add: tuple[str, ...] = ()
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    stop_signal: str = ""
    stop_grace_ms: int = 10_000
    health_check: HealthCheck | None = None
    health_check_disabled: bool = False
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: tuple[FileMount, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    expose: tuple[PortSpec, ...] = ()
    networks: tuple[NetworkAttachment, ...] = ()
    network_mode: str = ""
    mac_address: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    log: LogConfig = LogConfig()
    limits: Resources = Resources()
    pids_limit: int = 0
    cpu: CpuTuning = CpuTuning()
    memory: MemoryTuning = MemoryTuning()
    block_io: BlockIo = BlockIo()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: dict[str, str] = {}
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    privileged: bool = False
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = ""
    userns_mode: str = ""
    cgroup_mode: str = ""
    cgroup_parent: str = ""
    runtime: str = ""
    isolation: str = ""
    storage_options: dict[str, str] = {}
    platform: str = ""
    pull_policy: PullPolicy = PullPolicy.MISSING


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


class UpdateOrder(StrEnum):
    STOP_FIRST = "stop_first"
    START_FIRST = "start_first"


class FailureAction(StrEnum):
    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class UpdatePolicy(Model, frozen=True, kw_only=True):
    """How a new version takes the place of the old: `parallelism` slots at once, 0 is all.

    A new task that fails within `monitor_ms` of its start is a failure of the rollout; more than
    `max_failure_ratio` (0 to 1) of the slots failing brings the `failure_action`. Defaults: Docker's.
    """

    parallelism: int = 1
    delay_ms: int = 0
    order: UpdateOrder = UpdateOrder.STOP_FIRST
    monitor_ms: int = 5_000
    max_failure_ratio: float = 0.0
    failure_action: FailureAction = FailureAction.PAUSE


class ServiceMode(StrEnum):
    """Replicated: so many tasks. Global: one on each fit node. A job's tasks shall end with success."""

    REPLICATED = "replicated"
    GLOBAL = "global"
    REPLICATED_JOB = "replicated_job"
    GLOBAL_JOB = "global_job"


class DependencyCondition(StrEnum):
    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"


class Dependency(Model, frozen=True, kw_only=True):
    """Another service of the stack that comes first. `service` is its short name.

    `restart`: a new version of it makes a new version of this one. Not `required`: what is absent or
    has failed is not waited for.
    """

    service: str
    condition: DependencyCondition = DependencyCondition.STARTED
    restart: bool = False
    required: bool = False


class ServiceSpec(Model, frozen=True, kw_only=True):
    """A service as the user wants it. `places` maps a field to the file:line where it was written.

    `reservations` are what was asked for by name: where an amount is 0 the controller derives it.
    `generic` are countable goods of a node (`gpu`: 2). `preferences` are node attributes over whose
    values tasks are spread.
    """

    name: str
    container: ContainerSpec
    mode: ServiceMode = ServiceMode.REPLICATED
    replicas: int = 1
    reservations: Resources = Resources()
    generic: dict[str, int] = {}
    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    max_replicas_per_node: int = 0
    restart: RestartPolicy = RestartPolicy()
    update: UpdatePolicy = UpdatePolicy()
    rollback: UpdatePolicy = UpdatePolicy()
    endpoint_mode: str = ""
    depends_on: tuple[Dependency, ...] = ()
    labels: dict[str, str] = {}
    places: dict[str, str] = {}


class StackFile(Model, frozen=True, kw_only=True):
    """A config or secret that a stack brings, or (`external`) that the cluster must have already."""

    kind: FileKind
    name: str
    content: bytes = b""
    external: bool = False
    labels: dict[str, str] = {}
    place: str = ""

    def __repr__(self) -> str:
        return f"<StackFile {self.kind.value} {self.name}{' external' if self.external else ''}>"


class StackSpec(Model, frozen=True, kw_only=True):
    """What compose files make. `files` have full names."""

    name: str
    services: tuple[ServiceSpec, ...] = ()
    files: tuple[StackFile, ...] = ()


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
    generic: dict[str, int] = {}
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
