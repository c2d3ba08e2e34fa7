"""The watchers of bench.lookup, all in this one process, each with a stream of its own.

They only note when news came: what a client does with them is its own cost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import grpc.aio
import uvloop

from bayplan.v1 import registry_pb2
from bench.plane_worker import serve, until

#: Streams of one connection: the server takes 100.
STREAMS = 50
CHANNEL = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]


class Watchers:
    """What the bench may ask of them."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._arrived: list[float] = []
        self._running: list[asyncio.Task[None]] = []

    async def open(self, count: int, stack: str, service: str) -> dict[str, Any]:
        """Open so many streams; on return each has had its first view."""
        request = registry_pb2.WatchRequest(stack=stack, service=service).SerializeToString()
        for begun in range(0, count, STREAMS):
            channel = grpc.aio.insecure_channel(f"unix://{self._socket}", options=CHANNEL)
            watch: Any = channel.unary_stream("/bayplan.v1.RegistryService/Watch")
            for _ in range(min(STREAMS, count - begun)):
                self._running.append(asyncio.create_task(self._watch(watch(request))))
        await self.heard(count)
        return {}

    async def _watch(self, call: Any) -> None:
        async for _ in call:
            self._arrived.append(time.monotonic())

    async def heard(self, count: int) -> dict[str, Any]:
        """When (monotonic s) each of so many views came since this was asked last."""
        await until(lambda: len(self._arrived) >= count)
        found, self._arrived = self._arrived, []
        return {"at": found}


async def main(socket: str) -> None:
    await serve(Watchers(socket))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
