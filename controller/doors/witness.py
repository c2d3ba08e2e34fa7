"""The witnesses' port: a connection from each node that breaks when its machine goes, not its agent.

A witness shows the ticket that its agent was given in the Welcome. Nothing else is said on the connection,
and nothing is learnt from it but that it stands; so it has no TLS, and a ticket is of no other use.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from typing import cast

import structlog

from bayplan.errors import ProblemKind, refuse
from bayplan.pump import InboxFullError
from controller.doors.gate import Gate
from controller.events import WitnessLost, WitnessOpened

#: Connections at the same time: two for each node of the largest cluster, while one takes over.
WITNESSES_MAX = 20_000
#: Connections that have not shown a ticket yet, and how long they may take.
STRANGERS_MAX = 1_000
TICKET_TIMEOUT_S = 5.0
#: A ticket of 32 hex digits and a newline.
TICKET_BYTES = 33
#: Said to a witness whose ticket is good.
WELCOME = b"ok\n"
#: A machine that vanished without a word is noticed after 5 s and three unanswered probes (tcp(7)).
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 3), (socket.TCP_KEEPCNT, 3))
#: Pause before events are offered again to a full inbox.
FULL_PAUSE_S = 0.02

log = structlog.get_logger()


class WitnessDoor:
    """Gives tickets, and tells the core which nodes' witnesses come and go."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.port = 0
        self._nodes: dict[str, str] = {}
        self._tickets: dict[str, str] = {}
        self._strangers = 0
        self._known: dict[str, _Connection] = {}
        self._waiting: deque[WitnessOpened | WitnessLost] = deque()
        self._numbers = 0

    def ticket(self, node_id: str) -> str:
        """A new ticket for a node's witness, in place of the one before."""
        self._nodes.pop(self._tickets.get(node_id, ""), None)
        ticket = self._tickets[node_id] = secrets.token_hex(16)
        self._nodes[ticket] = node_id
        return ticket

    def revoke(self, node_id: str) -> None:
        """The node is no more: its ticket is void, and its witness hung up on."""
        self._nodes.pop(self._tickets.pop(node_id, ""), None)
        for connection in list(self._known.values()):
            if connection.node_id == node_id:
                connection.close()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Begin to listen. Raises ProblemError when the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: _Connection(self), host, port)
        except OSError as error:
            raise refuse(
                ProblemKind.REFUSED,
                f"cannot listen on {host}:{port} for witnesses: {error.strerror}",
                hint="`ss -ltnp` shows who has the port; --witness-listen at `init` takes another",
            ) from error
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _came(self) -> bool:
        """Whether there is room for one more connection."""
        if self._strangers >= STRANGERS_MAX or len(self._known) >= WITNESSES_MAX:
            return False
        self._strangers += 1
        return True

    def _showed(self, connection: _Connection, ticket: str) -> str:
        """The node that the ticket belongs to; empty for none."""
        node_id = self._nodes.get(ticket, "")
        if node_id:
            self._numbers += 1
            connection.witness = str(self._numbers)
            self._strangers -= 1
            self._known[connection.witness] = connection
            self._post(WitnessOpened(node_id=node_id, witness=connection.witness))
        return node_id

    def _left(self, connection: _Connection) -> None:
        if connection.witness:
            del self._known[connection.witness]
            self._post(WitnessLost(node_id=connection.node_id, witness=connection.witness))
        else:
            self._strangers -= 1

    def _post(self, event: WitnessOpened | WitnessLost) -> None:
        """Hand over an event; a full inbox gets it later, in order."""
        self._waiting.append(event)
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._gate.post(self._waiting[0])
                self._waiting.popleft()
        except InboxFullError:
            asyncio.get_running_loop().call_later(FULL_PAUSE_S, self._flush)


class _Connection(asyncio.Protocol):
    """One witness, or who says to be one. A protocol costs a tenth of a stream's memory."""

    def __init__(self, door: WitnessDoor) -> None:
        self.node_id = ""
        self.witness = ""
        self._door = door
        self._heard = b""
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._counted = self._door._came()
        if not self._counted:
            self._transport.abort()
            return
        plug = transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            plug.setsockopt(socket.IPPROTO_TCP, option, value)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(TICKET_TIMEOUT_S, self.close)

    def data_received(self, data: bytes) -> None:
        """A ticket, once; whatever comes more, or is none, ends the connection."""
        self._heard += data
        if self.node_id or len(self._heard) > TICKET_BYTES:
            self.close()
        elif len(self._heard) == TICKET_BYTES:
            self.node_id = self._door._showed(self, self._heard[:-1].decode("ascii", "replace"))
            if not self.node_id:
                self.close()
                return
            self._deadline.cancel()
            self._transport.write(WELCOME)

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted:
            self._deadline.cancel()
            self._door._left(self)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()
