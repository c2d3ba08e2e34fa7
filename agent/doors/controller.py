"""The controller over gRPC: opens links for the session door and carries output to PushLogs.

The only module of the agent's session that knows grpc. A link has a channel of its own, so that
each uses the newest certificate and back-off is the door's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import structlog

from agent.doors.session import CONNECT_DEADLINE_S, REACH_DEADLINE_S
from agent.identity import NodeIdentity
from bayplan.model import LogLine
from bayplan.rpc_errors import problem_of
from bayplan.session import AgentSays, ControllerSays
from bayplan.session_wire import SESSION_METHOD, Listener, say
from bayplan.tls import open_channel
from bayplan.v1 import agent_pb2, agent_pb2_grpc
from bayplan.wire import WireError, to_pb

#: After a Goodbye the controller gets this long to end the stream from its side.
CLOSE_GRACE_S = 0.5

_log = structlog.get_logger(__name__)
_GRPC_ERRORS = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError)


class GrpcLink:
    """See bayplan.session.Link."""

    def __init__(self, channel: grpc.aio.Channel, call: Any, address: str) -> None:
        self._channel = channel
        self._call = call
        self._address = address

    async def send(self, message: AgentSays) -> None:
        """Hand over one message. Raises ConnectionError when the session is over."""
        try:
            await self._call.write(say(message))
        except _GRPC_ERRORS as error:
            raise ConnectionError(_cause(error, self._address)) from error

    async def __aiter__(self) -> AsyncIterator[ControllerSays]:
        """The controller's messages, in order."""
        listener = Listener()
        try:
            async for response in self._call:
                yield listener.hear(response)
        except WireError as error:
            _log.error("the controller sent what is no message", cause=str(error))
        except _GRPC_ERRORS as error:
            _log.info("the stream broke", cause=_cause(error, self._address))

    async def close(self) -> None:
        """End the session; never raises."""
        with contextlib.suppress(TimeoutError, *_GRPC_ERRORS):
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._call.done_writing()
                await self._call.code()
        self._call.cancel()
        await self._channel.close()


class GrpcController:
    """The controller, as far as this agent speaks with it. `identity` gives the newest one."""

    def __init__(self, identity: Callable[[], NodeIdentity]) -> None:
        self._identity = identity
        self._channel: grpc.aio.Channel | None = None

    @property
    def channel(self) -> grpc.aio.Channel | None:
        """The newest link's; it may be closed. None before the first."""
        return self._channel

    async def connect(self) -> GrpcLink:
        """Open a link. Raises ConnectionError."""
        identity = self._identity()
        address = identity.membership.controller_address
        await reach(address)
        channel = open_link_channel(identity)
        try:
            call: Any = channel.stream_stream(SESSION_METHOD)()
            await call.wait_for_connection()
        except _GRPC_ERRORS as error:
            await channel.close()
            raise ConnectionError(_cause(error, address)) from error
        except asyncio.CancelledError:
            await channel.close()
            raise
        self._channel = channel
        return GrpcLink(channel, call, address)

    async def push_logs(self, request_id: str, batches: AsyncIterator[tuple[list[LogLine], str]]) -> None:
        """Carry batches of lines and warnings to the controller, until either side has enough."""
        if self._channel is None:
            return

        async def requests() -> AsyncIterator[agent_pb2.PushLogsRequest]:
            # The first says which request is answered, so that its end is known though nothing was written.
            yield agent_pb2.PushLogsRequest(request_id=request_id)
            async for lines, warning in batches:
                yield agent_pb2.PushLogsRequest(
                    request_id=request_id, lines=[to_pb(line) for line in lines], warning=warning
                )

        try:
            await agent_pb2_grpc.AgentServiceStub(self._channel).PushLogs(requests())
        except _GRPC_ERRORS as error:
            _log.debug("a push of output ended", request=request_id, cause=_cause(error, "the controller"))


async def reach(address: str) -> None:
    """Find out whether anybody listens at host:port. Raises ConnectionError. To a controller that is away a
    channel with TLS would be made in vain, which costs 20 times as much."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(REACH_DEADLINE_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError as error:
        raise ConnectionError(f"no answer from {address} within {REACH_DEADLINE_S:g} s") from error
    except OSError as error:
        raise ConnectionError(f"cannot reach the controller at {address}: {error}") from error
    writer.close()


def open_link_channel(identity: NodeIdentity) -> grpc.aio.Channel:
    """A channel for one link; how long it may take to connect is the session door's to say."""
    address, keys = identity.membership.controller_address, identity.keys
    return open_channel(address, keys.ca_pem, keys, connect_ms=int(CONNECT_DEADLINE_S * 1000))


def _cause(error: BaseException, address: str) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return problem_of(error, f"the controller at {address}").summary
    return str(error)
