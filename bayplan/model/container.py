"""How a container is made: all that the engine is told, in the project's words and units."""

from __future__ import annotations

from enum import StrEnum

from bayplan.model.base import Model, PortSpec, Resources

#: Before a task's id it makes the name of its container.
CONTAINER_PREFIX = "bp-"


class HealthCheck(Model, frozen=True, kw_only=True):
    """A command that tells whether a container is healthy. Defaults: the Compose specification's."""

    test: tuple[str, ...]
    interval_ms: int = 30_000
    timeout_ms: int = 30_000
    start_period_ms: int = 0
    retries: int = 3
    start_interval_ms: int = 0


class ProbeKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    GRPC = "grpc"


class Probe(Model, frozen=True, kw_only=True):
    """How the agent finds out from outside whether a container can be used; nothing is stopped for it.

    HTTP asks for `path` (any answer from 200 to 399 is good), with the header Host `host`, over TLS (`tls`,
    the certificate is not checked); TCP connects; GRPC asks grpc.health.v1 for `service`. The first success
    makes it ready, `fall` failures in a row unready, `rise` successes in a row ready again. Failures within
    `start_period_ms` of the start do not count. Defaults of the numbers are HAProxy's.
    """

    kind: ProbeKind
    port: int
    path: str = "/"
    host: str = ""
    tls: bool = False
    service: str = ""
    interval_ms: int = 2_000
    timeout_ms: int = 2_000
    rise: int = 2
    fall: int = 3
    start_period_ms: int = 0

    @property
    def words(self) -> str:
        """`http 8080/health`, `tcp 5432`, `grpc 50051 shop.Cart`."""
        what = {ProbeKind.HTTP: self.path, ProbeKind.GRPC: f" {self.service}".rstrip()}.get(self.kind, "")
        return f"{'https' if self.tls else self.kind.value} {self.port}{what}"


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
    tmpfs_options: tuple[str, ...] = ()
    create_source: bool = False
    propagation: str = ""
    no_copy: bool = False
    subpath: str = ""
    volume: VolumeSpec | None = None

    @property
    def tuned(self) -> bool:
        """Whether it is a tmpfs with options that only its short form has."""
        return self.kind is MountKind.TMPFS and bool(self.tmpfs_options)


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


#: Drivers that mean a network over all nodes; the empty one is what is meant where none is named.
SPANNING_DRIVERS = ("", "overlay")


class NetworkSpec(Model, frozen=True, kw_only=True):
    """How a network is made where it is missing. `external`: it is never made nor removed.

    `node_local`: each node has one of its own, by which containers on different nodes do not meet.
    `encrypted`: what leaves a node is encrypted, or nothing leaves it.
    """

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
    node_local: bool = False
    encrypted: bool = False

    @property
    def spans_nodes(self) -> bool:
        """Whether it is one network over all nodes."""
        return self.driver in SPANNING_DRIVERS and not self.external and not self.node_local


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
    probe: Probe | None = None
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

    @property
    def is_called(self) -> bool:
        """Whether others may connect to it: it has ports, or is in a network with them."""
        return bool(self.ports or self.expose or self.networks)
