"""What can happen to an agent (events), what it keeps (changes) and what it does (commands).

Events are past tense, commands imperative. A command for a task or an image has exactly ONE
outcome event, also when it fails; at most one command of a task is in flight:

    CreateContainer -> ContainerCreated | CommandFailed      PullImage      -> ImagePulled | PullFailed
    StartContainer  -> ContainerStarted | CommandFailed      RemoveNetwork  -> NetworkRemoved | NetworkKept
    StopContainer   -> ContainerStopped | CommandFailed      CheckPreflight -> PreflightChecked
    RemoveContainer -> ContainerRemoved | CommandFailed      Say(Report)    -> Said | LinkClosed
    CloseLink       -> LinkClosed                            other Say, PushLogs, StopLogs -> none
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bayplan.model import Assignments, BoundPort, ContainerSpec, Health, Inventory, Model, TaskStatus
from bayplan.session import AgentSays, ControllerSays, LogPull, Preflight, PreflightResult

# --- values -----------------------------------------------------------------------------------------


class Phase(StrEnum):
    """Where a container stands; a paused one counts as running."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Container(Model, frozen=True, kw_only=True):
    """A container of ours, as the engine describes it now. Only those with our node's label are ours."""

    task_id: str
    container_id: str
    phase: Phase
    health: Health = Health.NONE
    probe_output: str = ""
    #: Set when `phase` is EXITED.
    exit_code: int | None = None
    oom_killed: bool = False
    address: str = ""
    ports: tuple[BoundPort, ...] = ()
    #: Names of the networks it belongs to.
    networks: tuple[str, ...] = ()
    #: When it was last started or ended, Unix ms by the engine's clock.
    changed_ms: int = 0
    #: The time between the stop signal and SIGKILL that it was made with.
    stop_grace_ms: int = 10_000


class FaultKind(StrEnum):
    """Why the engine did not do what it was told."""

    UNANSWERED = "unanswered"  # engine away, too slow, or in trouble: the same command may succeed later
    REFUSED = "refused"  # it will not: port taken, mount missing, bad config
    NO_IMAGE = "no_image"  # create: the image is not on this node
    NO_CONTAINER = "no_container"  # start, stop: the container no longer exists


class Fault(Model, frozen=True, kw_only=True):
    """A failed command; `reason` is the engine's, cleaned for people."""

    kind: FaultKind
    reason: str


class NodeRef(Model, frozen=True, kw_only=True):
    """Who this node is, by its certificate. Containers and networks are labelled with it."""

    node_id: str
    cluster_id: str


class Remembered(Model, frozen=True, kw_only=True):
    """What the journal holds when the agent starts; the defaults are those of a lost journal."""

    epoch: int = 0
    assignments: Assignments = Assignments(revision=0)
    ends: tuple[TaskStatus, ...] = ()


# --- events: the engine ------------------------------------------------------------------------------


class EngineListed(Model, frozen=True, kw_only=True, tag=True):
    """The engine answers, and these are all our containers and networks.

    Posted once after the start and after each return of the engine. Everything that happens later
    is posted as an event of its own.
    """

    containers: tuple[Container, ...] = ()
    networks: tuple[str, ...] = ()
    inventory: Inventory = Inventory()


class EngineLost(Model, frozen=True, kw_only=True, tag=True):
    """The engine's event stream ended; nothing is known until the next EngineListed."""

    reason: str = ""


class ContainerObserved(Model, frozen=True, kw_only=True, tag=True):
    """A container of ours changed (started by someone, health, made late); this is how it is now."""

    container: Container


class ContainerExited(Model, frozen=True, kw_only=True, tag=True):
    """A container's process ended. Posted at once, before anything else is asked of the engine."""

    task_id: str
    container_id: str
    exit_code: int
    oom_killed: bool = False
    at_ms: int = 0


class ContainerDestroyed(Model, frozen=True, kw_only=True, tag=True):
    """A container of ours was removed, by us or by someone else."""

    task_id: str
    container_id: str


# --- events: outcomes of commands --------------------------------------------------------------------


class ContainerCreated(Model, frozen=True, kw_only=True, tag=True):
    """The container exists: new, or found under its name and adopted in whatever phase it is."""

    container: Container


class ContainerStarted(Model, frozen=True, kw_only=True, tag=True):
    """The container was started; it may have exited since."""

    container: Container


class ContainerStopped(Model, frozen=True, kw_only=True, tag=True):
    """The container no longer runs."""

    container: Container


class ContainerRemoved(Model, frozen=True, kw_only=True, tag=True):
    """The container no longer exists."""

    task_id: str


class CommandFailed(Model, frozen=True, kw_only=True, tag=True):
    """The task's command in flight (create, start, stop, remove) did not succeed."""

    task_id: str
    fault: Fault


class ImagePulled(Model, frozen=True, kw_only=True, tag=True):
    """The image is on this node."""

    image: str


class PullFailed(Model, frozen=True, kw_only=True, tag=True):
    """The image cannot be had (REFUSED) or the engine did not answer (UNANSWERED)."""

    image: str
    fault: Fault


class NetworkRemoved(Model, frozen=True, kw_only=True, tag=True):
    """The network no longer exists."""

    network: str


class NetworkKept(Model, frozen=True, kw_only=True, tag=True):
    """The network could not be removed, e.g. because someone else's container uses it."""

    network: str
    reason: str = ""


class PreflightChecked(Model, frozen=True, kw_only=True, tag=True):
    """The answer to a CheckPreflight of `link`."""

    link: int
    result: PreflightResult


# --- events: the session -----------------------------------------------------------------------------


class LinkOpened(Model, frozen=True, kw_only=True, tag=True):
    """A new link to a controller is there; `link` numbers links from 1 within one run of the agent."""

    link: int


class Heard(Model, frozen=True, kw_only=True, tag=True):
    """The controller said something over a link."""

    link: int
    message: ControllerSays


class Said(Model, frozen=True, kw_only=True, tag=True):
    """The link took a Report: the next may follow."""

    link: int


class LinkClosed(Model, frozen=True, kw_only=True, tag=True):
    """The link is over, whoever ended it. The last event of that link."""

    link: int
    reason: str = ""


EngineEvent = EngineListed | EngineLost | ContainerObserved | ContainerExited | ContainerDestroyed
Outcome = (
    ContainerCreated
    | ContainerStarted
    | ContainerStopped
    | ContainerRemoved
    | CommandFailed
    | ImagePulled
    | PullFailed
    | NetworkRemoved
    | NetworkKept
)
SessionEvent = LinkOpened | Heard | Said | LinkClosed | PreflightChecked
Event = EngineEvent | Outcome | SessionEvent

# --- changes: what the journal keeps, each whole ------------------------------------------------------


class KeepAssignments(Model, frozen=True, kw_only=True, tag=True):
    """The highest epoch obeyed and the desired set; `assignments.revision` 0 is "of an older epoch"."""

    epoch: int
    assignments: Assignments


class KeepEnds(Model, frozen=True, kw_only=True, tag=True):
    """How the ended tasks of this node ended: what the engine's labels cannot tell."""

    ends: tuple[TaskStatus, ...]


Change = KeepAssignments | KeepEnds

# --- commands: the engine ----------------------------------------------------------------------------


class CreateContainer(Model, frozen=True, kw_only=True, tag=True):
    """Make the container `bp-<task_id>` from `config` (the engine's create request), not started.

    The networks of `spec` are made first where they are missing, labelled with `stack` and the node.
    """

    task_id: str
    stack: str
    spec: ContainerSpec
    config: dict[str, Any]


class StartContainer(Model, frozen=True, kw_only=True, tag=True):
    """Start a container that was created or has exited."""

    task_id: str
    container_id: str


class StopContainer(Model, frozen=True, kw_only=True, tag=True):
    """Send the stop signal, and SIGKILL after the grace."""

    task_id: str
    container_id: str
    grace_ms: int


class RemoveContainer(Model, frozen=True, kw_only=True, tag=True):
    """Remove the container and its anonymous volumes."""

    task_id: str
    container_id: str


class PullImage(Model, frozen=True, kw_only=True, tag=True):
    """Bring the image onto this node."""

    image: str


class RemoveNetwork(Model, frozen=True, kw_only=True, tag=True):
    """Remove a network of ours that no task uses any more."""

    network: str


class CheckPreflight(Model, frozen=True, kw_only=True, tag=True):
    """Find out whether this node could start something; the answer goes to `link`."""

    link: int
    preflight: Preflight


class PushLogs(Model, frozen=True, kw_only=True, tag=True):
    """Push the output of tasks to the controller."""

    pull: LogPull


class StopLogs(Model, frozen=True, kw_only=True, tag=True):
    """End a PushLogs; an unknown request is no error."""

    request_id: str


# --- commands: the session ---------------------------------------------------------------------------


class Say(Model, frozen=True, kw_only=True, tag=True):
    """Send a message over a link; a link that is over makes it void."""

    link: int
    message: AgentSays


class CloseLink(Model, frozen=True, kw_only=True, tag=True):
    """End a link; the door tries again after its back-off."""

    link: int
    reason: str


EngineCommand = (
    CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | PullImage
    | RemoveNetwork
    | CheckPreflight
    | PushLogs
    | StopLogs
)
SessionCommand = Say | CloseLink
Command = EngineCommand | SessionCommand
