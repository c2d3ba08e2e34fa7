"""The agents' sessions: one bidirectional stream each, from the stream to events and back.

What waits for an agent is its outbox's. Identity comes from the certificate.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import structlog
from msgspec.structs import replace

from bayplan import tls
from bayplan.errors import ProblemKind, refuse
from bayplan.pump import InboxFullError
from bayplan.session import ControllerSays, Dismissal, Hello, Pulse, Report, Welcome
from bayplan.session_wire import Shelf, hear
from bayplan.v1 import agent_pb2
from bayplan.wire import WireError
from controller.doors.gate import Context, Gate, answers
from controller.doors.load import Load
from controller.doors.logs import LogExchange
from controller.doors.outbox import Outbox, SetMaker, SetOf
from controller.doors.witness import WitnessDoor
from controller.events import AgentSaid, Assign, Send, SessionLost, SessionOpened

#: An agent that does not say Hello by then is hung up on.
HELLO_TIMEOUT_MS = 10_000
#: A stream older than this is ended, so that a certificate cannot outlive its term in it.
SESSION_AGE_MS_MAX = 24 * 3_600_000
#: A node that was removed gets this long to read why; then its stream is aborted.
REMOVED_GRACE_S = 0.5
#: Pause before an event is offered again to a full inbox.
FULL_PAUSE_MS = 20
#: The service's name on the wire.
SERVICE = agent_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name

log = structlog.get_logger()


class AgentDoor:
    """AgentService. Messages of a session are taken and given as bytes: most are never built as protobuf's
    objects. `set_of` gives what a node shall have."""

    def __init__(self, gate: Gate, logs: LogExchange, witnesses: WitnessDoor, set_of: SetOf) -> None:
        self._gate = gate
        self._logs = logs
        self._witnesses = witnesses
        self._shelf = Shelf()
        self._maker = SetMaker(gate.settled, set_of)
        self._load = Load()
        self._sessions: dict[str, Outbox] = {}
        self._handlers: dict[str, asyncio.Task[Any] | None] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve AgentService."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Session": grpc.stream_stream_rpc_method_handler(self.Session),
            "PushLogs": grpc.stream_unary_rpc_method_handler(
                self.PushLogs,
                request_deserializer=agent_pb2.PushLogsRequest.FromString,
                response_serializer=agent_pb2.PushLogsResponse.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def run(self) -> None:
        """Make what agents are to be told, until cancelled."""
        await self._maker.run()

    def assign(self, command: Assign) -> None:
        """Perform an Assign; a session that has ended is no error."""
        outbox = self._sessions.get(command.session_id)
        if outbox is not None:
            outbox.changed(bulk=command.bulk)

    def send(self, command: Send) -> None:
        """Perform a Send; a session that has ended is no error: SessionLost is on its way."""
        outbox = self._sessions.get(command.session_id)
        if outbox is None:
            return
        message = command.message
        if isinstance(message, Welcome | Pulse):
            message = replace(message, window_ms=self._load.window_ms(len(self._sessions)))
        if isinstance(message, Welcome) and self._witnesses.port:
            ticket = self._witnesses.ticket(command.node_id)
            message = replace(message, witness_port=self._witnesses.port, witness_ticket=ticket)
        outbox.put(message)
        if isinstance(message, Dismissal):
            outbox.close()
            if message.final:
                self._witnesses.revoke(command.node_id)
                asyncio.get_running_loop().call_later(REMOVED_GRACE_S, self._abort, command.session_id)

    def _abort(self, session_id: str) -> None:
        """End the stream of an agent that does not read its dismissal."""
        handler = self._handlers.get(session_id)
        if handler is not None:
            handler.cancel()

    def say(self, session_id: str, message: ControllerSays) -> bool:
        """Say something that the core need not know of (logs). Returns whether the session is there."""
        outbox = self._sessions.get(session_id)
        if outbox is not None:
            outbox.put(message)
        return outbox is not None

    def close(self) -> None:
        """End all sessions; the agents will look for a controller again."""
        for outbox in self._sessions.values():
            outbox.close()

    @answers
    async def Session(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """One agent's session, to its end."""
        node_id = _node_of(context)
        hello = await _hello(requests)
        session_id = secrets.token_hex(8)
        outbox = self._sessions[session_id] = Outbox(node_id, self._shelf, self._maker.want)
        self._handlers[session_id] = asyncio.current_task()
        reader = asyncio.create_task(self._read(requests, session_id, outbox))
        try:
            await self._post(SessionOpened(node_id=node_id, session_id=session_id, hello=hello))
            async with asyncio.timeout(SESSION_AGE_MS_MAX / 1000):
                async for message in outbox.messages():
                    yield message
        except TimeoutError:
            log.info("session renewed by age", node=node_id)
        finally:
            reader.cancel()
            del self._sessions[session_id], self._handlers[session_id]
            await self._post(SessionLost(node_id=node_id, session_id=session_id))

    async def _read(self, requests: AsyncIterator[bytes], session_id: str, outbox: Outbox) -> None:
        """Turn what the agent says into events. Its end, orderly or not, ends the session."""
        try:
            async for request in requests:
                message = hear(request)
                if isinstance(message, Report):
                    outbox.acknowledged(message.revision)
                await self._post(AgentSaid(node_id=outbox.node_id, session_id=session_id, message=message))
        except WireError as error:
            log.warning("malformed message ends the session", node=outbox.node_id, error=str(error))
        except grpc.aio.UsageError:
            pass  # the stream was already over
        finally:
            outbox.close()

    async def _post(self, event: SessionOpened | AgentSaid | SessionLost) -> None:
        """Hand over an event; a full inbox slows the agent down."""
        while True:
            try:
                return self._gate.post(event)
            except InboxFullError:
                await asyncio.sleep(FULL_PAUSE_MS / 1000)

    @answers
    async def PushLogs(self, requests: AsyncIterator[agent_pb2.PushLogsRequest], context: Context) -> Any:
        """Output that a Logs call waits for, from the node that was asked."""
        node_id = _node_of(context)
        served: set[str] = set()
        try:
            async for request in requests:
                served.add(request.request_id)
                if not await self._logs.push(node_id, request):
                    break
        finally:
            await self._logs.finished(node_id, served)
        return agent_pb2.PushLogsResponse()


def _node_of(context: Context) -> str:
    peer = tls.peer_identity(context)
    assert peer is not None and peer.role is tls.PeerRole.AGENT, "the access table lets only agents in"
    return peer.id


async def _hello(requests: AsyncIterator[bytes]) -> Hello:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_MS / 1000):
            first = hear(await anext(aiter(requests)))
    except (TimeoutError, StopAsyncIteration) as error:
        raise refuse(ProblemKind.INVALID, "a session begins with Hello") from error
    if not isinstance(first, Hello):
        raise refuse(ProblemKind.INVALID, "a session begins with Hello")
    return first
