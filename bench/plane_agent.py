"""One simulated agent of bench.plane: a real session with a certificate of its own, and an engine that only
says it runs containers.

The door of the real agent keeps the session (back-off, deadlines, Hello with all it has); only the link is
its own, which leaves tasks in their columns.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc.aio

from agent.commands import Say
from agent.decide.speech import CALM_WINDOW_MS, REPORT_TASKS_MAX, REPORT_WINDOW_MS
from agent.doors.controller import GrpcLink, open_link_channel, reach
from agent.doors.session import SessionDoor
from agent.events import Heard, LinkClosed, LinkOpened, SessionEvent
from agent.identity import Membership, NodeIdentity
from bayplan import columns, ids
from bayplan.model import Assignment, Assignments, Desired, Inventory, Model
from bayplan.session import (
    AgentSays,
    ControllerSays,
    Heartbeat,
    Hello,
    Preflight,
    PreflightResult,
    Pulse,
    Report,
    Welcome,
)
from bayplan.session_wire import Listener, say
from bayplan.tls import KeyPair
from bayplan.v1 import agent_pb2
from bayplan.wire import unwrap
from bench.plane_engine import Engine, Tally

#: How a call on a link fails.
GRPC_ERRORS = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError)
#: What the image of every service means on every node.
DIGEST = "registry.example/plane@sha256:" + "5e" * 32


class Machine(Model, frozen=True, kw_only=True):
    """A node that the bench has enrolled: who it is and what it has."""

    membership: Membership
    inventory: Inventory
    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes

    @property
    def identity(self) -> NodeIdentity:
        return NodeIdentity(self.membership, KeyPair(self.certificate_pem, self.key_pem, self.ca_pem))


class Arrival(Model, frozen=True, kw_only=True, array_like=True):
    """A task that a node was told of for the first time, or no more; `at` is monotonic, in seconds."""

    service: str
    slot: int
    version: int
    begins: bool
    at: float


class Fleet:
    """What all agents share: the tally, and what arrived of services whose names begin with `recorded`."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.in_session = 0
        self.sessions = 0
        self.recorded = ""
        self.arrivals: list[Arrival] = []


class ColumnLink(GrpcLink):
    """A link that leaves tasks in their columns: an engine of columns needs no value for each."""

    def __init__(self, channel: grpc.aio.Channel, call: Any, address: str) -> None:
        super().__init__(channel, call, address)
        self._listener = Listener()

    async def send(self, message: AgentSays) -> None:
        try:
            await self._call.write(say(message))
        except GRPC_ERRORS as error:
            raise ConnectionError(str(error)) from error

    async def __aiter__(self) -> AsyncIterator[ControllerSays]:
        with suppress(*GRPC_ERRORS):
            async for data in self._call:
                message = unwrap(agent_pb2.SessionResponse.FromString(data))
                yield self._listener.completed(message) if isinstance(message, Assignments) else message


async def connect(identity: NodeIdentity) -> ColumnLink:
    """Open a link as the real agent does. Raises ConnectionError."""
    address = identity.membership.controller_address
    await reach(address)
    channel = open_link_channel(identity)
    try:
        call = channel.stream_stream("/bayplan.v1.AgentService/Session")()
        await call.wait_for_connection()
    except GRPC_ERRORS as error:
        await channel.close()
        raise ConnectionError(str(error)) from error
    except asyncio.CancelledError:
        await channel.close()
        raise
    return ColumnLink(channel, call, address)


class Agent:
    """One simulated agent. Says what the real one says, when it says it."""

    def __init__(self, machine: Machine, fleet: Fleet, rng: random.Random) -> None:
        self._machine = machine
        self._fleet = fleet
        self._engine = Engine(fleet.tally, self._flush_soon)
        self.door = SessionDoor(lambda: connect(machine.identity), self._post, rng)
        self.welcomed = asyncio.Event()
        self._link = 0
        self._epoch = 0
        self._revision = 0
        self._window_s = REPORT_WINDOW_MS / 1000
        self._gone: list[ids.Numbers] = []
        self._said_at = 0.0
        self._flush_due = False
        self._known: dict[str, tuple[str, int, int]] = {}
        self._known_kinds: tuple[Assignment, ...] = ()

    # --- the session ---

    def _post(self, event: SessionEvent) -> None:
        match event:
            case LinkOpened(link=link):
                self._link = link
                self._say(self._hello())
            case Heard(message=message):
                self._heard(message)
            case LinkClosed():
                self._fleet.in_session -= self.welcomed.is_set()
                self.welcomed.clear()
            case _:
                pass

    def _hello(self) -> Hello:
        return Hello(
            boot_id="bench",
            epoch=self._epoch,
            revision=self._revision,
            inventory=self._machine.inventory,
            groups=self._engine.statuses(),
        )

    def _heard(self, message: ControllerSays) -> None:
        match message:
            case Pulse(number=number, window_ms=window_ms):
                self._window(window_ms)
                self._say(Heartbeat(pulse=number))
            case Assignments():
                self._assigned(message)
            case Preflight(ticket=ticket, images=images):
                self._say(PreflightResult(ticket=ticket, images=dict.fromkeys(images, DIGEST)))
            case Welcome(epoch=epoch, window_ms=window_ms):
                self._window(window_ms)
                self._welcome(epoch)
            case _:
                pass

    def _welcome(self, epoch: int) -> None:
        if epoch > self._epoch:
            self._epoch, self._revision = epoch, 0
        self._gone = []
        self._fleet.in_session += 1
        self._fleet.sessions += 1
        self.welcomed.set()

    def _window(self, window_ms: int) -> None:
        if window_ms:
            self._window_s = window_ms / 1000

    def _say(self, message: AgentSays) -> None:
        self.door.perform(Say(link=self._link, message=message))

    # --- tasks ---

    def _assigned(self, message: Assignments) -> None:
        if message.revision < self._revision:
            return
        self._revision = message.revision
        if self._fleet.recorded:
            self._record(message, time.monotonic())
        gone = self._engine.take(message)
        if len(gone):
            self._gone.append(gone)
        self._flush_soon()

    def _record(self, message: Assignments, at: float) -> None:
        prefix, told = self._fleet.recorded, message.columns
        if not any(kind.service.startswith(prefix) for kind in (*told.kinds, *self._known_kinds)):
            return
        self._known_kinds = told.kinds
        known = {
            each.task_id: (each.service, each.slot, each.version)
            for each in columns.unpack_assignments(told)
            if each.desired is not Desired.STOP and each.service.startswith(prefix)
        }
        begun = [known[task_id] for task_id in known.keys() - self._known.keys()]
        over = [self._known[task_id] for task_id in self._known.keys() - known.keys()]
        self._known = known
        self._fleet.arrivals += [
            Arrival(service=service, slot=slot, version=version, begins=begins, at=at)
            for begins, tasks in ((True, begun), (False, over))
            for service, slot, version in tasks
        ]

    def _flush_soon(self) -> None:
        if not self._flush_due and self.welcomed.is_set():
            self._flush_due = True
            loop = asyncio.get_running_loop()
            busy_s = max(0.0, self._window_s - CALM_WINDOW_MS / 1000)
            loop.call_at(max(loop.time() + busy_s, self._said_at + self._window_s), self._flush)

    def _flush(self) -> None:
        """Acknowledge, and tell what is new."""
        self._flush_due = False
        if not self.welcomed.is_set():
            return
        gone, self._gone = self._gone, []
        self._said_at = asyncio.get_running_loop().time()
        self._say(
            Report(
                revision=self._revision,
                groups=self._engine.statuses(REPORT_TASKS_MAX),
                gone_ids=b"".join(numbers.astype("<i8").tobytes() for numbers in gone),
            )
        )
        if self._engine.fresh:
            self._flush_soon()
