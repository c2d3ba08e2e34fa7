"""A machine of the cluster: its engine, its agent (the real core), its journal, its session door.

The door and the watcher behave as `agent.doors.session` and `agent.runtime.watch` do, on virtual time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from agent import commands as do
from agent import events as ev
from agent.core import AgentCore
from agent.doors.session import (
    REACH_DEADLINE_S,
    RECONNECT_DELAY_S_MAX,
    RECONNECT_DELAY_S_MIN,
    WELCOME_DEADLINE_S,
)
from agent.runtime.calls import PING_DEADLINE_S
from agent.runtime.journal import RETRY_S
from agent.runtime.watch import PING_PERIOD_S
from bayplan.model import Assignments, FileKind, Resources
from bayplan.session import Dismissal, Hello, Report, Welcome
from bayplan.session_wire import Listener, say
from bayplan.step import OneByOne
from tests.sim.clock import CLOCK_AHEAD_MS_MAX, Clock
from tests.sim.daemon import Daemon
from tests.sim.directory import Copy, Told
from tests.sim.engine import Box, Engine
from tests.sim.journal import Journal
from tests.sim.link import Connection, Wire
from tests.sim.news import News, Part
from tests.sim.witness import Witness

#: The engine's events reach the agent within this time, in order.
EVENT_DELAY_MS = (1, 30)
#: A file is written or removed within this time.
FILE_MS = (1, 20)
#: A first list of the engine takes this long.
LIST_MS = (20, 200)
#: The engine is asked for a sign of life so often, and has this long to give it.
PING_DEADLINE_MS = int((PING_PERIOD_S + PING_DEADLINE_S) * 1000)
#: A try to connect over a cut is repeated after this long, until its deadline.
SYN_RETRY_MS = 1_000

Connect = Callable[["Session"], Connection | None]


class Session:
    """One link of an agent while it lasts; the agent's end of a connection."""

    def __init__(self, host: Host, number: int) -> None:
        self.number = number
        self.host = host
        self.connection: Connection | None = None
        self.listener = Listener()
        self.welcomed = False
        self.over = False

    def received(self, data: bytes | Told) -> None:
        """The controller said something."""
        if isinstance(data, Told):
            self.host.told(self, data)
            return
        self.host.heard(self, self.listener.hear(data))

    def ended(self) -> None:
        """The connection is over."""
        self.host.end_session(self, "the controller or the network ended it")


class Host:
    """`connect` opens a connection to the controller, or gives None when nobody listens there."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        seed: str,
        wire: Wire,
        connect: Connect,
        news: News,
        capacity: Resources,
        subnet: int,
    ) -> None:
        self.name = name
        self.wire = wire
        self.engine = Engine(clock, random.Random(f"{seed}/engine/{name}"), name, capacity, subnet)
        self.engine.seen = self._engine_saw
        self.identity = ev.NodeRef(node_id="", cluster_id="sim")
        self.powered = True
        self.core: AgentCore | None = None
        self.daemon: Daemon | None = None
        self.session: Session | None = None
        self.dismissed = ""
        #: Every start of a container: (task id, container id).
        self.starts: list[tuple[str, str]] = []
        #: Every report, with the assignments and the ended tasks that the journal held when it was sent.
        self.reports: list[tuple[Report, Assignments, set[str]]] = []
        #: Contents of configs and secrets on this machine; secrets do not outlive its power.
        self.files: set[ev.StoredFile] = set()
        self.cores = 2
        self.journals_lost = 0
        self.journal = Journal()
        self.witness: Witness | None = None
        #: Of the registry's directory; of the last run while no agent runs.
        self.copy: Copy | None = None
        #: What the controller said in the current session, under which epoch.
        self._session_epoch = 0
        self._session_said: dict[int, Assignments] = {}
        self._said_in: Session | None = None
        self._late: Assignments | None = None
        self._clock, self._connect, self._news = clock, connect, news
        self._rng = random.Random(f"{seed}/host/{name}")
        self._ahead_ms = self._rng.randint(0, CLOCK_AHEAD_MS_MAX)
        self._boots = self._links = 0
        self._listed = False
        self._lists = 0
        self._last_event_ms = 0
        self._delay_ms = 0
        self._own: dict[str, int] = {}
        #: What was made or started by a call of ours that is under way.
        self._unheard: dict[str, Box] = {}
        self.boot_id = self._new_boot()

    # --- the agent's life ---

    @property
    def running(self) -> bool:
        """Whether the agent runs."""
        return self.daemon is not None

    def start_agent(self) -> None:
        """Start the agent, on a machine that has power."""
        if self.daemon is not None or not self.powered or self.dismissed:
            return
        self.daemon = Daemon(self._clock, self._rng, self._keep, self._perform, ahead_ms=self._ahead_ms)
        self.daemon.wall_ahead_ms = self.engine.wall_ahead_ms
        self.core = self._make_core()
        before = self.copy
        core = self.core
        me = self.name, self.identity.node_id
        self.copy = Copy(self._clock, me, self.daemon, self._news, lambda: core.state.epoch)
        self.copy.restore(before)
        self._listed, self._own, self._delay_ms = False, {}, int(RECONNECT_DELAY_S_MIN * 1000)
        self._unheard.clear()
        self.daemon.run(OneByOne(self.core))
        self.daemon.post(ev.FilesListed(files=tuple(sorted(self.files))))
        self._news.tell(f"{self.name} agent starts")
        self._list_soon(self.daemon)

    def _make_core(self) -> AgentCore:
        return AgentCore(
            identity=self.identity,
            remembered=self.journal.remembered(),
            boot_id=self.boot_id,
            cores=self.cores,
        )

    def stop_agent(self, *, silently: bool = False) -> None:
        """SIGKILL. What is in the journal stays, and so do the containers. Silently: the power is gone."""
        if self.daemon is None:
            return
        self.daemon.alive = False
        self.daemon = self.core = None
        self.journal.owed.clear()
        self._session_epoch = (
            self.journal.remembered().epoch
        )  # what it heard and did not keep, it never obeyed
        session, self.session = self.session, None
        if session is not None and session.connection is not None:
            session.over = True
            if silently:
                session.connection.vanish(0)
            else:
                session.connection.close(0, reset=True)
        self._news.tell(f"{self.name} agent is killed")

    def step_clock(self, by_ms: int) -> None:
        """Somebody sets the machine's wall clock."""
        self.engine.wall_ahead_ms += by_ms
        if self.daemon is not None:
            self.daemon.wall_ahead_ms = self.engine.wall_ahead_ms
        self._news.tell(f"{self.name} clock steps by {by_ms / 1000:.0f} s")

    def hang_engine(self, for_ms: int) -> None:
        """The engine stands still for a while; the agent notices by its pings, and lists anew afterwards."""
        daemon = self.daemon
        self.engine.hangs = True
        began_ms = self._clock.now_ms
        self._news.tell(f"{self.name} engine hangs for {for_ms} ms")

        def notice() -> None:
            if self.engine.hangs and daemon is not None and daemon is self.daemon:
                self._listed = False
                silent_ms = self._clock.now_ms - began_ms
                daemon.post(ev.EngineLost(reason="the engine does not answer", silent_ms=silent_ms))
                self._clock.after(PING_DEADLINE_MS, notice)

        self._clock.after(PING_DEADLINE_MS, notice)
        self._clock.after(for_ms, self.resume_engine)

    def resume_engine(self) -> None:
        """The engine goes on; an agent that had noticed lists it anew."""
        if self.engine.hangs:
            self.engine.go_on()
            if self.daemon is not None and not self._listed:
                self._list_soon(self.daemon)

    def power_off(self, *, silently: bool = True) -> None:
        """The machine stops at once, without a word; or its processes are killed, and its kernel ends their
        connections."""
        self.stop_agent(silently=silently)
        if self.witness is not None:
            self.witness.die(silently=silently)
        self.powered = False
        self.files = {file for file in self.files if file.kind is FileKind.CONFIG}
        self.engine.power_off()
        self._news.tell(f"{self.name} is powered off")

    def power_on(self) -> None:
        """The machine boots: a new boot, an engine with stopped containers, the agent."""
        if not self.powered:
            self.powered = True
            self.boot_id = self._new_boot()
            self._news.tell(f"{self.name} boots")
            self.start_agent()

    def pause_agent(self, for_ms: int) -> None:
        """SIGSTOP for a while; the controller's side gives the connection up if that is long."""
        daemon, session = self.daemon, self.session
        if daemon is None:
            return
        daemon.pause(for_ms)
        self._news.tell(f"{self.name} agent is paused for {for_ms} ms")
        if session is not None and session.connection is not None:
            session.connection.expire(1, lambda: daemon is self.daemon and daemon.paused)

    def lose_journal(self) -> None:
        """The agent's state file is gone, or garbled, which it treats alike."""
        self.journal.lose()
        self.journals_lost += 1
        self._news.tell(f"{self.name} journal is lost")
        self._session_epoch = 0  # it knows no epoch that it must not fall behind

    def restart_engine(self, away_ms: int) -> None:
        """The engine's daemon dies and comes back; its containers live on (live-restore)."""
        daemon = self.daemon
        if daemon is None:
            return
        self._listed = False
        daemon.post(ev.EngineLost(reason="the engine went away"))
        self._news.tell(f"{self.name} engine restarts")
        self._clock.after(away_ms, lambda: self._list_soon(daemon))

    def _new_boot(self) -> str:
        self._boots += 1
        return f"{self.name}-boot-{self._boots}"

    def _keep(self, changes: Sequence[Any]) -> None:
        self.journal.append(changes)
        self._spoke()

    def make_room(self) -> None:
        """The disk takes what it is given again, and the agent finds out a moment later."""
        if not self.journal.full:
            return
        self.journal.full = False
        daemon = self.daemon

        def write() -> None:
            if daemon is None or daemon is not self.daemon or self.journal.full:
                return
            owed = self.journal.owed.get(ev.KeepAssignments)
            self._late = owed.assignments if owed else None
            self.journal.make_up()
            self._spoke()
            daemon.post(ev.JournalKept())

        self._clock.after(self._rng.randint(0, int(RETRY_S * 1000)), write)

    def _spoke(self) -> None:
        self._news.spoke.add(self.name)
        self._news.parts.add(Part.JOURNALS)

    # --- the engine ---

    def _list_soon(self, daemon: Daemon) -> None:
        self._clock.after(self._rng.randint(*LIST_MS), lambda: self._list(daemon))

    def _list(self, daemon: Daemon) -> None:
        if daemon is not self.daemon or self._listed or self.engine.hangs:
            return  # one that hangs is listed when it goes on
        self._listed = True
        self._lists += 1
        self._last_event_ms = self._clock.now_ms
        views = tuple(box.view() for _, box in sorted(self.engine.boxes.items()))
        networks = tuple(sorted(self.engine.networks))
        daemon.post(ev.EngineListed(containers=views, networks=networks, inventory=self.engine.inventory))
        if self.session is None:
            self._try_once(daemon)

    def _engine_saw(self, action: str, box: Box) -> None:
        """Post what happened, in order, a moment later; what is seen before a list is in the list."""
        if action == "start":
            self.starts.append((box.task_id, box.container_id))
        self._news.tell(f"{self.name} {action} {box.task_id} {_how(action, box)}")
        self._news.box(self, box)
        daemon = self.daemon
        if daemon is None or not self._listed:
            return
        own = action in ("create", "start") and self._own.get(box.task_id)
        if own:
            self._unheard[box.task_id] = box
            return
        ids = {"task_id": box.task_id, "container_id": box.container_id}
        event: ev.Event | None = None
        if action == "die":
            event = ev.ContainerExited(
                **ids, exit_code=box.exit_code or 0, oom_killed=box.oom_killed, at_ms=self.engine.wall_ms()
            )
        elif action == "destroy":
            event = ev.ContainerDestroyed(**ids)
        due = max(self._last_event_ms, self._clock.now_ms + self._rng.randint(*EVENT_DELAY_MS))
        self._last_event_ms = due
        lists = self._lists

        def arrive() -> None:
            if daemon is not self.daemon or not self._listed or lists != self._lists:
                return
            if event is not None:
                daemon.post(event)
            elif self.engine.boxes.get(box.task_id) is box:
                daemon.post(ev.ContainerObserved(container=box.view()))

        self._clock.at(due, arrive)

    def _see_again(self, daemon: Daemon, box: Box) -> None:
        """A call failed and yet was carried out: the container is looked at a moment later."""
        lists = self._lists

        def look() -> None:
            there = self._listed and lists == self._lists and self.engine.boxes.get(box.task_id) is box
            if daemon is self.daemon and there:
                daemon.post(ev.ContainerObserved(container=box.view()))

        self._clock.after(self._rng.randint(0, int(PING_PERIOD_S * 1000)), look)

    # --- commands ---

    def _perform(self, command: do.Command) -> None:
        match command:
            case do.Say() | do.CloseLink():
                self._perform_session(command)
            case do.PushLogs() | do.StopLogs():
                pass
            case do.WriteFile() | do.RemoveFile():
                self._perform_file(command)
            case _:
                self._perform_engine(command)

    def _perform_file(self, command: do.WriteFile | do.RemoveFile) -> None:
        daemon = self.daemon

        def act() -> None:
            if daemon is None or daemon is not self.daemon:
                return
            if isinstance(command, do.WriteFile):
                self.files.add(command.file)
                self._spoke()
                daemon.post(ev.FileWritten(file=command.file))
            else:
                self.files.discard(command.file)
                daemon.post(ev.FileRemoved(file=command.file))

        self._clock.after(self._rng.randint(*FILE_MS), act)

    def _perform_engine(self, command: do.Command) -> None:
        daemon = self.daemon
        assert daemon is not None
        owned = command.task_id if isinstance(command, do.CreateContainer | do.StartContainer) else ""
        if owned:
            self._own[owned] = self._own.get(owned, 0) + 1

        def answer(outcome: ev.Event) -> None:
            if daemon is self.daemon:
                if owned:
                    self._own[owned] -= 1
                daemon.post(outcome)
                box = self._unheard.pop(owned, None)
                if box is not None and isinstance(outcome, ev.CommandFailed):
                    self._see_again(daemon, box)

        self.engine.perform(command, answer)

    # --- the session ---

    def _try_once(self, daemon: Daemon, waited_ms: int = 0) -> None:
        """Cases: cut (tries go on until the deadline), nobody listens, connected."""
        if daemon is not self.daemon or self.session is not None or self.dismissed:
            return
        if any(self.wire.is_cut):
            if waited_ms >= REACH_DEADLINE_S * 1000:
                self._try_later(daemon)
            else:
                waited = waited_ms + SYN_RETRY_MS
                self._clock.after(SYN_RETRY_MS, lambda: self._try_once(daemon, waited))
            return
        session = Session(self, self._links + 1)
        session.connection = self._connect(session)
        if session.connection is None:
            self._try_later(daemon)
            return
        self._links += 1
        self.session = session
        daemon.post(ev.LinkOpened(link=session.number))
        self._clock.after(int(WELCOME_DEADLINE_S * 1000), lambda: self._want_welcome(session))

    def _try_later(self, daemon: Daemon) -> None:
        delay = int(self._delay_ms * self._rng.uniform(0.5, 1.0))
        self._delay_ms = min(self._delay_ms * 2, int(RECONNECT_DELAY_S_MAX * 1000))
        self._clock.after(delay, lambda: self._try_once(daemon))

    def _want_welcome(self, session: Session) -> None:
        if not session.welcomed:
            self.end_session(session, "no Welcome in time")

    def _perform_session(self, command: do.Say | do.CloseLink) -> None:
        session = self.session
        if session is None or session.number != command.link or session.connection is None:
            return
        if isinstance(command, do.CloseLink):
            self.end_session(session, command.reason)
            return
        message = command.message
        if isinstance(message, Report):
            message = self.journal.honest(message)
        session.connection.send(0, say(message))
        if isinstance(message, Hello):
            self._news.tell(f"{self.name} says hello with {len(message.tasks)} tasks")
        if isinstance(message, Report):
            remembered = self.journal.remembered()
            kept, ends = remembered.assignments, remembered.ends
            self.reports.append((message, kept, {status.task_id for status in ends}))
            self._spoke()
            self._clock.after(1, lambda: self._said(session))

    def _said(self, session: Session) -> None:
        if session is self.session and self.daemon is not None:
            self.daemon.post(ev.Said(link=session.number))

    def heard(self, session: Session, message: Any) -> None:
        """A message of the controller arrived."""
        if session is not self.session or self.daemon is None:
            return
        self.daemon.post(ev.Heard(link=session.number, message=message))
        if isinstance(message, Welcome) and not session.welcomed:
            session.welcomed = True
            if self.copy is not None and session.connection is not None:
                self.copy.follow(session.connection)
            if self.witness is not None:
                self.witness.show()
            if message.epoch >= self._session_epoch:  # an older controller's word is not to be obeyed
                self._session_epoch, self._said_in = message.epoch, session
                self._session_said.clear()
            self._delay_ms = int(RECONNECT_DELAY_S_MIN * 1000)
        elif isinstance(message, Assignments):
            if session is self._said_in:
                self._session_said[message.revision] = message
        elif isinstance(message, Dismissal):
            if message.final:
                self.dismissed = message.reason
            self.end_session(session, f"dismissed: {message.reason}")

    def told(self, session: Session, news: Told) -> None:
        """News of the registry's directory arrived."""
        daemon, copy, connection = self.daemon, self.copy, session.connection
        if session is not self.session or daemon is None or copy is None or connection is None:
            return

        def take() -> None:
            if session is self.session:
                copy.told(news, connection)

        daemon.when_awake(take)

    def was_said_in_session(self, assignments: Assignments, epoch: int) -> bool:
        """Whether the controller of that epoch said this in the newest session, or the disk takes only now
        what was obeyed in an earlier one."""
        said = self._session_said.get(assignments.revision)
        return assignments is self._late or (epoch == self._session_epoch and said is assignments)

    def end_session(self, session: Session, reason: str) -> None:
        """The agent's side of a session is over; try for another one later."""
        if session is not self.session or self.daemon is None:
            return
        self.session = None
        if self.copy is not None:
            self.copy.source.lost()
        if session.connection is not None:
            session.connection.close(0)
        self._news.tell(f"{self.name} session over: {reason}")
        self.daemon.post(ev.LinkClosed(link=session.number, reason=reason))
        self._try_later(self.daemon)


def _how(action: str, box: Box) -> str:
    return {"die": f"exit {box.exit_code}", "health_status": box.health.value}.get(action, "")
