"""What a compose file says, typed: one struct for each mapping, with the specification's own key names.

Absent keys are None or empty. Nothing is resolved yet: names are the file's, paths are relative,
version 2's `mem_limit` stands beside `deploy.resources`.
"""

from __future__ import annotations

from bayplan.compose.fields import Placed, Typed
from bayplan.model import (
    PRIORITY_USUAL,
    BlockIo,
    Device,
    DeviceRequest,
    FailureAction,
    HomePolicy,
    IpamPool,
    Mount,
    PortSpec,
    ProbeKind,
    PullPolicy,
    RestartCondition,
    RestartPolicy,
    ServiceMode,
    Strategy,
    Ulimit,
    UpdateOrder,
)


class HealthCheck(Typed, frozen=True, kw_only=True):
    """`healthcheck`; times in milliseconds. An empty test is the image's own."""

    test: tuple[str, ...] = ()
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None
    disable: bool = False


class Logging(Typed, frozen=True, kw_only=True):
    """`logging`."""

    driver: str = ""
    options: dict[str, str] = {}


class Amounts(Typed, frozen=True, kw_only=True):
    """`limits` or `reservations`: thousandths of a core, bytes."""

    cpus: int | None = None
    memory: int | None = None
    pids: int | None = None
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: dict[str, int] = {}


class Resources(Typed, frozen=True, kw_only=True):
    """`deploy.resources`."""

    limits: Amounts = Amounts()
    reservations: Amounts = Amounts()


class Restart(Typed, frozen=True, kw_only=True):
    """`deploy.restart_policy`; times in milliseconds."""

    condition: RestartCondition | None = None
    delay: int | None = None
    max_attempts: int | None = None
    window: int | None = None


class Update(Typed, frozen=True, kw_only=True):
    """`deploy.update_config` or `rollback_config`; times in milliseconds."""

    parallelism: int | None = None
    delay: int | None = None
    order: UpdateOrder | None = None
    monitor: int | None = None
    max_failure_ratio: float | None = None
    failure_action: FailureAction | None = None


class Placement(Typed, frozen=True, kw_only=True):
    """`deploy.placement`."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    max_replicas_per_node: int = 0


class Deploy(Typed, frozen=True, kw_only=True):
    """`deploy`."""

    mode: ServiceMode | None = None
    replicas: int | None = None
    labels: dict[str, str] = {}
    endpoint_mode: str = ""
    resources: Resources = Resources()
    restart_policy: Restart | None = None
    update_config: Update = Update()
    rollback_config: Update = Update()
    placement: Placement = Placement()


class Attachment(Typed, frozen=True, kw_only=True):
    """What a service says about one of its networks."""

    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    gw_priority: int = 0
    driver_opts: dict[str, str] = {}


class Dependency(Typed, frozen=True, kw_only=True):
    """One entry of `depends_on`."""

    condition: str = ""
    restart: bool = False
    required: bool = True


class EnvFile(Typed, frozen=True, kw_only=True):
    """One entry of `env_file`; a `raw` one is taken as it is, without quotes and variables."""

    path: str = ""
    required: bool = True
    format: str = ""


class Hook(Typed, frozen=True, kw_only=True):
    """One entry of `post_start` or `pre_stop`."""

    command: tuple[str, ...] = ()
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: dict[str, str | None] = {}


class Build(Typed, frozen=True, kw_only=True):
    """`build`; `context` is a path as written, or an address."""

    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    args: dict[str, str | None] = {}
    target: str = ""
    labels: dict[str, str] = {}
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    network: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class FileUse(Typed, frozen=True, kw_only=True):
    """One entry of a service's `configs` or `secrets`; `source` is a key of the file."""

    source: str = ""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class Link(Typed, frozen=True, kw_only=True):
    """One entry of `links`, an alias of another service, or of `volumes_from`."""

    service: str
    alias: str = ""
    read_only: bool = False


class Gate(Typed, frozen=True, kw_only=True):
    """`update` or `rollback` of `x-bayplan`; times in milliseconds."""

    deadline: int | None = None
    canaries: int = 0
    auto_promote: bool = False


class Cron(Typed, frozen=True, kw_only=True):
    """`schedule` of `x-bayplan`; times in milliseconds."""

    cron: str = ""
    timezone: str = ""
    catch_up: int = 0


class Affinity(Typed, frozen=True, kw_only=True):
    """One entry of `affinity` or `anti_affinity` of `x-bayplan`; an empty topology is the node itself."""

    service: str = ""
    topology: str = ""
    required: bool = False


class Aside(Typed, frozen=True, kw_only=True):
    """`reservations` of `x-bayplan`: bytes, and a number of processes."""

    disk: int = 0
    pids: int = 0


class Probe(Typed, frozen=True, kw_only=True):
    """`probe` of `x-bayplan`; times in milliseconds, and None for what was not written."""

    type: ProbeKind | None = None
    port: int = 0
    path: str = ""
    host: str = ""
    tls: bool = False
    service: str = ""
    interval: int = 0
    timeout: int = 0
    rise: int = 0
    fall: int = 0
    start_period: int = 0


class Bayplan(Typed, frozen=True, kw_only=True):
    """`x-bayplan`: what no other orchestrator has a key for; times in milliseconds."""

    fence: bool = False
    drain: int | None = None
    schedule: Cron | None = None
    ttl: int = 0
    update: Gate = Gate()
    rollback: Gate = Gate()
    strategy: Strategy = Strategy.PACK
    affinity: tuple[Placed[Affinity], ...] = ()
    anti_affinity: tuple[Placed[Affinity], ...] = ()
    priority: int = PRIORITY_USUAL
    reservations: Aside = Aside()
    volumes: HomePolicy = HomePolicy.PREFER
    probe: Probe | None = None
    tags: tuple[str, ...] = ()
    weight: int | None = None
    prefer: bool = False


class Service(Typed, frozen=True, kw_only=True):
    """A service; amounts in bytes, thousandths of a core, microseconds of CPU and else milliseconds."""

    image: str = ""
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: dict[str, str | None] = {}
    env_file: tuple[Placed[EnvFile], ...] = ()
    labels: dict[str, str] = {}
    label_file: tuple[Placed[str], ...] = ()
    annotations: dict[str, str] = {}
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    group_add: tuple[str, ...] = ()
    working_dir: str = ""
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    init: bool = False
    stop_signal: str = ""
    stop_grace_period: int | None = None
    healthcheck: HealthCheck | None = None
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    ports: tuple[Placed[PortSpec], ...] = ()
    expose: tuple[PortSpec, ...] = ()
    volumes: tuple[Placed[Mount], ...] = ()
    tmpfs: tuple[Placed[Mount], ...] = ()
    volumes_from: tuple[Placed[Link], ...] = ()
    networks: dict[str, Placed[Attachment]] = {}
    network_mode: str = ""
    mac_address: str = ""
    links: tuple[Placed[Link], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    logging: Logging = Logging()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[Placed[str], ...] = ()
    privileged: bool = False
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    ipc: str = ""
    pid: str = ""
    uts: str = ""
    userns_mode: str = ""
    cgroup: str = ""
    cgroup_parent: str = ""
    sysctls: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 0
    pids_limit: int | None = None
    mem_limit: int | None = None
    mem_reservation: int | None = None
    mem_swappiness: int | None = None
    memswap_limit: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    cpus: int | None = None
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_rt_runtime: int = 0
    cpu_rt_period: int = 0
    cpuset: str = ""
    blkio_config: BlockIo = BlockIo()
    storage_opt: dict[str, str] = {}
    runtime: str = ""
    isolation: str = ""
    platform: str = ""
    pull_policy: PullPolicy = PullPolicy.MISSING
    restart: RestartPolicy | None = None
    scale: int | None = None
    depends_on: dict[str, Placed[Dependency]] = {}
    container_name: str = ""
    deploy: Deploy = Deploy()
    configs: tuple[Placed[FileUse], ...] = ()
    secrets: tuple[Placed[FileUse], ...] = ()
    bayplan: Bayplan = Bayplan()


class Ipam(Typed, frozen=True, kw_only=True):
    """`ipam` of a network."""

    driver: str = ""
    config: tuple[IpamPool, ...] = ()
    options: dict[str, str] = {}


class Span(Typed, frozen=True, kw_only=True):
    """`x-bayplan` of a network. `scope`: whether each node has one of its own."""

    scope: bool = False
    encrypted: bool = False


class Network(Typed, frozen=True, kw_only=True):
    """A network of the file. `external`: its old name, empty, or None for one that is not."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    external: str | None = None
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam: Ipam = Ipam()
    labels: dict[str, str] = {}
    bayplan: Span = Span()


class Volume(Typed, frozen=True, kw_only=True):
    """A volume of the file. `external`: its old name, empty, or None for one that is not."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    external: str | None = None
    labels: dict[str, str] = {}


class Content(Typed, frozen=True, kw_only=True):
    """A config or secret of the file. `external`: its old name, empty, or None for one that is not."""

    file: str = ""
    content: str = ""
    environment: str = ""
    external: str | None = None
    name: str = ""
    labels: dict[str, str] = {}


class File(Typed, frozen=True, kw_only=True):
    """A whole file. A service that could not be read at all is in the report, not here."""

    version: str = ""
    name: str = ""
    services: dict[str, Placed[Service]] = {}
    networks: dict[str, Placed[Network]] = {}
    volumes: dict[str, Placed[Volume]] = {}
    configs: dict[str, Placed[Content]] = {}
    secrets: dict[str, Placed[Content]] = {}
