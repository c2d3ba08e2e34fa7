"""The real agent, wired as in the daemon, on a real engine; only the controller is this test's hand."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import structlog

from agent import events as ev
from agent.core import AgentCore
from agent.daemon import Agent
from agent.doors.witnessing import WitnessKeeper
from agent.runtime.docker import DockerEngine
from agent.runtime.files import FileStore
from agent.runtime.journal import Journal
from agent.runtime.logs import Batch
from agent.state import Work
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignment,
    Assignments,
    ContainerSpec,
    Desired,
    LogLine,
    RestartCondition,
    TaskStatus,
)
from bayplan.session import (
    AgentSays,
    ControllerSays,
    Files,
    FilesWanted,
    Heartbeat,
    Hello,
    LogPull,
    Preflight,
    PreflightResult,
    Pulse,
    Report,
    Welcome,
)
from tests.real.host import Host

IMAGE = "bayplan/demo:1"
TIMEOUT_S = 20.0
#: Between two pulses of the controller.
PULSE_S = 0.2


class MemoryLink:
    """A link whose other end is the test."""

    def __init__(self) -> None:
        self.said: list[AgentSays] = []
        self.arrived = asyncio.Event()
        self.inbox: asyncio.Queue[ControllerSays | None] = asyncio.Queue()
        self.closed = False

    async def send(self, message: AgentSays) -> None:
        if self.closed:
            raise ConnectionError("closed")
        self.said.append(message)
        self.arrived.set()

    async def __aiter__(self) -> AsyncIterator[ControllerSays]:
        while (message := await self.inbox.get()) is not None:
            yield message

    async def close(self) -> None:
        self.closed = True
        self.arrived.set()
        self.inbox.put_nowait(None)


class World:
    """One agent at a time, and what the controller knows: the newest status of each task."""

    def __init__(self, host: Host, data_dir: Path, node_id: str = "n1") -> None:
        self.host = host
        self.core: AgentCore | None = None
        self.epoch = 1
        self.revision = 0
        self.reachable = True
        self.link: MemoryLink | None = None
        self.heard: list[TaskStatus] = []
        self.gone: set[str] = set()
        self.acked = 0
        self.beats = 0
        #: How long the engine has not answered, as the newest heartbeat tells it.
        self.engine_silent_ms = 0
        self.lines: list[LogLine] = []
        self.warnings: list[str] = []
        self.answers: list[PreflightResult] = []
        self.hellos: list[Hello] = []
        #: What the controller has of configs and secrets, and which digests it was asked for.
        self.contents: dict[str, bytes] = {}
        self.asked: list[tuple[str, ...]] = []
        self._data_dir = data_dir
        #: A tmpfs that the host's engine and this process reach by one path.
        self.run_dir = Path(tempfile.mkdtemp(prefix="bayplan-", dir="/dev/shm"))
        self._node = ev.NodeRef(node_id=node_id, cluster_id="c1")
        self._assigned: dict[str, tuple[Assignment, ContainerSpec]] = {}
        self._running: asyncio.Task[None] | None = None
        self._links = 0
        self._logged = structlog.testing.LogCapture()
        structlog.configure(processors=[self._logged], cache_logger_on_first_use=False)

    # --- the agent ---------------------------------------------------------------------------------

    async def start_agent(self) -> None:
        self._running = asyncio.create_task(self._run_agent())
        if self.reachable:
            await self.until("the agent is in session", lambda: self.link is not None)

    async def kill_agent(self) -> None:
        """The agent ends without a word, as by SIGKILL."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        self._running = self.link = None

    @contextlib.contextmanager
    def hung_engine(self) -> Iterator[None]:
        """Dockerd neither answers nor ends: its sockets stay open."""
        self.host.run("pkill", "-STOP", "dockerd")
        try:
            yield
        finally:
            self.host.run("pkill", "-CONT", "dockerd")
            # The program through which it was started had stopped with it, and would never reap it.
            subprocess.run(["pkill", "-CONT", "-f", f"^nsenter .*{self.host.docker_socket}"], check=True)

    def agent_log(self, event: str) -> list[object]:
        """What the agent logged of one event."""
        return [entry for entry in self._logged.entries if entry["event"] == event]

    def failures(self) -> set[str]:
        """The tasks whose last command was given up."""
        assert self.core is not None
        return {
            task.id for task in self.core.state.tasks.values() if task.failures and task.work is Work.NONE
        }

    def journal_files(self) -> list[Path]:
        return sorted(self._data_dir.glob("*.journal"))

    async def _run_agent(self) -> None:
        journal = Journal(self._data_dir)
        core = AgentCore(identity=self._node, remembered=journal.load(), boot_id="b1", cores=2)
        self.core = core
        async with (
            DockerEngine(str(self.host.docker_socket), self._node, "0") as engine,
            asyncio.TaskGroup() as group,
        ):
            store = FileStore(self._data_dir, self.run_dir, self._node.node_id)
            witness = WitnessKeeper(self.run_dir / "witness", lambda: "127.0.0.1")
            Agent(core, journal, engine, store, self._connect, self._carry, group, witness).start()

    async def close(self) -> None:
        await self.kill_agent()
        structlog.reset_defaults()
        for container in self.host.containers():
            self.host.docker("rm", "-f", "-v", container)
        for network in self.host.networks():
            self.host.docker("network", "rm", network)
        shutil.rmtree(self.run_dir)

    # --- the controller's seat ------------------------------------------------------------------------

    async def _connect(self) -> MemoryLink:
        if not self.reachable:
            raise ConnectionError("no controller")
        self._links += 1
        link = MemoryLink()
        for part in (self._serve(link), self._pulse(link)):
            asyncio.get_running_loop().create_task(part)
        return link

    async def _pulse(self, link: MemoryLink) -> None:
        number = 0
        while not link.closed:
            await asyncio.sleep(PULSE_S)
            if self.link is link:
                number += 1
                link.inbox.put_nowait(Pulse(number=number, heard=max(0, number - 1)))

    async def _serve(self, link: MemoryLink) -> None:
        while not link.closed:
            await link.arrived.wait()
            link.arrived.clear()
            said, link.said = link.said, []
            for message in said:
                self._take(link, message)

    def _take(self, link: MemoryLink, message: AgentSays) -> None:
        if isinstance(message, Hello):
            self.hellos.append(message)
            self.heard += message.tasks
            link.inbox.put_nowait(
                Welcome(session_id=str(self._links), epoch=self.epoch, heartbeat_ms=200, node_name="n1")
            )
            self.link = link
            if self._assigned:
                self._send_assignments()
        elif isinstance(message, Report):
            self.heard += message.tasks
            self.gone.update(message.gone)
            self.acked = message.revision
        elif isinstance(message, FilesWanted):
            self.asked.append(message.digests)
            for digest in message.digests:
                if digest in self.contents:
                    link.inbox.put_nowait(Files(contents={digest: self.contents[digest]}))
        elif isinstance(message, Heartbeat):
            self.beats += 1
            self.engine_silent_ms = message.engine_silent_ms
        elif isinstance(message, PreflightResult):
            self.answers.append(message)

    async def cut(self) -> None:
        """The controller is gone."""
        self.reachable = False
        if self.link is not None:
            await self.link.close()
        self.link = None

    async def heal(self) -> None:
        self.reachable = True
        await self.until("the agent is back", lambda: self.link is not None)

    def assign(
        self,
        task_id: str,
        spec: ContainerSpec | None,
        desired: Desired = Desired.RUN,
        restart: RestartCondition = RestartCondition.ANY,
    ) -> None:
        """Add or change one task of the desired set and send it."""
        spec = spec or self._assigned[task_id][1]
        assignment = Assignment(
            task_id=task_id,
            service="shop_web",
            stack="shop",
            slot=1,
            version=1,
            desired=desired,
            spec_id=task_id,
            restart=restart,
        )
        self._assigned[task_id] = (assignment, spec)
        self._send_assignments()

    def withdraw(self, task_id: str) -> None:
        """Take one task out of the desired set and send it."""
        del self._assigned[task_id]
        self._send_assignments()

    def _send_assignments(self) -> None:
        self.revision += 1
        self.say(
            Assignments(
                revision=self.revision,
                tasks=tuple(assignment for assignment, _ in self._assigned.values()),
                specs={assignment.spec_id: spec for assignment, spec in self._assigned.values()},
            )
        )

    def say(self, message: ControllerSays) -> None:
        assert self.link is not None
        self.link.inbox.put_nowait(message)

    async def preflight(self, **wishes: object) -> PreflightResult:
        self.say(Preflight(ticket="t1", **wishes))  # type: ignore[arg-type]
        await self.until("the preflight is answered", lambda: self.answers)
        return self.answers.pop()

    async def logs(self, pull: LogPull, lines: int) -> list[bytes]:
        self.say(pull)
        await self.until(f"{lines} lines came", lambda: len(self.lines) >= lines)
        return [line.text for line in self.lines]

    async def _carry(self, _request_id: str, batches: AsyncIterator[Batch]) -> None:
        async for lines, warning in batches:
            self.lines += lines
            self.warnings += [warning] if warning else []

    # --- what is seen ---------------------------------------------------------------------------------

    def status(self, task_id: str) -> TaskStatus | None:
        """The newest status that the controller was told."""
        return next((status for status in reversed(self.heard) if status.task_id == task_id), None)

    def states(self, task_id: str) -> list[TaskState]:
        """All states of a task that the controller was told, in order, each once."""
        told = [status.state for status in self.heard if status.task_id == task_id]
        return list(dict.fromkeys(told))

    async def reach(self, task_id: str, state: TaskState, timeout_s: float = TIMEOUT_S) -> TaskStatus:
        """Wait until the controller was told that a task is in a state."""

        def reached() -> bool:
            status = self.status(task_id)
            return status is not None and status.state is state

        await self.until(f"{task_id} is {state}", reached, timeout_s)
        status = self.status(task_id)
        assert status is not None
        return status

    async def until(self, what: str, condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> float:
        """Wait for a condition; the seconds it took."""
        began = time.monotonic()
        while not condition():
            if self._running is not None and self._running.done():
                self._running.result()
            if time.monotonic() - began > timeout_s:
                raise AssertionError(f"not within {timeout_s:g} s: {what}; told: {self.heard[-3:]}")
            await asyncio.sleep(0.005)
        return time.monotonic() - began
