"""What can happen to an agent (events, past tense), what it keeps (changes), and the values in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from bayplan.model import (
    Assignments,
    BoundPort,
    FileKind,
    FileMount,
    Health,
    Inventory,
    Model,
    NodeCondition,
    TaskStatus,
)
from bayplan.session import ControllerSays, PreflightResult

#: What a config or secret may have of a mode: no set-user-ID, no set-group-ID, no sticky bit.
FILE_MODE_BITS = 0o777

# --- values -----------------------------------------------------------------------------------------


class Phase(StrEnum):
    """Where a container stands; a paused one counts as running."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Run(NamedTuple):
    """One run of a container: its id, and when it was started, Unix ms by the engine's clock."""

    container_id: str
    started_ms: int


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
    #: Names of the networks it belongs to, and the addresses that it has on them, or will have once it runs.
    networks: tuple[str, ...] = ()
    addresses: dict[str, str] = {}
    #: When it was last started or ended, Unix ms by the engine's clock.
    changed_ms: int = 0
    #: The time between the stop signal and SIGKILL that it was made with.
    stop_grace_ms: int = 10_000

    @property
    def run(self) -> Run:
        """Its present run, while it runs."""
        return Run(self.container_id, self.changed_ms)


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
    """Who this node is, by its certificate. Containers and networks are labelled with it.

    `name` is what `{{.Node.Hostname}}` becomes; `architecture`, such as x86_64, is that of the platform.
    """

    node_id: str
    cluster_id: str
    name: str = ""
    architecture: str = ""


class Underlay(NamedTuple):
    """The link between the nodes, as this node has it. `mtu` 0: not known. `containers`: by network,
    the largest MTU of a container's link. `routes`: what this host reaches by itself, in CIDR form."""

    mtu: int = 0
    containers: Mapping[str, int] = {}
    routes: Sequence[str] = ()


class Sign(NamedTuple):
    """What one node sends to the others: its address (IPv4), how often, and whether this is a large one."""

    sender: str
    period_s: float
    large: bool


class StoredFile(Model, frozen=True, kw_only=True, order=True):
    """A content as a file of this node: one for each owner and mode in which containers mount it."""

    kind: FileKind
    digest: str
    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, mount: FileMount) -> StoredFile:
        """The file behind a mount."""
        mode = mount.mode & FILE_MODE_BITS
        return cls(kind=mount.kind, digest=mount.digest, uid=mount.uid, gid=mount.gid, mode=mode)


class Remembered(Model, frozen=True, kw_only=True):
    """What the journal holds when the agent starts; the defaults are those of a lost journal."""

    epoch: int = 0
    assignments: Assignments = Assignments(revision=0)
    ends: tuple[TaskStatus, ...] = ()
    hooked: dict[str, int] = {}


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
    """The engine's event stream ended; nothing is known until the next EngineListed.

    Posted again with each failed try. `silent_ms`: how long ago the engine answered last.
    """

    reason: str = ""
    silent_ms: int = 0


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


class Probed(Model, frozen=True, kw_only=True, tag=True):
    """A run of a container was probed. `why` it
    failed, for people; empty: it passed."""

    task_id: str
    run: Run
    why: str = ""


# --- events: the disk --------------------------------------------------------------------------------


class FilesListed(Model, frozen=True, kw_only=True, tag=True):
    """These are all contents that this node holds. Posted after the start, before EngineListed, and when
    some were found to have vanished.

    `refused` tells why files of a kind cannot be kept here, and the way out, for people.
    """

    files: tuple[StoredFile, ...] = ()
    refused: dict[FileKind, str] = {}


class JournalKept(Model, frozen=True, kw_only=True, tag=True):
    """What the disk had refused to take is durable now: revisions that were obeyed can be acknowledged."""


# --- events: outcomes of commands --------------------------------------------------------------------


class ContainerCreated(Model, frozen=True, kw_only=True, tag=True):
    """The container exists: new, or found under its name and adopted in whatever phase it is."""

    container: Container


class ContainerStarted(Model, frozen=True, kw_only=True, tag=True):
    """The container was started; it may have exited since."""

    container: Container


class ContainerStopped(Model, frozen=True, kw_only=True, tag=True):
    """The container no longer runs; `note` tells of a pre_stop hook that failed."""

    container: Container
    note: str = ""


class ContainerRemoved(Model, frozen=True, kw_only=True, tag=True):
    """The container no longer exists."""

    task_id: str


class CommandFailed(Model, frozen=True, kw_only=True, tag=True):
    """The task's command in flight (create, start, stop, remove) did not succeed."""

    task_id: str
    fault: Fault


class HooksDone(Model, frozen=True, kw_only=True, tag=True):
    """All post_start hooks of the container's start at `started_ms` have succeeded."""

    task_id: str
    started_ms: int


class HooksFailed(Model, frozen=True, kw_only=True, tag=True):
    """A post_start hook failed or could not be run (REFUSED), or the engine did not answer (UNANSWERED).

    What became of the container meanwhile was posted before.
    """

    task_id: str
    fault: Fault


class FileWritten(Model, frozen=True, kw_only=True, tag=True):
    """The file is there, whole."""

    file: StoredFile


class FileNotWritten(Model, frozen=True, kw_only=True, tag=True):
    """The file could not be written, e.g. because the disk is full."""

    file: StoredFile
    reason: str


class FileRemoved(Model, frozen=True, kw_only=True, tag=True):
    """The file is gone. One that could not be removed is found again at the agent's next start."""

    file: StoredFile


class ImagePulled(Model, frozen=True, kw_only=True, tag=True):
    """The image is on this node."""

    image: str
    platform: str = ""


class PullFailed(Model, frozen=True, kw_only=True, tag=True):
    """The image cannot be had (REFUSED) or the engine did not answer (UNANSWERED)."""

    image: str
    platform: str = ""
    fault: Fault


class NetworkRemoved(Model, frozen=True, kw_only=True, tag=True):
    """The network no longer exists."""

    network: str


class NetworkKept(Model, frozen=True, kw_only=True, tag=True):
    """The network could not be removed, e.g. because someone else's container uses it."""

    network: str
    reason: str = ""


class OverlaysKept(Model, frozen=True, kw_only=True, tag=True):
    """Networks that span nodes were looked at: those that are here as they shall be, and what is the matter
    with others, by name. UNANSWERED: they may be here soon."""

    made: tuple[str, ...] = ()
    faults: dict[str, Fault] = {}


class PreflightChecked(Model, frozen=True, kw_only=True, tag=True):
    """The answer to a CheckPreflight of `link`."""

    link: int
    result: PreflightResult


class ConditionSeen(Model, frozen=True, kw_only=True, tag=True):
    """This is all that is the matter with the node now."""

    condition: NodeCondition


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
    | HooksDone
    | HooksFailed
    | ImagePulled
    | PullFailed
    | NetworkRemoved
    | NetworkKept
    | OverlaysKept
)
FileEvent = FilesListed | FileWritten | FileNotWritten | FileRemoved
DiskEvent = FileEvent | JournalKept
SessionEvent = LinkOpened | Heard | Said | LinkClosed | PreflightChecked
Event = EngineEvent | DiskEvent | Outcome | SessionEvent | Probed | ConditionSeen

# --- changes: what the journal keeps, each whole ------------------------------------------------------


class KeepAssignments(Model, frozen=True, kw_only=True, tag=True):
    """The highest epoch obeyed and the desired set; `assignments.revision` 0 is "of an older epoch"."""

    epoch: int
    assignments: Assignments


class KeepEnds(Model, frozen=True, kw_only=True, tag=True):
    """How the ended tasks of this node ended: what the engine's labels cannot tell."""

    ends: tuple[TaskStatus, ...]


class KeepHooked(Model, frozen=True, kw_only=True, tag=True):
    """The tasks whose post_start hooks are done, and for which start (its Container.changed_ms)."""

    hooked: dict[str, int]


Change = KeepAssignments | KeepEnds | KeepHooked
