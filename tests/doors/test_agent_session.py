"""The agent's session door against a real gRPC server with mTLS; the server is the test's hand."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from msgspec.structs import replace

from agent.commands import CloseLink, Say
from agent.doors import session
from agent.doors.controller import GrpcController
from agent.doors.session import SessionDoor
from agent.events import Heard, LinkClosed, LinkOpened, Said, SessionEvent
from bayplan.model import Assignments, Inventory, LogLine, LogStream
from bayplan.session import Dismissal, Goodbye, Heartbeat, Hello, Pulse, Report, Welcome
from bayplan.tls import server_credentials, server_options
from bayplan.v1 import agent_pb2, agent_pb2_grpc
from bayplan.wire import unwrap, wrap
from tests.doors.tls_world import agent_keys, cluster, controller_keys, listening, member

HELLO = Hello(boot_id="b", epoch=0, revision=0, inventory=Inventory(hostname="h"))
WELCOME = Welcome(session_id="s1", epoch=1, heartbeat_ms=100, node_name="n1")


class Controller(agent_pb2_grpc.AgentServiceServicer):
    """Welcomes who says Hello, keeps what it hears, and says what the test puts into `mouth`."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.pushed: list[Any] = []
        self.sessions = 0
        self.ended = 0
        self.mute = False
        self.mouth: asyncio.Queue[Any] = asyncio.Queue()

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self.sessions += 1
        listening_task = asyncio.create_task(self._listen(request_iterator))
        try:
            while (message := await self.mouth.get()) is not None:
                yield wrap(agent_pb2.SessionResponse, message)
        finally:
            listening_task.cancel()

    async def _listen(self, requests: Any) -> None:
        async for request in requests:
            message = unwrap(request)
            self.heard.append(message)
            if isinstance(message, Hello) and not self.mute:
                self.mouth.put_nowait(WELCOME)
        self.ended += 1
        self.mouth.put_nowait(None)

    async def PushLogs(self, request_iterator: Any, context: Any) -> Any:
        async for request in request_iterator:
            self.pushed.append(request)
        return agent_pb2.PushLogsResponse()

    def heard_of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


class Wire:
    """A door on loopback, the controller it talks to, and what the door posted."""

    def __init__(self, controller: Controller, grpc_controller: GrpcController) -> None:
        self.controller = controller
        self.grpc = grpc_controller
        self.posted: list[SessionEvent] = []
        self.welcomes: list[Welcome] = []
        self.door = SessionDoor(grpc_controller.connect, self._post, random.Random(1), self.welcomes.append)
        self.running = asyncio.create_task(self.door.run())

    def _post(self, event: SessionEvent) -> None:
        self.posted.append(event)
        if isinstance(event, LinkOpened):  # as the core does
            self.door.perform(Say(link=event.link, message=HELLO))

    def posted_of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.posted if isinstance(event, kind)]

    async def until(self, what: str, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {what}"
            await asyncio.sleep(0.005)

    async def welcomed(self) -> None:
        await self.until("a Welcome is heard", lambda: self.posted_of(Heard))

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


@asynccontextmanager
async def served(controller: Controller, authority: Any) -> AsyncIterator[str]:
    keys = controller_keys(authority)
    server = grpc.aio.server(options=server_options())
    agent_pb2_grpc.add_AgentServiceServicer_to_server(controller, server)
    async with listening(server, server_credentials(lambda: keys)) as address:
        yield address


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    authority, controller = cluster(), Controller()
    async with served(controller, authority) as address:
        known = member(authority, address, agent_keys(authority))
        known = replace_address(known, address)
        wire = Wire(controller, GrpcController(lambda: known))
        yield wire
        await wire.close()


def replace_address(known: Any, address: str) -> Any:
    membership = replace(known.membership, controller_address=address)
    return type(known)(membership, known.keys)


async def test_a_session_opens_with_hello_and_tells_of_its_welcome(wire: Wire) -> None:
    await wire.welcomed()
    assert wire.controller.heard[0] == HELLO
    assert wire.posted[:2] == [LinkOpened(link=1), Heard(link=1, message=WELCOME)]
    await wire.until("the welcome is told", lambda: wire.welcomes == [WELCOME])


async def test_pulses_and_their_answers_pass(wire: Wire) -> None:
    await wire.welcomed()
    wire.controller.mouth.put_nowait(Pulse(number=1))
    await wire.until("the pulse is posted", lambda: len(wire.posted_of(Heard)) == 2)
    wire.door.perform(Say(link=1, message=Heartbeat(pulse=1)))
    await wire.until("the answer is heard", lambda: wire.controller.heard_of(Heartbeat))
    assert wire.controller.heard_of(Heartbeat) == [Heartbeat(pulse=1)]


async def test_a_report_is_sent_once_and_its_sending_is_posted(wire: Wire) -> None:
    await wire.welcomed()
    wire.door.perform(Say(link=1, message=Report(revision=7)))
    wire.door.perform(Say(link=99, message=Report(revision=8)))  # of a link that never was
    await wire.until("the report is out", lambda: wire.posted_of(Said))
    await wire.until("the report is heard", lambda: wire.controller.heard_of(Report))
    assert wire.controller.heard_of(Report) == [Report(revision=7)]


async def test_what_the_controller_says_is_posted_in_order(wire: Wire) -> None:
    await wire.welcomed()
    for revision in range(1, 4):
        wire.controller.mouth.put_nowait(Assignments(revision=revision))
    await wire.until("all are heard", lambda: len(wire.posted_of(Heard)) == 4)
    assert [event.message.revision for event in wire.posted_of(Heard)[1:]] == [1, 2, 3]


async def test_a_broken_stream_is_opened_again(wire: Wire) -> None:
    await wire.welcomed()
    wire.controller.mouth.put_nowait(None)
    await wire.until("the second session is there", lambda: LinkOpened(link=2) in wire.posted)
    assert [event.link for event in wire.posted_of(LinkClosed)] == [1]


async def test_a_link_that_the_core_closes_is_opened_again(wire: Wire) -> None:
    await wire.welcomed()
    wire.door.perform(CloseLink(link=1, reason="epoch 1 is older than 2"))
    await wire.until("the link is closed", lambda: wire.posted_of(LinkClosed))
    assert wire.posted_of(LinkClosed) == [LinkClosed(link=1, reason="epoch 1 is older than 2")]
    await wire.until("the second session is there", lambda: LinkOpened(link=2) in wire.posted)


async def test_a_final_dismissal_ends_the_door(wire: Wire) -> None:
    await wire.welcomed()
    wire.controller.mouth.put_nowait(Dismissal(reason="node n1 was removed", final=True))
    assert await asyncio.wait_for(wire.running, 5) == "node n1 was removed"
    assert wire.controller.sessions == 1


async def test_a_dismissal_that_is_not_final_lets_the_agent_come_back(wire: Wire) -> None:
    await wire.welcomed()
    wire.controller.mouth.put_nowait(Dismissal(reason="restarting"))
    await wire.until("the second session is there", lambda: LinkOpened(link=2) in wire.posted)
    assert not wire.running.done()


async def test_goodbye_arrives_before_the_stream_ends(wire: Wire) -> None:
    await wire.welcomed()
    await wire.door.say_goodbye("stopped")
    await wire.until("the stream has ended", lambda: wire.controller.ended == 1)
    assert wire.controller.heard[-1] == Goodbye(reason="stopped")


async def test_a_server_of_another_cluster_is_never_told_anything() -> None:
    stranger = Controller()
    async with served(stranger, cluster()) as address:
        ours = cluster()
        known = replace_address(member(ours, address, agent_keys(ours)), address)
        wire = Wire(stranger, GrpcController(lambda: known))
        await asyncio.sleep(1.0)
        assert wire.posted == []
        assert stranger.sessions == 0
        await wire.close()


async def test_output_is_pushed_beside_the_session(wire: Wire) -> None:
    await wire.welcomed()
    line = LogLine(time_ns=5, stream=LogStream.STDERR, text=b"hello \xff", task_id="t1")

    async def batches() -> AsyncIterator[tuple[list[LogLine], str]]:
        yield [line], ""
        yield [], "no output of task t2"

    await wire.grpc.push_logs("r1", batches())
    opening, first, second = wire.controller.pushed
    assert (opening.request_id, len(opening.lines)) == ("r1", 0)
    assert (first.request_id, first.lines[0].text) == ("r1", b"hello \xff")
    assert second.warning == "no output of task t2"


async def test_where_nobody_listens_no_channel_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = cluster()
    nowhere = replace_address(member(authority, "127.0.0.1:1", agent_keys(authority)), "127.0.0.1:1")
    monkeypatch.setattr("agent.doors.controller.open_channel", lambda *_, **__: pytest.fail("made in vain"))
    with pytest.raises(ConnectionError, match="cannot reach the controller"):
        await GrpcController(lambda: nowhere).connect()


async def test_a_controller_that_answers_by_tcp_has_longer_to_let_an_agent_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "CONNECT_DEADLINE_S", 0.3)
    tries: list[float] = []
    ended = asyncio.Event()

    async def slow() -> Any:
        begun = time.monotonic()
        try:
            await asyncio.Event().wait()
        finally:
            tries.append(time.monotonic() - begun)
            ended.set()

    running = asyncio.create_task(SessionDoor(slow, lambda event: None, random.Random(1)).run())
    await ended.wait()
    running.cancel()
    assert tries[0] > 0.25
