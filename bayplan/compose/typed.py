"""What a compose file says, typed: one struct for each mapping, with the specification's own key names.

Absent keys are None or empty. Nothing is resolved yet: names are the file's, paths are relative,
version 2's `mem_limit` stands beside `deploy.resources`.
"""

from __future__ import annotations

from bayplan.compose.fields import Placed, Typed
from bayplan.model import Mount, PortSpec, RestartCondition, RestartPolicy


class HealthCheck(Typed, frozen=True, kw_only=True):
    """`healthcheck`; times in milliseconds. An empty test is the image's own."""

    test: tuple[str, ...] = ()
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
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
    """`deploy.update_config`; the delay in milliseconds."""

    parallelism: int | None = None
    delay: int | None = None
    order: str = ""


class Placement(Typed, frozen=True, kw_only=True):
    """`deploy.placement`."""

    constraints: tuple[str, ...] = ()
    max_replicas_per_node: int = 0


class Deploy(Typed, frozen=True, kw_only=True):
    """`deploy`."""

    mode: str = ""
    replicas: int | None = None
    labels: dict[str, str] = {}
    resources: Resources = Resources()
    restart_policy: Restart | None = None
    update_config: Update = Update()
    placement: Placement = Placement()


class Attachment(Typed, frozen=True, kw_only=True):
    """What a service says about one of its networks."""

    aliases: tuple[str, ...] = ()


class Dependency(Typed, frozen=True, kw_only=True):
    """One entry of `depends_on`."""

    condition: str = ""
    restart: bool = False
    required: bool = True


class FileUse(Typed, frozen=True, kw_only=True):
    """One entry of a service's `configs` or `secrets`; `source` is a key of the file."""

    source: str = ""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class Service(Typed, frozen=True, kw_only=True):
    """A service; amounts in bytes, thousandths of a core and milliseconds."""

    image: str = ""
    build: bool = False
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: dict[str, str | None] = {}
    env_file: tuple[Placed[str], ...] = ()
    labels: dict[str, str] = {}
    hostname: str = ""
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    init: bool = False
    stop_signal: str = ""
    stop_grace_period: int | None = None
    healthcheck: HealthCheck | None = None
    ports: tuple[Placed[PortSpec], ...] = ()
    expose: tuple[PortSpec, ...] = ()
    volumes: tuple[Placed[Mount], ...] = ()
    tmpfs: tuple[Placed[Mount], ...] = ()
    networks: dict[str, Placed[Attachment]] = {}
    logging: Logging = Logging()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    restart: RestartPolicy | None = None
    scale: int | None = None
    depends_on: dict[str, Placed[Dependency]] = {}
    container_name: str = ""
    mem_limit: int | None = None
    mem_reservation: int | None = None
    cpus: int | None = None
    deploy: Deploy = Deploy()
    configs: tuple[Placed[FileUse], ...] = ()
    secrets: tuple[Placed[FileUse], ...] = ()


class Network(Typed, frozen=True, kw_only=True):
    """A network of the file."""

    driver: str = ""


class Volume(Typed, frozen=True, kw_only=True):
    """A volume of the file; `name` only of an external one."""

    driver: str = ""
    external: bool = False
    name: str = ""


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
