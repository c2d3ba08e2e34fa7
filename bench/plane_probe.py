"""What somebody else notices of a busy controller: health and lookups, each on a connection of its own.

A process of its own with a higher priority, so that the worst answer is the controller's and not ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.plane_worker import serve, until

#: Pauses between two questions, each of which costs the controller some 0.5 ms: together 3 % of its time.
#: What lies between two is seen all the same: the controller itself notes every 5 ms how late its loop is.
HTTP_PERIOD_S = 0.02
HEALTH_PERIOD_S = 0.1
#: Answers of each kind after which a connection is no longer new.
WARM_ANSWERS = 10
#: An answer that takes longer ends the connection: the controller is away.
ANSWER_S_MAX = 60.0


class Probe:
    """Asks without end; `slowest` tells the worst of each kind since it was asked last."""

    def __init__(self, socket: str, http_port: int) -> None:
        self._socket, self._http_port = socket, http_port
        self._waits: dict[str, list[float]] = {"health": [], "lookup": []}
        self._since = time.monotonic()
        self._path = "/v1/lookup/probe/probe"

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again("health", HEALTH_PERIOD_S, self._health))
            group.create_task(self._again("lookup", HTTP_PERIOD_S, self._lookup))

    async def _again(
        self, kind: str, period_s: float, connect: Callable[[Callable[[], Awaitable[None]]], Any]
    ) -> None:
        """Ask over one connection, and over the next when the controller went away."""
        while True:
            with suppress(OSError, EOFError, grpc.aio.AioRpcError, TimeoutError):
                await connect(lambda ask: self._measure(kind, period_s, ask))
            await asyncio.sleep(0.05)

    async def _measure(self, kind: str, period_s: float, ask: Callable[[], Awaitable[object]]) -> None:
        while True:
            begun = time.monotonic()
            async with asyncio.timeout(ANSWER_S_MAX):
                await ask()
            waited = time.monotonic() - begun
            self._waits[kind].append(waited)
            await asyncio.sleep(max(0.0, period_s - waited))

    async def _health(self, measure: Any) -> None:
        async with grpc.aio.insecure_channel(f"unix://{self._socket}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            await measure(lambda: stub.Check(health_pb2.HealthCheckRequest()))

    async def _lookup(self, measure: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http_port)

        async def ask() -> None:
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))

        try:
            await measure(ask)
        finally:
            writer.close()

    async def warmed(self) -> dict[str, Any]:
        """Wait until both connections answer, and forget how long the first answers took."""
        await until(lambda: min(map(len, self._waits.values())) >= WARM_ANSWERS)
        return await self.slowest()

    async def slowest(self) -> dict[str, Any]:
        """By kind: the worst and the 99th percentile (ms), and how many answers there were, since this was
        asked last; and of the same time how late the controller says that its loop was."""
        lags = await asyncio.to_thread(self._lags)
        seconds = int(time.monotonic() - self._since) + 1
        self._since = time.monotonic()
        waits = self._waits | {"loop": [ms / 1_000 for ms in lags[-seconds:]]}
        self._waits = {kind: [] for kind in self._waits}
        return {kind: _told(mine) for kind, mine in waits.items()}

    def _lags(self) -> list[float]:
        url = f"http://127.0.0.1:{self._http_port}/v1/loop"
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:
            lags: list[float] = json.load(answer)["lag_ms"]
            return lags


def _told(waits: list[float]) -> dict[str, float]:
    ordered = sorted(waits) or [0.0]
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    return {"worst_ms": ordered[-1] * 1e3, "p99_ms": p99 * 1e3, "answers": len(waits)}


async def main(socket: str, http_port: int) -> None:
    probe = Probe(socket, http_port)
    probing = asyncio.create_task(probe.run())
    await serve(probe)
    probing.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
