"""A small world around the agent's core: a clock, a controller and an engine that obey the test."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent.core import AgentCore
from bayplan.lifecycle import TaskState, may_follow
from bayplan.model import (
    Assignment,
    Assignments,
    ContainerSpec,
    Desired,
    FileKind,
    FileMount,
    Health,
    HealthCheck,
    Inventory,
    Now,
    Overlay,
    TaskStatus,
)
from bayplan.session import Files, FilesWanted, Hello, Report, Welcome

CommandT = TypeVar("CommandT")
IDENTITY = ev.NodeRef(node_id="n1", cluster_id="c1")
CHECKED = ContainerSpec(image="web:1", health_check=HealthCheck(test=("CMD", "true")))
PLAIN = ContainerSpec(image="web:1")


def assignment(task_id: str, desired: Desired = Desired.RUN, **fields: Any) -> Assignment:
    given = {"service": "shop_web", "stack": "shop", "slot": 1, "version": 1, "spec_id": "s1"} | fields
    return Assignment(task_id=task_id, desired=desired, **given)


def container(task_id: str, phase: ev.Phase = ev.Phase.RUNNING, **fields: Any) -> ev.Container:
    if phase is ev.Phase.EXITED:
        fields = {"exit_code": 1} | fields
    return ev.Container(task_id=task_id, container_id=f"c-{task_id}", phase=phase, **fields)


class World:
    """A core and what it did. `auto` lets the engine obey every command at once."""

    def __init__(self, *, cores: int = 2, remembered: ev.Remembered | None = None, auto: bool = True) -> None:
        self.core = AgentCore(
            identity=IDENTITY, remembered=remembered or ev.Remembered(), boot_id="b1", cores=cores
        )
        self.auto = auto
        self.link_takes = True
        self.mono_ms = 1_000
        self.commands: list[do.Command] = []
        self.changes: list[ev.Change] = []
        self.told: dict[str, TaskStatus] = {}
        self.gone: set[str] = set()
        self.engine: dict[str, ev.Container] = {}
        #: What the controller has of configs and secrets, which digests it was asked for, and the disk.
        self.contents: dict[str, bytes] = {}
        self.asked: list[tuple[str, ...]] = []
        self.disk: set[ev.StoredFile] = set()
        #: Why networks that span nodes cannot be made.
        self.network_faults: dict[str, ev.Fault] = {}
        self.link = 0
        self.revision = 0

    # --- driving ------------------------------------------------------------------------------------

    def post(self, event: ev.Event) -> None:
        self._take(self.core.step(event, self._now()))

    def wait(self, ms: int) -> None:
        """Let time pass, stopping wherever the core wants to be woken."""
        end = self.mono_ms + ms
        while (wake_at := self.core.wake_at()) is not None and wake_at <= end:
            assert wake_at > self.mono_ms or self.core.wake_at() != self._wake(), "the core spins"
            self.mono_ms = max(self.mono_ms, wake_at)
            self._wake()
        self.mono_ms = end
        self._wake()

    def _wake(self) -> int | None:
        self._take(self.core.wake(self._now()))
        return self.core.wake_at()

    def _now(self) -> Now:
        return Now(self.mono_ms, 1_700_000_000_000 + self.mono_ms)

    def _take(self, step: Any) -> None:
        self.changes += step.changes
        for command in step.commands:
            self.commands.append(command)
            if isinstance(command, do.Say):
                self._listen(command)
            elif self.auto:
                self.obey(command)

    def _listen(self, say: do.Say) -> None:
        message = say.message
        if isinstance(message, Hello):
            self.told = {status.task_id: status for status in message.tasks}
        elif isinstance(message, Report):
            for status in message.tasks:
                before = self.told.get(status.task_id)
                assert before is None or may_follow(before.state, status.state), (before, status)
                self.told[status.task_id] = status
            self.gone.update(message.gone)
            if self.link_takes:
                self.post(ev.Said(link=say.link))
        elif isinstance(message, FilesWanted):
            self.asked.append(message.digests)
            if self.contents:
                self.give(*message.digests)

    # --- the engine ---------------------------------------------------------------------------------

    def obey(self, command: do.Command) -> None:
        """Do at once what a real engine does after a while."""
        match command:
            case do.CreateContainer(task_id=task_id, spec=spec):
                networks = tuple(attachment.network for attachment in spec.networks)
                addresses = {each.network: each.ipv4_address for each in spec.networks if each.ipv4_address}
                made = container(task_id, ev.Phase.CREATED, networks=networks, addresses=addresses)
                self.engine[task_id] = made
                self.post(ev.ContainerCreated(container=made))
            case do.StartContainer(task_id=task_id):
                checked = self.core.state.tasks[task_id].spec is CHECKED
                health = Health.STARTING if checked else Health.NONE
                made = replace(self.engine[task_id], phase=ev.Phase.RUNNING, health=health, exit_code=None)
                self.engine[task_id] = made = replace(made, changed_ms=self.mono_ms)
                self.post(ev.ContainerStarted(container=made))
            case do.StopContainer(task_id=task_id):
                self.die(task_id, 0)
                self.post(ev.ContainerStopped(container=self.engine[task_id]))
            case do.RemoveContainer(task_id=task_id):
                del self.engine[task_id]
                self.post(ev.ContainerRemoved(task_id=task_id))
            case do.RunHooks(task_id=task_id, started_ms=started_ms):
                self.post(ev.HooksDone(task_id=task_id, started_ms=started_ms))
            case do.StartProbe() | do.StopProbe():
                pass  # tests say what a probe finds
            case do.WriteFile(file=file):
                self.disk.add(file)
                self.post(ev.FileWritten(file=file))
            case do.RemoveFile(file=file):
                self.disk.discard(file)
                self.post(ev.FileRemoved(file=file))
            case do.PullImage(image=image):
                self.post(ev.ImagePulled(image=image))
            case do.RemoveNetwork(network=network):
                self.post(ev.NetworkRemoved(network=network))
            case do.KeepOverlays(overlays=overlays):
                names = {overlay.network for overlay in overlays} - self.network_faults.keys()
                self.post(ev.OverlaysKept(made=tuple(sorted(names)), faults=dict(self.network_faults)))

    def fail(self, task_id: str, kind: ev.FaultKind, reason: str = "no") -> None:
        self.post(ev.CommandFailed(task_id=task_id, fault=ev.Fault(kind=kind, reason=reason)))

    def die(self, task_id: str, exit_code: int) -> None:
        """A container's process ends."""
        self.engine[task_id] = replace(self.engine[task_id], phase=ev.Phase.EXITED, exit_code=exit_code)
        self.post(
            ev.ContainerExited(task_id=task_id, container_id=f"c-{task_id}", exit_code=exit_code, at_ms=5)
        )

    def health(self, task_id: str, health: Health, probe_output: str = "") -> None:
        self.engine[task_id] = replace(self.engine[task_id], health=health, probe_output=probe_output)
        self.post(ev.ContainerObserved(container=self.engine[task_id]))

    def probe(self, task_id: str, *results: str) -> None:
        """Probes of the task's present run, one after the other: why each failed, empty for a success."""
        for why in results:
            self.post(ev.Probed(task_id=task_id, run=self.engine[task_id].run, why=why))

    def list_engine(self, *containers: ev.Container, networks: tuple[str, ...] = ()) -> None:
        for found in containers:
            self.engine[found.task_id] = found
        listed = tuple(self.engine.values())
        self.post(ev.EngineListed(containers=listed, networks=networks, inventory=Inventory(hostname="h")))

    # --- the controller -------------------------------------------------------------------------------

    def connect(self, epoch: int = 1) -> None:
        """A new link, and a Welcome if the agent says Hello."""
        self.open_link()
        self.hear(Welcome(session_id="s", epoch=epoch, heartbeat_ms=1_000))

    def open_link(self) -> None:
        self.link += 1
        self.post(ev.LinkOpened(link=self.link))

    def hear(self, message: Any, link: int = 0) -> None:
        self.post(ev.Heard(link=link or self.link, message=message))

    def cut(self) -> None:
        self.post(ev.LinkClosed(link=self.link, reason="cut"))

    def give(self, *digests: str) -> None:
        """The controller sends contents."""
        self.hear(Files(contents={digest: self.contents[digest] for digest in digests}))

    def assign(
        self, *assignments: Assignment, spec: ContainerSpec = PLAIN, overlays: tuple[Overlay, ...] = ()
    ) -> None:
        """The whole desired set."""
        self.revision += 1
        specs = {found.spec_id: spec for found in assignments}
        told = Assignments(revision=self.revision, tasks=assignments, specs=specs, overlays=overlays)
        self.hear(told)

    def run(self, *task_ids: str, spec: ContainerSpec = PLAIN, **fields: Any) -> None:
        """The whole desired set: these tasks shall run."""
        self.assign(*(assignment(task_id, **fields) for task_id in task_ids), spec=spec)

    # --- looking ----------------------------------------------------------------------------------

    def done(self, kind: type[CommandT]) -> list[CommandT]:
        """The commands of a kind so far."""
        return [command for command in self.commands if isinstance(command, kind)]

    def state(self, task_id: str) -> TaskState:
        """What the controller was told last of a task."""
        self.wait(100)
        return self.told[task_id].state

    def engine_silent_ms(self) -> int:
        return self.core.state.engine_silent_ms(self._now())

    def alive(self) -> set[str]:
        return {found.task_id for found in self.engine.values() if found.phase is ev.Phase.RUNNING}


def ready(**fields: Any) -> World:
    """An agent in session on an empty engine."""
    world = World(**fields)
    world.list_engine()
    world.connect()
    return world


def mount(source: str, digest: str, kind: FileKind = FileKind.CONFIG, **fields: Any) -> FileMount:
    """A config or secret below /etc of a container."""
    given = {"target": f"/etc/{source}"} | fields
    return FileMount(kind=kind, source=source, digest=digest, **given)


def remembered(*assignments: Assignment, epoch: int = 1, revision: int = 1, **fields: Any) -> ev.Remembered:
    """A journal with these tasks."""
    kept = Assignments(revision=revision, tasks=assignments, specs={"s1": PLAIN})
    return ev.Remembered(epoch=epoch, assignments=kept, **fields)
