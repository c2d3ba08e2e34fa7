"""Listens at published ports where rules do not do, on loopback and for IPv6, and passes TCP on.

So a port is the agent's own on this machine, too: one that somebody else has is told of and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from agent.decide.dataplane import Backend, Front, IngressPort
from bayplan.model import NodeFault, NodeFaultKind

#: What could not be listened on is tried again so much later, in seconds.
RETRY_S = 5.0
#: Connections at a time through all listeners; one more is refused.
CONNECTIONS_MAX = 4_096
#: Instances that are tried for a connection, and how long each may take, in seconds.
ATTEMPTS_MAX, CONNECT_S_MAX = 3, 3.0
#: Bytes that are read at once.
READ_BYTES = 64 * 1024
#: Connections that may wait to be accepted.
BACKLOG = 512

#: What a machine without IPv6, or without an address that a service names, answers: nobody has the port.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_log = structlog.get_logger(__name__)


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listeners:
    """All that this node listens at."""

    def __init__(self) -> None:
        self._wanted: dict[Address, IngressPort] = {}
        self._servers: dict[Address, asyncio.Server] = {}
        self._faults: dict[Address, OSError] = {}
        self._news = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        """The ports that somebody else has."""
        return tuple(
            [
                NodeFault(
                    kind=NodeFaultKind.PORT,
                    subject=str(address.port),
                    text=f"published port {address} is taken on this node: {_cause(error)}",
                    hint=f"`ss -ltnp 'sport = :{address.port}'` shows who has it",
                )
                for address, error in sorted(self._faults.items())
                if error.errno not in _NOT_HERE
            ]
        )

    def want(self, fronts: Iterable[Front]) -> None:
        """Listen at these from now on; of two services that claim a port it is the first one's."""
        wanted: dict[Address, IngressPort] = {}
        for front in fronts:
            for port in front.ports:
                for host in port.listeners:
                    wanted.setdefault(Address(host, port.port), port)
        if wanted.keys() != self._wanted.keys():
            self._news.set()
        self._wanted = wanted

    async def run(self) -> None:
        """Listen, forever."""
        try:
            while True:
                await self._settle()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S if self._faults else None):
                        await self._news.wait()
                self._news.clear()
        finally:
            for server in self._servers.values():
                server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _settle(self) -> None:
        for address in self._servers.keys() - self._wanted.keys():
            self._servers.pop(address).close()
        self._faults = {address: error for address, error in self._faults.items() if address in self._wanted}
        for address in sorted(self._wanted.keys() - self._servers.keys()):
            try:
                self._servers[address] = await self._listen(address)
                self._faults.pop(address, None)
            except OSError as error:
                self._tell(address, error)

    async def _listen(self, address: Address) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(address, reader, writer)

        return await asyncio.start_server(accept, sock=_bound(address), backlog=BACKLOG, limit=READ_BYTES)

    def _tell(self, address: Address, error: OSError) -> None:
        cause, before = _cause(error), self._faults.get(address)
        if before is None or _cause(before) != cause:
            _log.warning(
                "a published port is somebody else's on this node",
                address=str(address),
                cause=cause,
                hint="`ss -ltnp` shows who has the port",
                again_every_s=RETRY_S,
            )
        self._faults[address] = error.with_traceback(None)

    async def _accept(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        port = self._wanted.get(address)
        if port is None or len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await _serve(port, reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()


def _cause(error: OSError) -> str:
    return error.strerror or str(error)


async def _serve(port: IngressPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for backend in in_turn(port):
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                there = await asyncio.open_connection(backend.address, backend.port, limit=READ_BYTES)
        except (OSError, TimeoutError):
            continue
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, there[1]))
                group.create_task(_pass_on(there[0], writer))
        except* OSError:
            pass  # either end broke: so does the other
        finally:
            there[1].transport.abort()
        return


def in_turn(port: IngressPort) -> list[Backend]:
    """Whom to try: those on this node first, each chosen by its weight."""
    near = [each for each in port.backends if each not in port.relays]
    far = [each for each in port.backends if each in port.relays]
    return [*_shuffled(near), *_shuffled(far)][:ATTEMPTS_MAX]


def _shuffled(backends: list[Backend]) -> list[Backend]:
    # See Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    return sorted(backends, key=lambda each: -(random.random() ** (1 / each.weight)))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One way, to the end, which is told; the other way goes on."""
    while data := await reader.read(READ_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _bound(address: Address) -> socket.socket:
    """Raises OSError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
