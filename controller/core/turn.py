"""One turn of the core: what has been decided so far, and what must be looked at again."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bayplan import ids
from bayplan.errors import Problem, ProblemError
from bayplan.model import Model, Now, Resources
from bayplan.policy import Privilege
from bayplan.session import Dismissal, Files, Hello, Preflight, Pulse, Report, Welcome
from bayplan.step import Step
from bayplan.views import Event
from controller.decide.addresses import POOL
from controller.decide.liveness import Timing
from controller.decide.reservations import DEFAULT_RESERVATION
from controller.events import Answer, Command, Publish, Reply, Send
from controller.records import Change, Put, Record, Service, drop
from controller.state import State
from controller.table import RANDOM_BITS, Rows, distinct, once

#: Tasks of one service that get nodes together and from which on this is large work.
BULK_TASKS_MIN = 100


class Settings(Model, frozen=True, kw_only=True):
    """What a controller is told at its start."""

    timing: Timing = Timing()
    preflight_ms: int = 600_000
    #: What a task sets aside whose service declares neither a reservation nor a limit.
    default_reservation: Resources = DEFAULT_RESERVATION
    #: A waiting task may stop others that are less important.
    preemption: bool = False
    #: After updates a few tasks may move so that nodes become free.
    consolidation: bool = False
    #: What containers may be given beyond the ordinary.
    allowed: frozenset[Privilege] = frozenset()
    #: Where networks get their subnets from, if users give none.
    network_pool: str = POOL
    #: Keys the digests of configs' and secrets' contents.
    file_key: bytes = b""

    def __repr__(self) -> str:
        return f"<Settings {self.timing} allow {sorted(self.allowed)}>"


class Turn:
    """Collects a turn's changes and commands, and the services and nodes that it touched."""

    def __init__(self, state: State, rng: random.Random, settings: Settings, now: Now) -> None:
        self.state = state
        self.settings = settings
        self.now = now
        self.services: set[str] = set()
        self.nodes: set[str] = set()
        #: The same for large work, which lets small work go first.
        self.bulk_nodes: set[str] = set()
        #: Services whose dependents have been told in this turn to look again.
        self.told: set[str] = set()
        self.stacks: set[str] = set()
        self._rng = rng
        self._noted = False
        self._changes: list[Change] = []
        #: Reports that are taken in together, by node.
        self.reports: dict[str, Report] = {}
        #: Hellos that are taken in together, by node, after the reports.
        self.hellos: dict[str, Hello] = {}
        #: Services of which tasks came a step further, and nothing else: a look at them may wait a little.
        self.calm: set[str] = set()
        #: The same where no task has come so far that anybody but people waits for it.
        self.early: set[str] = set()
        #: Rows that were changed in bulk, each with the number that it had.
        self._many: list[tuple[Rows, ids.Numbers]] = []
        self._commands: list[Command] = []

    def put(self, record: Record) -> None:
        """Keep a record."""
        change = Put(record=record)
        self.state.apply(change)
        self._changes.append(change)

    def drop(self, record: Record) -> None:
        """Forget a record."""
        change = drop(record)
        self.state.apply(change)
        self._changes.append(change)

    def make(self, service: Service, slots: Sequence[int], created_ms: int) -> None:
        """Make plain tasks of a service's version without a node, one for each slot."""
        if not slots:
            return
        made = self.state.tasks.make(
            service.id,
            np.array(slots, np.int32),
            service.version,
            created_ms,
            np.frombuffer(self._rng.randbytes(8 * len(slots)), np.uint64) >> np.uint64(64 - RANDOM_BITS),
        )
        self.state.forget_sorted(service.id)
        self._note_many(made)

    def place(self, rows: Rows, nodes: npt.NDArray[np.int32]) -> None:
        """Tasks that waited have got nodes (numbers of the table's)."""
        state, table = self.state, self.state.tasks.table
        state.tasks.place(rows, nodes)
        for service in distinct(table.service[rows]):
            state.forget_sorted(table.services.names[service])
        touched = self.bulk_nodes if len(rows) >= BULK_TASKS_MIN else self.nodes
        touched.update(table.nodes.names[node] for node in distinct(nodes))
        self._note_many(rows)

    def _note_many(self, rows: Rows) -> None:
        """Tasks were changed in the columns: kept as they are when the turn is done."""
        self._many.append((rows, self.state.tasks.table.number[rows]))

    def reply(self, ticket: str, value: Answer = None, *, problem: Problem | None = None) -> None:
        """Answer a caller once this turn is durable."""
        problems = () if problem is None else (problem,)
        self._commands.append(Reply(ticket=ticket, value=value, problems=problems))

    def refuse(self, ticket: str, error: ProblemError) -> None:
        """Answer a caller with all problems of an error."""
        self._commands.append(Reply(ticket=ticket, problems=error.problems))

    def send(
        self,
        node_id: str,
        message: Welcome | Pulse | Preflight | Files | Dismissal,
        session_id: str = "",
    ) -> None:
        """Say something in a node's session (the current one, if none is named)."""
        session = session_id or self.state.lives[node_id].session_id
        self._commands.append(Send(node_id=node_id, session_id=session, message=message))

    def command(self, command: Command) -> None:
        """Want something done."""
        self._commands.append(command)

    def note(self, kind: str, subject: str, text: str) -> None:
        """Tell people what happened."""
        self._noted = True
        events = self.state.events
        index = events[-1].index + 1 if events else 1
        events.append(Event(index=index, time_ms=self.now.wall_ms, kind=kind, subject=subject, text=text))

    def touch_node(self, node_id: str) -> None:
        """Look again at everything on a node, and at what shall be on each node."""
        self.nodes.add(node_id)
        self.services |= self.state.global_services()
        table = self.state.tasks.table
        services = distinct(table.service[table.on_node(node_id)])
        self.services.update(table.services.names[service] for service in services)

    def new_id(self) -> str:
        """An id that no service and no node has yet."""
        while True:
            made = ids.to_id(self._rng.randrange(ids.NUMBERS))
            if not any(made in known for known in (self.state.tasks, self.state.services, self.state.nodes)):
                return made

    def new_task_id(self) -> str:
        """An id that no task has yet, for one that is put at once."""
        return ids.to_id(self.state.tasks.fresh_number(self._rng.getrandbits(RANDOM_BITS)))

    def done(self) -> Step:
        """What the turn came to."""
        if self.stacks or self._noted:
            self._commands.append(Publish(stacks=tuple(sorted(self.stacks))))
        if self._many:
            rows, numbers = (np.concatenate(column) for column in zip(*self._many, strict=True))
            there = self.state.tasks.table.number[rows] == numbers  # else it was dropped again
            self._changes += self.state.tasks.puts(once(rows[there]))
        return Step(tuple(self._changes), tuple(self._commands))
