"""The hot path of HTTP: a request that came before, byte for byte, gets the response that is ready for it.

A client asks the same again and again, so its request's bytes are the key: nothing is parsed, and nothing is
encoded as long as the listing stays as it is. All other requests, and from then on their connections, are
aiohttp's. It knows no surface, only what a request means (`Read`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

from bayplan.directory import Directory, Listing, Origin
from bayplan.errors import ProblemError
from bayplan.surfaces.asking import Answer, Asked, Read, View

#: Requests whose responses are kept, and the bytes of those: then all are forgotten.
KEPT_MAX, KEPT_BYTES_MAX = 10_000, 64 * 1024 * 1024
#: A longer request is aiohttp's to refuse, in bytes.
HEAD_BYTES_MAX = 16_384
#: Connections at the same time.
CONNECTIONS_MAX = 10_000
#: A connection without a request is closed after this time, at twice it at the latest, in seconds.
IDLE_CONNECTION_S = 75
#: Connections that the kernel accepts for us while we are busy.
BACKLOG = 1_024

_REQUEST_LINE = re.compile(rb"GET (/[!-~]*) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
#: A request with one of these is more than a question.
_NOT_PLAIN = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection", b"trailer", b"te")
)


class _Kept:
    """A request that is understood, with its response and what that was made of."""

    __slots__ = ("directory", "index", "listings", "origin", "read", "response")

    def __init__(self, read: Read) -> None:
        self.read = read
        self.response = b""
        self.directory: Directory | None = None
        self.index = -1
        self.origin: Origin | None = None
        self.listings: tuple[Listing | None, ...] = ()

    def holds(self, view: View) -> bool:
        """Whether the response is still what would be answered."""
        if self.origin != view.origin or self.directory is not view.directory:
            return False
        if self.index == view.directory.index:
            return True
        now = _listings(self.read, view.directory)
        same = any(now[1:]) and all(a is b for a, b in zip(now, self.listings, strict=True))
        self.index = view.directory.index if same else -1
        return same


class QuickAnswers:
    """Responses by the bytes of their requests."""

    def __init__(
        self, understood: Callable[[Asked], tuple[Read, Any] | None], view: Callable[[], View | None]
    ) -> None:
        self._understood = understood
        self._view = view
        #: By a request's bytes, and by what it asks: many clients ask the same in other words.
        self._by_bytes: dict[bytes, _Kept] = {}
        self._by_question: dict[tuple[str, str], _Kept] = {}
        self._bytes = 0

    def answer(self, request: bytes) -> bytes | None:
        """The whole response; None for what is not one plain question."""
        kept = self._by_bytes.get(request) or self._learnt(request)
        if kept is None:
            return None
        view = self._view()
        if view is None:
            return None
        return kept.response if kept.holds(view) else self._made(kept, view)

    def _learnt(self, request: bytes) -> _Kept | None:
        question = plain_question(request)
        if question is None:
            return None
        kept = self._by_question.get(question)
        if kept is None:
            try:
                understood = self._understood(Asked.of(*question))
            except ProblemError:
                return None
            if understood is None or not understood[0].kept or understood[0].after:
                return None
            kept = _Kept(understood[0])
        if len(self._by_bytes) >= KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._by_bytes.clear()
            self._by_question.clear()
            self._bytes = 0
        self._by_question[question] = self._by_bytes[request] = kept
        self._bytes += len(request)
        return kept

    def _made(self, kept: _Kept, view: View) -> bytes | None:
        try:
            answer = kept.read.made(view)
        except ProblemError:
            return None
        response = _response(answer)
        self._bytes += len(response) - len(kept.response)
        kept.response = response
        kept.directory, kept.origin = view
        kept.index = view.directory.index
        kept.listings = _listings(kept.read, view.directory)
        return response


def _listings(read: Read, directory: Directory) -> tuple[Listing | None, ...]:
    """What an answer is made of: the nodes' listing where it speaks of them, and those of its services."""
    return (directory.get("", "") if read.nodes else None, *read.listings(directory))


def plain_question(request: bytes) -> tuple[str, str] | None:
    """Target and Accept of one whole GET without a body, on a connection that stays; None for others."""
    if not request.endswith(b"\r\n\r\n") or len(request) > HEAD_BYTES_MAX:
        return None
    first, *lines = request[:-4].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        return None
    headers: dict[bytes, bytes] = {}
    for each in lines:
        header = _HEADER.fullmatch(each)
        if header is None:
            return None
        name, value = header[1].lower(), header[2]
        stays = name == b"connection" and value.lower() == b"keep-alive"
        if name in headers or (name in _NOT_PLAIN and not stays):
            return None
        headers[name] = value
    if b"host" not in headers:
        return None
    return line[1].decode(), headers.get(b"accept", b"").decode("latin-1")


def _response(answer: Answer) -> bytes:
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    lines = [f"{name}: {value}\r\n" for name, value in (*headers, *answer.headers)]
    status = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    return "".join([status, *lines, "\r\n"]).encode("latin-1") + answer.body


class _Connection(asyncio.Protocol):
    """A connection, until it asks for something that is not quick."""

    def __init__(self, server: QuickServer) -> None:
        self._server = server
        self._answers = server.answers
        self._begun = b""
        self.used = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._begun:
            data, self._begun = self._begun + data, b""
        response = self._answers.answer(data)
        if response is not None:
            self.used = True
            self.transport.write(response)
        elif _may_go_on(data):
            self._begun = data
        else:
            self._server.hand_over(self, data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


def _may_go_on(data: bytes) -> bool:
    """Whether this is a request's beginning; if its rest does not come the connection is closed as idle."""
    ended = b"\n\r\n" in data or b"\n\n" in data
    return not ended and len(data) <= HEAD_BYTES_MAX and data[:1].isalpha()


class QuickServer:
    """Listens; `slow` (aiohttp's) takes over the connections that ask for more."""

    def __init__(self, answers: QuickAnswers, slow: web.Server) -> None:
        self.answers = answers
        self.connections: set[_Connection] = set()
        self._slow = slow

    async def listen(self, host: str, port: int) -> None:
        """Begin. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), host, port, backlog=BACKLOG)
        self._sweep = loop.call_later(IDLE_CONNECTION_S, self._close_idle)

    async def close(self) -> None:
        """End: nobody is listened to any more, and those who are connected are let go."""
        self._sweep.cancel()
        self._listener.close()
        for each in tuple(self.connections):
            each.transport.close()
        await asyncio.sleep(0)

    def opened(self, connection: _Connection) -> None:
        """One more, unless there are too many."""
        if len(self.connections) + len(self._slow.connections) >= CONNECTIONS_MAX:
            connection.transport.abort()
        else:
            self.connections.add(connection)

    def hand_over(self, connection: _Connection, data: bytes) -> None:
        """A connection with what it asked is aiohttp's from now on."""
        self.connections.discard(connection)
        other = self._slow()
        connection.transport.set_protocol(other)
        other.connection_made(connection.transport)
        other.data_received(data)

    def _close_idle(self) -> None:
        for each in tuple(self.connections):
            if not each.used:
                each.transport.close()
            each.used = False
        self._sweep = asyncio.get_running_loop().call_later(IDLE_CONNECTION_S, self._close_idle)
