"""The caller of real tests and bench, where a fault of its own would look like a failed request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.real.caller import PACE_S, REQUEST_TIMEOUT_S, Caller


class Server:
    """Answers each connection as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.asks = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        self.says = b"HTTP/1.0 200 OK\r\n\r\nhello"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self.asks.release()
        await reader.readuntil(b"\r\n\r\n")
        await self.go_on.wait()
        writer.write(self.says)
        writer.close()

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.open()
    yield server
    await server.close()


async def called(caller: Caller, server: Server, times: int) -> None:
    """Lets it ask so many times and waits for its answers."""
    until = asyncio.Event()
    running = asyncio.create_task(caller.run(until))
    for _ in range(times):
        await server.asks.acquire()
    until.set()
    await running


async def test_answered_requests_are_counted_and_none_of_them_failed(server: Server) -> None:
    server.go_on.set()
    caller = Caller()
    caller.use([server.address])
    await called(caller, server, 5)
    assert caller.tally.sent == server.asked >= 5
    assert caller.tally.failed + caller.tally.idle == 0


@pytest.mark.parametrize("says", [b"", b"HTTP/1.0 503 Busy\r\n\r\n"])
async def test_no_answer_and_a_bad_one_are_failures(server: Server, says: bytes) -> None:
    server.go_on.set()
    server.says = says
    caller = Caller()
    caller.use([server.address])
    await called(caller, server, 3)
    assert caller.tally.failed == caller.tally.sent


async def test_nobody_to_ask_is_a_failure_once_somebody_was_there(server: Server) -> None:
    server.go_on.set()
    caller, until = Caller(), asyncio.Event()
    running = asyncio.create_task(caller.run(until))
    await asyncio.sleep(2 * PACE_S)
    assert caller.tally.sent == 0
    caller.use([server.address])
    await server.asks.acquire()
    caller.use([])
    await asyncio.sleep(2 * PACE_S)
    until.set()
    await running
    assert caller.tally.idle > 0


async def test_a_view_has_settled_when_no_request_to_what_left_it_is_under_way(server: Server) -> None:
    caller, until, settled = Caller(), asyncio.Event(), asyncio.Event()
    caller.use([server.address])
    running = asyncio.create_task(caller.run(until))
    await server.asks.acquire()
    caller.use([], settled.set)
    assert not settled.is_set()
    server.go_on.set()
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        await settled.wait()
    until.set()
    await running
