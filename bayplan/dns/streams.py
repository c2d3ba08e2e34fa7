"""DNS over TCP (RFC 7766): questions with their lengths before them, several at once on a connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import cast

from bayplan.dns.wire import TCP_BYTES_MAX

#: Connections of a listener, and of them those of one source.
CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX = 256, 32
#: A connection without a whole question for this long is closed (seconds).
IDLE_S = 10.0
#: Bytes of a question.
QUESTION_BYTES_MAX = 4_096

#: Takes who asks, a question and the way to answer it, now or later; False ends the connection.
Ask = Callable[[str, bytes, Callable[[bytes], None]], bool]


class Streams:
    """The connections of one listener."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self._open: set[_Stream] = set()
        self._by_source: Counter[str] = Counter()

    def connection(self) -> asyncio.Protocol:
        """A new one, as `create_server` wants it."""
        return _Stream(self)

    def opened(self, stream: _Stream) -> bool:
        """Whether there is room for one more."""
        many = len(self._open) >= CONNECTIONS_MAX
        if many or self._by_source[stream.source] >= CONNECTIONS_PER_SOURCE_MAX:
            return False
        self._open.add(stream)
        self._by_source[stream.source] += 1
        return True

    def closed(self, stream: _Stream) -> None:
        """There is room again."""
        if stream in self._open:
            self._open.discard(stream)
            self._by_source -= Counter([stream.source])

    def close(self) -> None:
        """End all."""
        for stream in list(self._open):
            stream.abort()


class _Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._paused = False
        self.source = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is of no such class
        peer = transport.get_extra_info("peername")
        self.source = peer[0] if peer else ""
        if self._streams.opened(self):
            self._wait()
        else:
            self.abort()

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(IDLE_S, self.abort)

    def abort(self) -> None:
        """End the connection at once, also with one who does not read."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        self._streams.closed(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._ask_all()

    def _ask_all(self) -> None:
        """Ask what has come whole, as long as the answers find room."""
        received = self._received
        while len(received) >= 2 and not self._paused:
            end = 2 + int.from_bytes(received[:2], "big")
            if end - 2 > QUESTION_BYTES_MAX:
                self.abort()
                return
            if len(received) < end:
                return
            packet = bytes(received[2:end])
            del received[:end]
            self._wait()
            if not self._streams.ask(self.source, packet, self.answer):
                self.abort()
                return

    def answer(self, packet: bytes) -> None:
        """Say it, if the connection is still there."""
        if self._transport is not None and len(packet) <= TCP_BYTES_MAX:
            self._transport.write(len(packet).to_bytes(2, "big") + packet)

    # Who does not read its answers is not heard further, until its time is over.

    def pause_writing(self) -> None:
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._ask_all()
        if self._transport is not None and not self._paused:
            self._transport.resume_reading()
