"""What users ask for: services with their policies, and the stacks that they make."""

from __future__ import annotations

from enum import StrEnum

from bayplan.model.base import Model, Resources
from bayplan.model.container import ContainerSpec, FileKind

#: The priority of a service that says nothing of it, between 0 and 100 (as Nomad's jobs have it).
PRIORITY_USUAL = 50


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
    AUTO = "auto"
    STOP_FIRST = "stop_first"
    START_FIRST = "start_first"


class FailureAction(StrEnum):
    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class UpdatePolicy(Model, frozen=True, kw_only=True):
    """How a new version takes the place of the old: `parallelism` slots at once, 0 is all.

    A new task that fails within `monitor_ms` of its start is a failure of the rollout; more than
    `max_failure_ratio` (0 to 1) of the slots failing brings the `failure_action`, as does `deadline_ms`
    without any progress (0: never). `canaries` run beside the old tasks until they are promoted. Defaults
    are Docker's, but for order and failure action: the safest that the service allows.
    """

    parallelism: int = 1
    delay_ms: int = 0
    order: UpdateOrder = UpdateOrder.AUTO
    monitor_ms: int = 5_000
    max_failure_ratio: float = 0.0
    failure_action: FailureAction = FailureAction.ROLLBACK
    deadline_ms: int = 300_000
    canaries: int = 0
    auto_promote: bool = False


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


class Strategy(StrEnum):
    """Which of the nodes that fit: PACK fills few of them, with at most a third of a service on one; SPREAD
    takes the one with the fewest tasks of the service."""

    PACK = "pack"
    SPREAD = "spread"


class HomePolicy(StrEnum):
    """Whether a task comes back to the node where its named volumes have their data: if it can, or at all."""

    PREFER = "prefer"
    STAY = "stay"


class Affinity(Model, frozen=True, kw_only=True):
    """Near to tasks of another service, or (`anti`) away from them.

    `service` is a short name of the stack or a full name. `topology` is the attribute of nodes whose values
    are compared, as in `node.labels.zone`; empty is the node itself. Not `required`: as far as it goes.
    """

    service: str
    topology: str = ""
    anti: bool = False
    required: bool = False

    @property
    def words(self) -> str:
        """`near db`, `away from db in node.labels.zone`."""
        where = f" in {self.topology}" if self.topology else ""
        return f"{'away from' if self.anti else 'near'} {self.service}{where}"


class Schedule(Model, frozen=True, kw_only=True):
    """When a job runs, again and again: five fields as in crontab(5), in a time zone (empty: UTC).

    A run that is due while the one before is going on is left out. One that was missed is made up for
    once, if it was due at most `catch_up_ms` ago.
    """

    cron: str
    timezone: str = ""
    catch_up_ms: int = 0


class ServiceSpec(Model, frozen=True, kw_only=True):
    """A service as the user wants it. `places` maps a field to the file:line where it was written.

    `reservations` are what was asked for by name: where an amount is 0 the controller derives it.
    `fence`: an isolated node stops its copy before another may start. `drain_ms`: how long a task that is
    about to stop serves on after it is no longer found, at most. `ttl_ms`: a finished job is removed after
    it (0: never). `generation` grows when all tasks shall be replaced though nothing else has changed.
    `generic` are countable goods of a node (`gpu`: 2). `preferences` are node attributes over whose
    values tasks are spread. `priority` is 0 to 100. `homes`: what its named volumes say about where it runs.
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
    fence: bool = False
    drain_ms: int = 1_000
    schedule: Schedule | None = None
    ttl_ms: int = 0
    generation: int = 0
    strategy: Strategy = Strategy.PACK
    affinities: tuple[Affinity, ...] = ()
    priority: int = PRIORITY_USUAL
    homes: HomePolicy = HomePolicy.PREFER
    local_first: bool = False


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
