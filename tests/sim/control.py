"""The controller's machine: its durable records, the real core, its session door, its callers.

Of the doors only what decides about order is here: an outbox per session (few desired sets in flight, the
next is made when one is acknowledged and all is durable) and replies to tickets. Messages travel as bytes.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bayplan.directory import News as Chunk
from bayplan.model import Assignments, ServiceSpec
from bayplan.session import ControllerSays, Dismissal, Hello, Report, Welcome
from bayplan.session_wire import Shelf, Speaker, hear
from controller.core import ControllerCore
from controller.core.turn import Settings
from controller.doors.outbox import IN_FLIGHT_MAX, OUTBOX_MESSAGES_MAX
from controller.events import AgentSaid, Assign, Publish, Reply, Send, SessionLost, SessionOpened
from controller.records import Cluster, Drop, Node, Put, Record, Service, ServiceVersion, Task
from controller.state import State
from controller.task_columns import singly
from controller.upkeep import recall
from tests.sim.clock import CLOCK_AHEAD_MS_MAX, Clock
from tests.sim.daemon import Daemon, DiskFullError, Moment
from tests.sim.directory import Ask, Keeper
from tests.sim.host import Session
from tests.sim.link import Connection, Wire
from tests.sim.news import News, Part
from tests.sim.witness import Witness, WitnessEnd

#: systemd starts a controller that ended again after this time.
RESTART_MS = 1_000


class AgentSession:
    """The controller's end of a connection, with what waits to be sent."""

    def __init__(self, control: Control, node_id: str, run: int) -> None:
        self.control, self.node_id, self.run = control, node_id, run
        self.session_id = ""
        self.connection: Connection | None = None
        self.others: deque[ControllerSays] = deque()
        self.changed = False
        self.newest = 0
        self.in_flight: deque[int] = deque()
        self._speaker = Speaker(control.shelf)

    def received(self, data: bytes | Ask) -> None:
        """The agent said something; the first thing is its Hello."""
        if isinstance(data, Ask):
            self.control.asked_directory(self, data)
            return
        message = hear(data)
        if not self.session_id:
            assert isinstance(message, Hello), "a session begins with Hello"
            self.control.open_session(self, message)
            return
        if isinstance(message, Report):
            while self.in_flight and message.revision >= self.in_flight[0]:
                self.in_flight.popleft()
            self.flush()
        self.control.post(AgentSaid(node_id=self.node_id, session_id=self.session_id, message=message))

    def ended(self) -> None:
        """The connection is over."""
        self.control.lose_session(self)

    def put(self, message: ControllerSays) -> None:
        """Queue a message; a Dismissal is the last."""
        assert len(self.others) < OUTBOX_MESSAGES_MAX, f"the outbox of {self.node_id} is full"
        self.others.append(message)
        self.flush()
        if isinstance(message, Dismissal) and self.connection is not None:
            self.connection.close(1)
            self.control.lose_session(self)

    def flush(self) -> None:
        """Send what may be sent."""
        connection = self.connection
        assert connection is not None
        while self.others:
            connection.send(1, self._speaker.say(self.others.popleft()))
        if self.changed and len(self.in_flight) < IN_FLIGHT_MAX and self.control.settled:
            self.changed = False
            message = self.control.set_of(self.node_id)
            if message is not None and message.revision > self.newest:
                self.newest = message.revision
                self.in_flight.append(message.revision)
                connection.send(1, self._speaker.say(message))


class Control:
    """`replied` hears each answer to a caller."""

    def __init__(
        self,
        clock: Clock,
        seed: str,
        replied: Callable[[Reply], None],
        turned: Callable[[], None],
        news: News,
    ) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.sessions: dict[str, AgentSession] = {}
        #: Every connection that is open on this side, also those on which no Hello came yet.
        self._connections: list[Connection] = []
        self.daemon: Daemon | None = None
        self.core: ControllerCore | None = None
        self.keeper: Keeper | None = None
        #: The registry's directory as it is on the disk.
        self.directory_kept: Chunk | None = None
        self.up_since_ms = 0
        self.on_crash: Callable[[], None] = lambda: None
        self.shelf = Shelf()
        #: What it is told at each start.
        self.settings = Settings(file_key=b"k" * 32)
        self._clock, self._replied, self._turned, self._news = clock, replied, turned, news
        #: Each task that ever became durable, as it was last.
        self.tasks_ever: dict[str, Task] = {}
        self._seed = seed
        self._rng = random.Random(f"{seed}/controller")
        self.runs = self._sessions_made = self._witnesses_made = 0
        #: Nodes that got a ticket for their witness in this run.
        self.ticketed: set[str] = set()
        #: What this machine's clocks show beyond the world's time; drawn anew when it crashes.
        self.clock_ahead_ms = self._rng.randint(0, CLOCK_AHEAD_MS_MAX)
        #: The wall clock may be stepped beside that.
        self.wall_ahead_ms = 0
        #: Its store can be read, but not written.
        self.disk_full = False
        #: The records as the last run left them.
        self.past: dict[tuple[str, str], Record] = {}
        self._keep([Put(record=Cluster(id="sim"))])

    @property
    def state(self) -> State:
        """What the running controller knows."""
        assert self.core is not None
        return self.core.state

    def spec(self, service_id: str, version: int) -> ServiceSpec | None:
        """The durable spec of a service's version."""
        record = self.records.get(("ServiceVersion", f"{service_id}/{version}"))
        return record.spec if isinstance(record, ServiceVersion) else None

    @property
    def running(self) -> bool:
        """Whether the controller runs."""
        return self.daemon is not None

    def start(self) -> None:
        """Start from the durable records, with an epoch that is durable before anybody hears of it."""
        if self.daemon is not None:
            return
        state = State(self.records.values())
        epoch = Put(record=msgspec.structs.replace(state.cluster, epoch=state.cluster.epoch + 1))
        try:
            self._keep([epoch])
        except DiskFullError:
            self._clock.after(RESTART_MS, self.start)
            return
        state.apply(epoch)
        self._run(state)

    def resume_old(self, records: dict[tuple[str, str], Record]) -> None:
        """A run of long ago goes on, with the epoch that it had (its process was frozen, say)."""
        self.records = dict(records)
        self._run(State(self.records.values()))

    def _run(self, state: State) -> None:
        self.runs += 1
        ahead_ms = self.clock_ahead_ms
        daemon = Daemon(self._clock, self._rng, self._keep, self._perform, self._after_turn, ahead_ms)
        daemon.on_death = self.crash
        daemon.wall_ahead_ms = self.wall_ahead_ms
        self.daemon = daemon
        dice = random.Random(f"{self._seed}/core/{self.runs}")
        if self.directory_kept is not None:
            recall(state, self.directory_kept)
        self.core = self._make_core(state, dice, daemon)
        self.keeper = Keeper(self._clock, self, daemon, self._news)
        self.up_since_ms = self._clock.now_ms
        self._news.tell(f"controller starts, epoch {state.cluster.epoch}")
        self._news.all_anew()
        daemon.run(self.core)

    def _make_core(self, state: State, dice: random.Random, daemon: Daemon) -> ControllerCore:
        return ControllerCore(state, dice, daemon.now(), self.settings)

    def crash(self, moment: Moment = Moment.NOW) -> None:
        """SIGKILL, now or around the next commit."""
        if self.daemon is None:
            return
        if moment is not Moment.NOW:
            self.daemon.dies = moment
            return
        died_at, self.past = self.daemon.dies, dict(self.records)
        self.daemon.alive = False
        self.daemon = self.core = self.keeper = None
        self.clock_ahead_ms = self._rng.randint(0, CLOCK_AHEAD_MS_MAX)
        self.sessions, self.ticketed = {}, set()
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close(1, reset=True)
        self._news.tell(f"controller is killed {died_at.value if died_at else ''}")
        self.on_crash()

    def pause(self, for_ms: int) -> None:
        """SIGSTOP for a while; the agents give their connections up if that is long."""
        daemon = self.daemon
        if daemon is None:
            return
        daemon.pause(for_ms)
        self._news.tell(f"controller is paused for {for_ms} ms")
        for connection in self._connections:
            connection.expire(0, lambda: daemon is self.daemon and daemon.paused)

    def step_clock(self, by_ms: int) -> None:
        """Somebody sets the machine's wall clock."""
        self.wall_ahead_ms += by_ms
        if self.daemon is not None:
            self.daemon.wall_ahead_ms = self.wall_ahead_ms
        self._news.tell(f"controller clock steps by {by_ms / 1000:.0f} s")

    def post(self, event: Any) -> bool:
        """Hand an event to the controller; False when it does not run."""
        if self.daemon is None:
            return False
        self.daemon.post(event)
        return True

    # --- sessions ---

    def accept(self, agent: Session, node_id: str) -> Connection | None:
        """A connection from an agent; None when nobody listens."""
        if self.daemon is None or self.daemon.paused:
            return None
        session = AgentSession(self, node_id, self.runs)
        session.connection = Connection(agent.host.wire, agent, session)
        self._connections = [each for each in self._connections if each.open(1)]
        self._connections.append(session.connection)
        return session.connection

    def accept_witness(self, witness: Witness, wire: Wire, node_id: str) -> Connection | None:
        """A connection from a witness; None when nobody listens."""
        if self.daemon is None or self.daemon.paused:
            return None
        self._witnesses_made += 1
        end = WitnessEnd(self, node_id, self.runs, self._witnesses_made)
        end.connection = Connection(wire, witness, end)
        self._connections = [each for each in self._connections if each.open(1)]
        self._connections.append(end.connection)
        return end.connection

    def open_session(self, session: AgentSession, hello: Hello) -> None:
        """A Hello arrived."""
        if session.run != self.runs or self.daemon is None:
            return
        self._sessions_made += 1
        session.session_id = f"session-{self._sessions_made}"
        self.sessions[session.session_id] = session
        self.post(SessionOpened(node_id=session.node_id, session_id=session.session_id, hello=hello))

    def lose_session(self, session: AgentSession) -> None:
        """A session is over on this side."""
        if self.keeper is not None:
            self.keeper.left(session)
        if self.sessions.pop(session.session_id, None) is not None:
            self.post(SessionLost(node_id=session.node_id, session_id=session.session_id))

    def asked_directory(self, session: AgentSession, ask: Ask) -> None:
        """The copy of a node asks for what is new."""
        keeper = self.keeper
        if keeper is None or self.daemon is None or session.run != self.runs:
            return

        def answer() -> None:
            if session.connection is not None and session.connection.open(1):
                keeper.asked(session, ask)

        self.daemon.when_awake(answer)

    @property
    def settled(self) -> bool:
        """Whether all that the core has decided is durable."""
        return self.daemon is not None and self.daemon.settled

    def set_of(self, node_id: str) -> Assignments | None:
        """What a node shall have now."""
        assert self.core is not None
        return self.core.assignments(node_id)

    def _after_turn(self) -> None:
        for session in list(self.sessions.values()):
            session.flush()
        if self.keeper is not None:
            self.keeper.turned(self.state)
        self._turned()

    # --- the pump's hands ---

    def _keep(self, changes: Sequence[Any]) -> None:
        if self.disk_full:
            raise DiskFullError
        for change in singly(changes):
            if isinstance(change, Drop):
                self.records.pop((change.kind, change.key), None)
                if change.kind in ("Service", "ServiceVersion"):
                    self._news.parts.add(Part.SERVICES)
            else:
                self._keep_record(change.record)
        self._news.parts.add(Part.RECORDS)

    def _keep_record(self, record: Record) -> None:
        self.records[type(record).__name__, record.key] = record
        self._news.records.append(record)
        if isinstance(record, Task):
            self.tasks_ever[record.id] = record
        elif isinstance(record, Service | ServiceVersion | Node):
            self._news.parts.add(Part.SERVICES)

    def _perform(self, command: Any) -> None:
        match command:
            case Assign(session_id=session_id):
                if session_id in self.sessions:
                    self.sessions[session_id].changed = True
            case Send(session_id=session_id, message=message):
                session = self.sessions.get(session_id)
                if isinstance(message, Welcome):
                    self.ticketed.add(command.node_id)
                if session is not None:
                    session.put(message)
            case Reply():
                self._replied(command)
            case Publish():
                pass
