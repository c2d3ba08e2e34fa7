"""A small world around the real controller core: nodes that do what they are told, at a spoken time."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from bayplan import columns
from bayplan.columns import unpacked
from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import (
    Assignments,
    BoundPort,
    ContainerSpec,
    Desired,
    FileKind,
    Health,
    Inventory,
    NodeCondition,
    Now,
    PortSpec,
    PreflightFault,
    Resources,
    ServiceSpec,
    StackSpec,
    TaskStatus,
)
from bayplan.session import (
    Dismissal,
    Files,
    FilesWanted,
    Goodbye,
    Heartbeat,
    Hello,
    Preflight,
    PreflightResult,
    Pulse,
    Report,
)
from bayplan.views import RolloutAction, RolloutView, ServiceView
from controller.core import ControllerCore
from controller.core.turn import Settings
from controller.events import (
    AgentSaid,
    Assign,
    DeployAsked,
    Event,
    FileCreateAsked,
    FileRemoveAsked,
    FileUpdateAsked,
    JoinAsked,
    PlanAsked,
    RemoveAsked,
    Reply,
    RollbackAsked,
    RolloutAsked,
    ScaleAsked,
    Send,
    ServiceRollbackAsked,
    SessionLost,
    SessionOpened,
    TokenMade,
)
from controller.records import Cluster, Put, Task
from controller.state import State
from controller.views import rollout_view, service_view

GIB = 1024**3


def service(name: str = "web", image: str = "app:1", **fields: Any) -> ServiceSpec:
    """A service; `ports=[8080]` publishes fixed ports, `cpu` and `memory` reserve."""
    ports = tuple(PortSpec(target=80, published=port) for port in fields.pop("ports", ()))
    reservations = Resources(cpu_millis=fields.pop("cpu", 0), memory_bytes=fields.pop("memory", 0))
    container = ContainerSpec(image=image, ports=ports, **fields.pop("container", {}))
    return ServiceSpec(name=name, container=container, reservations=reservations, **fields)


def stack(*services: ServiceSpec, name: str = "shop") -> StackSpec:
    return StackSpec(name=name, services=services)


class Node:
    """An agent as the controller sees it. It obeys at once unless `obedient` is taken from it."""

    def __init__(self, world: World, node_id: str, inventory: Inventory) -> None:
        self.world = world
        self.id = node_id
        self.inventory = inventory
        self.session = ""
        self.obedient = True
        #: Whether it answers pulses, and what it says then of its engine.
        self.beating = True
        self.engine_silent_ms = 0
        self.faults: tuple[PreflightFault, ...] = ()
        self.images: dict[str, str] = {}
        self.given: list[Files] = []
        self.statuses: dict[str, TaskStatus] = {}
        self.assigned = Assignments(revision=0)
        self.dismissed: list[Dismissal] = []
        self.asked: list[Preflight] = []

    def connect(self, boot_id: str = "") -> None:
        self.session = f"{self.id}-{self.world.next_number()}"
        hello = Hello(
            boot_id=boot_id or f"boot-{self.id}",
            epoch=1,
            revision=self.assigned.revision,
            inventory=self.inventory,
            tasks=tuple(self.statuses.values()),
        )
        told = columns.packed(hello)  # as it travels
        self.world.event(SessionOpened(node_id=self.id, session_id=self.session, hello=told))

    def disconnect(self) -> None:
        session, self.session = self.session, ""
        self.world.event(SessionLost(node_id=self.id, session_id=session))

    def says(
        self, message: Report | Heartbeat | PreflightResult | FilesWanted | NodeCondition | Goodbye
    ) -> None:
        self.world.event(AgentSaid(node_id=self.id, session_id=self.session, message=message))

    def reports(self, task_id: str, state: TaskState, **fields: Any) -> None:
        status = TaskStatus(task_id=task_id, state=state, **fields)
        self.statuses[task_id] = status
        self.says(Report(revision=self.assigned.revision, tasks=(status,)))

    def running(self) -> list[str]:
        return sorted(i for i, status in self.statuses.items() if status.state is TaskState.RUNNING)

    def hears(self, message: Any) -> None:
        if isinstance(message, Dismissal):
            self.dismissed.append(message)
        elif isinstance(message, Pulse):
            if self.beating and self.world.beating:
                self.says(Heartbeat(pulse=message.number, engine_silent_ms=self.engine_silent_ms))
        elif isinstance(message, Preflight):
            self.asked.append(message)
            if self.obedient:
                images = {name: self.images[name] for name in message.images if name in self.images}
                self.says(PreflightResult(ticket=message.ticket, faults=self.faults, images=images))
        elif isinstance(message, Files):
            self.given.append(message)
        elif isinstance(message, Assignments):
            self.assigned = message
            if self.obedient:
                self.obey()

    def obey(self) -> None:
        wanted = {each.task_id: each for each in self.assigned.tasks}
        gone = tuple(sorted(set(self.statuses) - set(wanted)))
        for task_id in gone:
            del self.statuses[task_id]
        changed = []
        for task_id, assignment in wanted.items():
            before = self.statuses.get(task_id)
            spec = self.assigned.specs[assignment.spec_id]
            made = before is not None and before.state is not TaskState.PREPARING
            if assignment.desired is Desired.RUN and not made:
                changed.append(self._run(task_id, spec))
            elif assignment.desired is Desired.READY and before is None:
                changed.append(self._prepare(task_id, spec))
            elif assignment.desired is Desired.STOP and (before is None or before.state not in ENDED):
                changed.append(TaskStatus(task_id=task_id, state=TaskState.SHUTDOWN))
        self.statuses |= {status.task_id: status for status in changed}
        if changed or gone:
            self.says(Report(revision=self.assigned.revision, tasks=tuple(changed), gone=gone))

    def _prepare(self, task_id: str, spec: ContainerSpec) -> TaskStatus:
        found = self.world.fates.get(spec.image)
        if found is not None and found.state in (TaskState.PREPARING, TaskState.REJECTED):
            return msgspec.structs.replace(found, task_id=task_id)
        return TaskStatus(task_id=task_id, state=TaskState.PREPARING, container_id="made")

    def _run(self, task_id: str, spec: ContainerSpec) -> TaskStatus:
        if spec.image in self.world.fates:
            return msgspec.structs.replace(self.world.fates[spec.image], task_id=task_id)
        ports = tuple(BoundPort(target=port.target, published=port.published or 32768) for port in spec.ports)
        return TaskStatus(
            task_id=task_id, state=TaskState.RUNNING, health=Health.NONE, address="172.18.0.2", ports=ports
        )


def fate(state: TaskState, message: str = "", **fields: Any) -> TaskStatus:
    """What becomes of a container."""
    return TaskStatus(task_id="", state=state, message=message, **fields)


CRASHES = fate(TaskState.FAILED, "exit code 1", exit_code=1)
STARTS = fate(TaskState.STARTING, health=Health.STARTING)
ENDS = fate(TaskState.COMPLETE, exit_code=0)


class World:
    """The core, its nodes, and a clock that moves only when told to."""

    def __init__(
        self, state: State | None = None, start_ms: int = 1_000_000, settings: Settings | None = None
    ) -> None:
        self.now_ms = start_ms
        #: What the clock on the wall shows beyond that; it may be set.
        self.clock_ms = 1_700_000_000_000
        self.state = state or State([Cluster(id="c", epoch=1)])
        self.settings = settings or Settings()
        self.core = ControllerCore(self.state, random.Random(7), self.now, self.settings)
        self.nodes: dict[str, Node] = {}
        self.replies: dict[str, Reply] = {}
        self.log: list[Any] = []
        #: What becomes of the containers of an image, where they do not simply run.
        self.fates: dict[str, TaskStatus] = {}
        self.beating = True
        self._queue: list[Event] = []
        self._number = 0
        self._busy = False

    @property
    def now(self) -> Now:
        return Now(self.now_ms, self.now_ms + self.clock_ms)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def node(self, name: str, cpu: int = 4, memory: int = 8 * GIB, **labels: str) -> Node:
        """A node that has joined and is connected."""
        if "tok" not in self.state.tokens:
            self.event(TokenMade(ticket="t", token_id="tok", secret_hash="s", expires_ms=2**50, uses=1000))
        self.event(
            JoinAsked(
                ticket="join",
                token_id="tok",
                secret_hash="s",
                key_id=f"key-{name}",
                name=name,
                address=f"10.0.0.{len(self.nodes) + 1}",
                labels=labels,
            )
        )
        joined: Any = self.replies["join"].value
        inventory = Inventory(
            hostname=name, capacity=Resources(cpu_millis=cpu * 1000, memory_bytes=memory), os="linux"
        )
        node = self.nodes[joined.id] = Node(self, joined.id, inventory)
        node.connect()
        return node

    def event(self, event: Event) -> None:
        """Let something happen, and all that follows from it at the same moment."""
        self._queue.append(event)
        if self._busy:
            return
        self._busy = True
        while self._queue:
            self._perform(self.core.step(self._queue.pop(0), self.now))
            self._perform(self.core.wake(self.now))
        self._busy = False

    def pass_time(self, ms: int, *, beating: bool = True) -> None:
        """Let time pass, second by second; connected nodes answer pulses unless not `beating`."""
        end, self.beating = self.now_ms + ms, beating
        while self.now_ms < end:
            due = self.core.wake_at()
            step = min(end, self.now_ms + 1_000, max(due, self.now_ms + 1) if due else end)
            self.now_ms = step
            self._perform(self.core.wake(self.now))
            while self._queue:
                self.event(self._queue.pop(0))
        self.beating = True

    def _perform(self, step: Any) -> None:
        self.log += [change for change in step.changes if isinstance(change, Put)]
        for command in step.commands:
            if isinstance(command, Reply):
                self.replies[command.ticket] = command
            elif isinstance(command, Assign):
                node = self.nodes.get(command.node_id)
                wanted = self.core.assignments(command.node_id)
                if node is not None and wanted is not None and command.session_id == node.session:
                    node.hears(unpacked(wanted))
            elif isinstance(command, Send):
                node = self.nodes.get(command.node_id)
                if node is not None and command.session_id == node.session:
                    node.hears(command.message)
                elif node is not None and isinstance(command.message, Dismissal):
                    node.dismissed.append(command.message)

    # --- what users do ---

    def deploy(self, wished: StackSpec, **fields: Any) -> Reply:
        return self.ask(DeployAsked(ticket="", stack=wished, **fields))

    def plan(self, wished: StackSpec, **fields: Any) -> Any:
        """The plan itself."""
        reply = self.ask(PlanAsked(ticket="", stack=wished, **fields))
        assert reply.problem is None, reply.problem
        return reply.value

    def rollback(self, revision: int = 0, name: str = "shop", **fields: Any) -> Reply:
        return self.ask(RollbackAsked(ticket="", stack=name, revision=revision, **fields))

    def create_file(self, name: str, content: bytes, kind: FileKind = FileKind.SECRET) -> Reply:
        return self.ask(FileCreateAsked(ticket="", kind=kind, name=name, content=content))

    def update_file(self, name: str, content: bytes, kind: FileKind = FileKind.SECRET) -> Reply:
        return self.ask(FileUpdateAsked(ticket="", kind=kind, name=name, content=content))

    def remove_file(self, name: str, kind: FileKind = FileKind.SECRET) -> Reply:
        return self.ask(FileRemoveAsked(ticket="", kind=kind, name=name))

    def remove(self, name: str = "shop") -> Reply:
        return self.ask(RemoveAsked(ticket="", stack=name))

    def scale(self, name: str, replicas: int) -> Reply:
        return self.ask(ScaleAsked(ticket="", service=name, replicas=replicas))

    def steer(self, action: RolloutAction, name: str = "shop_web") -> Reply:
        return self.ask(RolloutAsked(ticket="", service=name, action=action))

    def roll_back(self, name: str = "shop_web") -> Reply:
        return self.ask(ServiceRollbackAsked(ticket="", service=name))

    def ask(self, event: Any) -> Any:
        """The reply to a user's request."""
        ticket = f"ticket-{self.next_number()}"
        self.event(msgspec.structs.replace(event, ticket=ticket))
        while (
            ticket not in self.replies and (self.core.wake_at() or 2**60) <= self.now_ms
        ):  # in several turns
            self._perform(self.core.wake(self.now))
            while self._queue:
                self.event(self._queue.pop(0))
        return self.replies.get(ticket)

    # --- what can be seen ---

    def tasks(self, name: str = "shop_web") -> list[Task]:
        found = self.state.service_named(name)
        return self.state.tasks_of(found.id) if found else []

    def runs(self, name: str = "shop_web") -> dict[int, int]:
        """By slot the version of what runs and shall."""
        state = self.state
        running = [t for t in self.wanted(name) if state.status_of(t).state is TaskState.RUNNING]
        return {task.slot: task.version for task in running}

    def rollout(self, name: str = "shop_web") -> RolloutView:
        found = self.state.service_named(name)
        assert found is not None, name
        return rollout_view(self.state, found, self.now_ms)

    def view(self, name: str = "shop_web") -> ServiceView:
        found = self.state.service_named(name)
        assert found is not None, name
        return service_view(self.state, found)

    def spec(self, name: str = "shop_web") -> ServiceSpec:
        """The spec of the current version."""
        found = self.state.service_named(name)
        assert found is not None, name
        return self.state.spec_of(found)

    def wanted(self, name: str = "shop_web") -> list[Task]:
        return [task for task in self.tasks(name) if task.wanted]

    def restarted(self) -> World:
        """The world after the controller was killed and started again, with its nodes not yet back."""
        records = list(self.state.records())
        cluster = msgspec.structs.replace(self.state.cluster, epoch=self.state.cluster.epoch + 1)
        again = type(self)(State([*records, cluster]), self.now_ms, self.settings)
        for node in self.nodes.values():
            node.world, node.session = again, ""
        again.nodes, again.fates = self.nodes, self.fates
        again._number = self._number
        return again
