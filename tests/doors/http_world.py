"""The HTTP surfaces of a made-up node on a real port, and clients of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import aiohttp

from bayplan.directory import Entry, Origin, Standing
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.http import HttpSurfaces, listen
from tests.doors.controller.process import free_port
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource

#: Nothing takes longer, in seconds; a blocked machine included.
STEP_S_MAX = 20


def entry(number: int, standing: Standing = Standing.READY, **more: Any) -> Entry:
    usual: dict[str, Any] = {"slot": number, "node": f"n{number}", "node_id": f"node{number}", "version": 1}
    where = {"address": f"10.0.0.{number}", "port": 8000 + number}
    return Entry(id=f"task{number}", standing=standing, **(usual | where | more))


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class World:
    """Node n1 with an empty directory."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.source = MemorySource()
        self.source.state = Origin(node="n1", node_id="node1")
        self.registrar = MemoryRegistrar(self.source)
        self.local = LocalServices(self.registrar, node="n1", address="10.0.0.1")
        self.surfaces = HttpSurfaces(self.source, self.local)
        self.port, self.session = port, session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, target: str, **more: Any) -> Got:
        async with self.session.get(self.url + target, **more) as answer:
            return Got(answer.status, answer.headers, await answer.read())

    async def put(self, target: str, body: Any = None, **more: Any) -> Got:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        async with self.session.put(self.url + target, data=data, **more) as answer:
            return Got(answer.status, answer.headers, await answer.read())

    async def say(self, data: bytes, *, then_end: bool = True) -> bytes:
        """All that is answered to these bytes until the connection ends; with `then_end` we say no more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        if then_end:
            with suppress(OSError):
                writer.write_eof()
        said = b""
        with suppress(ConnectionError):
            said = await asyncio.wait_for(reader.read(-1), STEP_S_MAX)
        writer.close()
        return said


@asynccontextmanager
async def serving() -> AsyncIterator[World]:
    """A world that answers."""
    timeout = aiohttp.ClientTimeout(total=STEP_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        world = World(free_port(), session)
        application = world.surfaces.application()
        stop = await listen(world.surfaces, application, "127.0.0.1", world.port, "no hint")
        keeping = asyncio.create_task(world.local.run())
        try:
            yield world
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await stop()
