"""The sockets of the name server: UDP in a tight loop, and TCP, at one address. Knows packets as bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import NamedTuple

from bayplan.dns import wire
from bayplan.dns.budget import Budget
from bayplan.dns.datagrams import Datagrams
from bayplan.dns.forward import Forwarder
from bayplan.dns.responder import Responder, refused
from bayplan.dns.streams import Streams
from bayplan.dns.wire import Question
from bayplan.errors import ProblemKind, refuse

#: Bytes of a packet that are looked at.
PACKET_BYTES_MAX = 4_096
#: Packets that are answered before others in this process have their turn.
PACKETS_PER_TURN = 64
#: Bytes that wait in the kernel while this process does something else; it may allow less.
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
#: Connections that wait for being accepted.
BACKLOG = 128

_OTHER_ADDRESS = "--dns-listen takes another, or off"
#: Linux's ip(7); the module socket does not have it.
_IP_FREEBIND = 15


class Sockets(NamedTuple):
    """The two sockets of one address."""

    udp: socket.socket
    tcp: socket.socket
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    def close(self) -> None:
        """Give the port back."""
        self.udp.close()
        self.tcp.close()


def bind(host: str, port: int, *, early: bool = False) -> Sockets:
    """Take a port (0: any) of an address, `early` also of one that this machine does not have yet.

    Raises ProblemError: INVALID for what is no address of one interface, REFUSED when the port cannot be
    had."""
    address = _address(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    tcp = socket.socket(family, socket.SOCK_STREAM)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in (tcp, udp) if early else ():
            each.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        tcp.bind((host, port))
        udp.bind((host, tcp.getsockname()[1]))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        tcp.listen(BACKLOG)
    except OSError as error:
        udp.close()
        tcp.close()
        ways_out = "a server on all addresses has to leave this one out" if early else _OTHER_ADDRESS
        raise refuse(
            ProblemKind.REFUSED,
            f"DNS cannot listen on {host}:{port}: {error.strerror}",
            hint=f"`ss -lunp 'sport = :{port}'` shows who has the port; {ways_out}",
        ) from error
    udp.setblocking(False)
    tcp.setblocking(False)
    return Sockets(udp, tcp, host, tcp.getsockname()[1])


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise refuse(ProblemKind.INVALID, f"DNS cannot listen on {host!r}: not an address") from error
    if address.is_unspecified:
        # Answers over UDP would leave with whichever address the route has, and be thrown away.
        raise refuse(
            ProblemKind.INVALID,
            f"DNS cannot listen on {host}",
            hint="give each address by itself, repeatedly",
        )
    return address


class Desk(NamedTuple):
    """What answers somebody. With a `forwarder` others are asked for names that are not ours."""

    responder: Responder
    forwarder: Forwarder | None = None


#: Who answers an asker, by his address; None: he is not answered.
Desks = Callable[[str], Desk | None]


class DnsServer:
    """Answers at one address: all alike, or each asker at the desk that is his."""

    def __init__(self, desk: Desk | Desks, sockets: Sockets) -> None:
        self._sockets = sockets
        self._desk = desk if isinstance(desk, Desk) else None
        self._desks: Desks = (lambda host: desk) if isinstance(desk, Desk) else desk
        # Nobody from elsewhere can come with an address of loopback, or gets a desk: no need to count there.
        self._budget = None if sockets.is_loopback or self._desk is None else Budget()
        self._datagrams = Datagrams(sockets.udp, PACKETS_PER_TURN, PACKET_BYTES_MAX, wire.EDNS_BYTES_MAX)
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Answer, forever; the sockets are closed at the end."""
        loop = asyncio.get_running_loop()
        streams = Streams(self._ask)
        try:
            async with asyncio.TaskGroup() as self._group:
                server = await loop.create_server(streams.connection, sock=self._sockets.tcp)
                loop.add_reader(self._sockets.udp, self._readable)
                async with server:
                    await loop.create_future()
        finally:
            loop.remove_reader(self._sockets.udp)
            streams.close()
            self._sockets.close()

    def _readable(self) -> None:
        """Answer the packets that have come, some at a time: the loop calls again while there are more."""
        datagrams, only = self._datagrams, self._desk
        plain = self._budget is None and only is not None and only.forwarder is None
        for place, packet in enumerate(datagrams.receive()):
            desk = only or self._desks(datagrams.source(place)[0])
            if desk is None:
                continue
            answer = desk.responder.respond(packet)
            if isinstance(answer, bytes):
                allowed = answer if plain else self._allowed(desk, answer, datagrams.source(place))
                if allowed is not None:
                    datagrams.answer(place, allowed)
            elif answer is not None:
                self._elsewhere(desk, answer, False, self._sender(datagrams.source(place)))
        datagrams.send()

    def _allowed(self, desk: Desk, answer: bytes, source: tuple[str, int]) -> bytes | None:
        """What of an answer of ours may be sent."""
        packet = answer if desk.forwarder is None else wire.recursive(answer)
        return self._within_budget(packet, source)

    def _within_budget(self, packet: bytes, source: tuple[str, int]) -> bytes | None:
        if self._budget is None:
            return packet
        return self._budget.spend(source[0], packet, asyncio.get_running_loop().time())

    def _sender(self, source: tuple[str, int]) -> Callable[[bytes], None]:
        def send(packet: bytes) -> None:
            allowed = self._within_budget(packet, source)
            if allowed is not None:
                with contextlib.suppress(OSError):
                    self._sockets.udp.sendto(allowed, source)

        return send

    def _ask(self, host: str, packet: bytes, send: Callable[[bytes], None]) -> bool:
        """A question over TCP."""
        desk = self._desks(host)
        answer = None if desk is None else desk.responder.respond(packet, True)
        if desk is None or answer is None:
            return False
        if isinstance(answer, Question):
            self._elsewhere(desk, answer, True, send)
        else:
            send(answer if desk.forwarder is None else wire.recursive(answer))
        return True

    def _elsewhere(self, desk: Desk, question: Question, stream: bool, send: Callable[[bytes], None]) -> None:
        """A question about a name that is not ours."""
        if desk.forwarder is None or self._group is None or not question.recursion:
            send(refused(question))
            return
        self._group.create_task(self._forward(desk.forwarder, question, stream, send))

    async def _forward(
        self, forwarder: Forwarder, question: Question, stream: bool, send: Callable[[bytes], None]
    ) -> None:
        send(wire.recursive(await forwarder.ask(question, stream)))
