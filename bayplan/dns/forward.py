"""Questions about names that are not ours, asked of others: for containers, whose only server this one is.

Names of ours never come here. Nothing is kept: the servers that are asked do that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from bayplan.dns import wire
from bayplan.dns.responder import failed
from bayplan.dns.wire import Question, Rcode, Sections, Type

#: How long one server is waited for, and how many are asked (seconds, servers). Resolvers give up after 5 s.
ATTEMPT_S, ATTEMPTS_MAX = 2.0, 2
#: Questions that are on their way at once.
QUESTIONS_MAX = 512
#: Where servers are asked.
PORT = 53


class Forwarder:
    """Asks the first of `upstreams` (addresses, as they are at the moment) that answers."""

    def __init__(self, upstreams: Callable[[], Sequence[str]], port: int = PORT) -> None:
        self._upstreams, self._port = upstreams, port
        self._asked = 0

    async def ask(self, question: Question, stream: bool) -> bytes:
        """What others say to a question, or that they do not answer."""
        if _is_bare(question):
            return wire.reply(question, Sections(Rcode.NXDOMAIN), wire.UDP_BYTES, recursion=True, own=False)
        if self._asked >= QUESTIONS_MAX:
            return failed(question)
        self._asked += 1
        try:
            for host in list(self._upstreams())[:ATTEMPTS_MAX]:
                found = await self._try(host, question, stream)
                if found is not None:
                    return found
        finally:
            self._asked -= 1
        return failed(question)

    async def _try(self, host: str, question: Question, stream: bool) -> bytes | None:
        """One server's answer with the asker's id; None when it has none in time."""
        ident = secrets.randbelow(0x10000)
        way = _over_tcp if stream else _over_udp
        try:
            async with asyncio.timeout(ATTEMPT_S):
                packet = await way(host, self._port, question, ident)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            return None
        return question.id.to_bytes(2, "big") + packet[2:] if packet else None


def _is_bare(question: Question) -> bool:
    """A host's name without a domain is nobody's business but this network's."""
    return len(wire.labels(question.name)) < 2 and question.type in (Type.A, Type.AAAA)


class _Waiting(asyncio.DatagramProtocol):
    """Takes the first packet that is the answer; others may have guessed at it."""

    def __init__(self, question: Question, ident: int) -> None:
        self._question, self._ident = question, ident
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and wire.answers(data, self._question, self._ident):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(host: str, port: int, question: Question, ident: int) -> bytes:
    """From a port of its own each time, which is as hard to guess as the id. Raises OSError."""
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(
        lambda: _Waiting(question, ident), remote_addr=(host, port)
    )
    try:
        transport.sendto(wire.query(question, ident))
        return await waiting.answer
    finally:
        transport.close()


async def _over_tcp(host: str, port: int, question: Question, ident: int) -> bytes:
    """Raises OSError and IncompleteReadError; empty when something else was answered."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        packet = wire.query(question, ident)
        writer.write(len(packet).to_bytes(2, "big") + packet)
        found = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()
    return found if wire.answers(found, question, ident) else b""


def upstreams_of(resolv_conf: str) -> list[str]:
    """The servers that a resolv.conf names."""
    lines = [line.split() for line in resolv_conf.splitlines()]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
