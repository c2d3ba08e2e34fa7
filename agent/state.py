"""What the agent's core remembers: one row a task, the images on their way, the session, the outbox.

Rows are frozen; the tables around them are changed only by `agent.core`. Nothing here decides.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import StrEnum
from typing import NamedTuple

from agent.commands import Command
from agent.events import Change, Container, Fault, NodeRef, Phase, Run, StoredFile
from agent.labels import PREDEFINED_NETWORKS
from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import (
    Assignment,
    Assignments,
    ContainerSpec,
    Desired,
    FileKind,
    Health,
    Inventory,
    Model,
    NodeCondition,
    Now,
    Overlay,
    TaskStatus,
)

#: Answers to pulses that the controller has not confirmed; a lease ends long before.
ANSWERS_KEPT_MAX = 100


class Work(StrEnum):
    """The command of a task that is in flight."""

    NONE = "none"
    PULL = "pull"  # waits for its image, which other tasks may wait for too
    CREATE = "create"
    START = "start"
    HOOKS = "hooks"  # its post_start hooks run; a stop does not wait for them
    STOP = "stop"
    REMOVE = "remove"


class Tally(NamedTuple):
    """What the probes of a run make of it, and how many in a row say otherwise. `why` it is unhealthy."""

    run: Run
    health: Health = Health.STARTING
    against: int = 0
    why: str = ""


class Task(Model, frozen=True, kw_only=True):
    """One task: what is wanted, what is seen, what is being done. Times are monotonic ms.

    `assignment` None: not in the desired set. `container` None: there is none on the engine.
    """

    status: TaskStatus
    assignment: Assignment | None = None
    spec: ContainerSpec | None = None
    container: Container | None = None
    work: Work = Work.NONE
    #: Set with the first stop: the state in which the task will have ended once its process is gone.
    ending: TaskState | None = None
    #: Its image was pulled for it: a second "no such image" is final.
    pulled: bool = False
    #: Commands that went unanswered in a row, and when the next may be tried.
    failures: int = 0
    retry_at: int = 0
    #: When its container was last seen to start, quick exits in a row, and when it may start in place.
    started_at: int = 0
    quick_exits: int = 0
    restart_at: int = 0
    #: What its probe has said, of this or an earlier run.
    probed: Tally | None = None
    #: The start (Container.changed_ms) for which its post_start hooks are done; -1 for none.
    hooked_ms: int = -1
    #: Its addresses on networks that span nodes, by their names; they are its own until it has ended.
    addresses: dict[str, str] = {}

    def __repr__(self) -> str:
        wanted = self.assignment.desired if self.assignment else "absent"
        phase = self.container.phase if self.container else "none"
        return f"<Task {self.id} {self.status.state}, wanted {wanted}, container {phase}, work {self.work}>"

    @property
    def id(self) -> str:
        """The task's id."""
        return self.status.task_id

    @property
    def ended(self) -> bool:
        """Whether the task will never run again."""
        return self.status.state in ENDED

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.container is not None and self.container.phase is Phase.RUNNING

    @property
    def wanted(self) -> bool:
        """Whether it shall run, at once or when its turn comes."""
        return self.assignment is not None and self.assignment.desired is not Desired.STOP

    @property
    def makes_room(self) -> bool:
        """Whether it shall end though nothing is wrong with it."""
        return self.assignment is not None and self.assignment.desired is Desired.STOP

    @property
    def fenced(self) -> bool:
        """Whether it must not run once the node's lease is over."""
        return self.assignment is not None and self.assignment.fence

    @property
    def hooks_due(self) -> bool:
        """Whether post_start hooks of its present run are not done."""
        if self.container is None or self.container.phase is not Phase.RUNNING or self.spec is None:
            return False
        return bool(self.spec.post_start) and self.hooked_ms != self.container.changed_ms

    @property
    def probe_health(self) -> Health:
        """What its probe says of its present run; NONE where it has no probe."""
        if self.spec is None or self.spec.probe is None or self.container is None:
            return Health.NONE
        told = self.probed is not None and self.probed.run == self.container.run
        return self.probed.health if self.probed is not None and told else Health.STARTING

    @property
    def holds_after_exit(self) -> bool:
        """Whether the engine may hold something of it, after its process, that its successor could need: a
        port of the host, an address. Or whether its pre_stop hooks have something to say."""
        if self.spec is None or self.container is None or self.container.ports:
            return True
        addresses = any(each.ipv4_address or each.ipv6_address for each in self.spec.networks)
        return addresses or bool(self.spec.pre_stop)

    def files(self) -> frozenset[StoredFile]:
        """The contents that it mounts."""
        return frozenset(StoredFile.of(mount) for mount in self.spec.files) if self.spec else frozenset()

    def networks(self) -> frozenset[str]:
        """Names of the networks that it uses or will use."""
        planned = {attachment.network for attachment in self.spec.networks} if self.spec else set()
        used = planned | set(self.container.networks if self.container else ())
        return frozenset(used - PREDEFINED_NETWORKS)


class WantedImage(NamedTuple):
    """What is pulled: an image for a platform, empty for the node's own."""

    image: str
    platform: str = ""


class Pull(Model, frozen=True, kw_only=True):
    """An image that tasks wait for. `missing`: it is not on this node, no task can do without the pull."""

    missing: bool = False
    in_flight: bool = False
    failures: int = 0
    retry_at: int = 0


class Files:
    """The contents of configs and secrets on this node, and what is on its way."""

    def __init__(self) -> None:
        self.held: set[StoredFile] = set()
        self.writing: set[StoredFile] = set()
        self.leaving: set[StoredFile] = set()
        #: Why files of a kind cannot be kept here, for people.
        self.refused: dict[FileKind, str] = {}
        #: Tasks that were found to lack a content. Some may have been withdrawn since.
        self.waiting: set[str] = set()
        #: Digests that this session's controller was asked for; the value is when to ask again, mono ms.
        self.asked: dict[str, int] = {}
        #: A content may have lost its last task.
        self.due = False


class Overlays:
    """The networks that span nodes, as this node takes part in them, and the addresses on them (see
    `agent.overlays`). Times are monotonic ms."""

    def __init__(self) -> None:
        #: By name: as the controller wants them, and as they were made here.
        self.told: dict[str, Overlay] = {}
        self.made: dict[str, Overlay] = {}
        #: Why others of them could not be made.
        self.faults: dict[str, Fault] = {}
        #: Those that are being made now; None: nothing is.
        self.keeping: tuple[Overlay, ...] | None = None
        #: They are to be looked at now, or at a moment (0: there is none).
        self.due = False
        self.look_at = 0
        #: Tasks that wait for a network or for an address. Some may have been withdrawn since.
        self.waiting: set[str] = set()
        #: Addresses in use, and when others became free, by network.
        self.held: dict[str, set[str]] = {}
        self.freed: dict[str, dict[str, int]] = {}
        #: An address may have come into use or become free.
        self.uses_due = False
        #: Networks on which an agent before this one gave addresses.
        self.recalled: frozenset[str] = frozenset()

    def is_made(self, network: str) -> bool:
        """Whether a network is here as it is wanted. Its nodes and blocks may be other ones."""
        wanted, made = self.told[network], self.made.get(network)
        return made is not None and _segment(wanted) == _segment(made)


def _segment(overlay: Overlay) -> tuple[int, str, str]:
    return overlay.vni, overlay.subnet, overlay.gateway


class Session:
    """The one link to the controller. `link` 0: none. `welcomed`: the controller's epoch is obeyed."""

    def __init__(self) -> None:
        self.link = 0
        self.greeted = False
        self.welcomed = False
        #: Since when there is no welcomed session, monotonic ms; None before the first event.
        self.alone_since: int | None = None


class Lease:
    """How long the controller counts on this node; times are monotonic ms (see `agent.lease`)."""

    def __init__(self) -> None:
        self.ms = 0
        #: When the first event came in this run, and when the controller was heard last.
        self.started_at: int | None = None
        self.pulsed_at = 0
        #: When the newest answer left that the controller is known to have; None before the first.
        self.held_from: int | None = None
        #: Answers of which that is not known yet: (pulse, when it left).
        self.answers: deque[tuple[int, int]] = deque(maxlen=ANSWERS_KEPT_MAX)
        self.over = False


class Outbox:
    """What the controller has not been told yet: the newest status counts, told once each."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        #: Those that ended or became unhealthy: they are told at once.
        self.urgent: set[str] = set()
        self.gone: set[str] = set()
        #: How long the controller wants all else to wait after a report.
        self.window_ms = 0
        #: A revision was taken over and not acknowledged.
        self.ack_due = False
        self.in_flight = False
        self.last_sent_at = 0
        #: What the controller was told of the node's condition.
        self.condition = NodeCondition()
        #: Since when there has been something to tell, monotonic ms; None while there is nothing.
        self.since: int | None = None

    def clear(self) -> None:
        """A new Hello tells all."""
        self.changed.clear()
        self.urgent.clear()
        self.gone.clear()
        self.ack_due = False
        self.in_flight = False

    @property
    def waiting(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.changed or self.gone or self.ack_due)


class State:
    """All of the core's memory. `cores` of the machine bound its starts."""

    def __init__(self, *, identity: NodeRef, boot_id: str, cores: int) -> None:
        self.identity = identity
        self.boot_id = boot_id
        self.cores = cores
        self.epoch = 0
        self.assignments = Assignments(revision=0)
        #: A whole desired set of the current epoch was received in this run: absence means something.
        self.confirmed = False
        #: The engine answers and its containers are known.
        self.engine_up = False
        #: When the engine that is away now answered last, monotonic ms; None while it answers.
        self.engine_silent_since: int | None = None
        self.inventory: Inventory | None = None
        self.condition = NodeCondition()
        self.tasks: dict[str, Task] = {}
        #: Tasks to be decided about, and those to be decided about later (monotonic ms).
        self.due: set[str] = set()
        self.timers: dict[str, int] = {}
        #: How many tasks have each kind of work in flight.
        self.busy: Counter[Work] = Counter()
        #: An assigned task has ended since the ends were last kept.
        self.ends_changed = False
        self.pulls: dict[WantedImage, Pull] = {}
        #: Networks of ours on the engine; the value is when removal may be tried (again), monotonic ms.
        self.networks: dict[str, int] = {}
        self.networks_leaving: set[str] = set()
        self.networks_due = False
        #: Which run of a task is probed, and the tasks of which that may change.
        self.probing: dict[str, Run] = {}
        self.probes_due: set[str] = set()
        self.files = Files()
        self.overlays = Overlays()
        #: Some task's hooks were done since that was last kept.
        self.hooked_changed = False
        self.session = Session()
        self.lease = Lease()
        self.outbox = Outbox()

    def engine_silent_ms(self, now: Now) -> int:
        """How long the engine has not answered; 0: it does."""
        since = self.engine_silent_since
        return 0 if since is None else max(1, now.mono_ms - since)

    def put(self, task: Task) -> None:
        """Change a row and note what follows from it: decide about it, tell it, keep its end."""
        old = self.tasks.get(task.id)
        if old is not None:
            self.busy[old.work] -= 1
        self.busy[task.work] += 1
        self.tasks[task.id] = task
        self.due.add(task.id)
        if task.id in self.probing or (task.spec is not None and task.spec.probe is not None):
            self.probes_due.add(task.id)
        if task.container is not None and (old is None or old.container is None):
            # It may have been made late, by a call that was given up, after its network was removed.
            for network in sorted(task.networks()):
                self.networks.setdefault(network, 0)
        if task.addresses or (old is not None and old.addresses):
            self.overlays.uses_due = True
        if old is None or old.status != task.status:
            self.outbox.changed.add(task.id)
            if task.ended or task.status.health is Health.UNHEALTHY:
                self.outbox.urgent.add(task.id)
            self.ends_changed |= task.ended and task.assignment is not None

    def forget(self, task: Task) -> None:
        """Drop the row of a task of which nothing is left."""
        assert task.work is Work.NONE
        del self.tasks[task.id]
        self.busy[task.work] -= 1
        self.due.discard(task.id)
        self.outbox.changed.discard(task.id)
        self.outbox.urgent.discard(task.id)
        self.outbox.gone.add(task.id)
        self.probes_due.add(task.id)
        self.networks_due = self.files.due = self.overlays.uses_due = True

    def ends(self) -> tuple[TaskStatus, ...]:
        """The statuses of the ended tasks that are still assigned, by id."""
        return tuple(task.status for task in self.sorted_tasks() if task.ended and task.assignment)

    def hooked(self) -> dict[str, int]:
        """For which start the hooks of each task are done."""
        return {task.id: task.hooked_ms for task in self.sorted_tasks() if task.hooked_ms >= 0}

    def waiting_for(self, wanted: WantedImage) -> list[Task]:
        """The tasks that wait for an image, by id."""
        return [
            task
            for task in self.sorted_tasks()
            if task.work is Work.PULL and task.spec is not None and wanted_image(task.spec) == wanted
        ]

    def sorted_tasks(self) -> list[Task]:
        """The rows by id."""
        return [self.tasks[task_id] for task_id in sorted(self.tasks)]


class Turn(NamedTuple):
    """One step of the core: its memory, the time, and what the step leads to."""

    state: State
    now: Now
    changes: list[Change]
    commands: list[Command]


def wanted_image(spec: ContainerSpec) -> WantedImage:
    """The image that a container is made of."""
    return WantedImage(spec.image, spec.platform)


def taken_up(task_id: str, wall_ms: int) -> TaskStatus:
    """The status of a task that the agent has just learnt of."""
    return TaskStatus(task_id=task_id, state=TaskState.ASSIGNED, since_ms=wall_ms)
