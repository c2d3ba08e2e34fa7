"""Python's own gRPC client finds services by `xds:///shop/web`: real channels, real servers."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from bayplan.directory import Entry, Origin, Standing
from bayplan.surfaces.bootstrap import bootstrap
from bayplan.surfaces.xds import server
from tests.doors.controller.process import free_port
from tests.memory_source import MemorySource

#: A client of its own process: gRPC reads the bootstrap once. It answers each line with who answered.
CLIENT = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
call = channel.unary_unary("/test.Who/Are")
for line in sys.stdin:
    try:
        print(call(b"", timeout=float(line), wait_for_ready=False).decode(), flush=True)
    except grpc.RpcError as error:
        print(error.code().name, flush=True)
"""


#: Questions until an answer is expected to change.
TRIES_MAX = 300


class Who(grpc.GenericRpcHandler):
    """Tells the server's name."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def are(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return self._name

        return grpc.unary_unary_rpc_method_handler(are)


class World:
    def __init__(self, folder: Path) -> None:
        self.source = MemorySource()
        self._folder = folder
        self._clients: list[asyncio.subprocess.Process] = []
        self._servers: list[grpc.aio.Server] = []
        self.stop = None

    async def backend(self, name: str) -> int:
        """A server that tells its name; its port."""
        made = grpc.aio.server()
        made.add_generic_rpc_handlers((Who(name),))
        self._servers.append(made)
        port = made.add_insecure_port("127.0.0.1:0")
        await made.start()
        return port

    async def entry(self, name: str, **more: object) -> Entry:
        port = await self.backend(name)
        return Entry(id=name, address="127.0.0.1", port=port, **more)  # type: ignore[arg-type]

    async def client(self, target: str, port: int) -> asyncio.subprocess.Process:
        file = self._folder / "bootstrap.json"
        file.write_text(json.dumps(bootstrap(f"127.0.0.1:{port}", "test")))
        made = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CLIENT,
            target,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(file)},
        )
        self._clients.append(made)
        return made

    async def close(self) -> None:
        for client in self._clients:
            client.kill()
            await client.wait()
        for each in self._servers:
            await each.stop(0)


async def asked(client: asyncio.subprocess.Process, *, within_s: float = 10) -> str:
    """Who answers a call, or the status code."""
    assert client.stdin and client.stdout
    client.stdin.write(f"{within_s}\n".encode())
    await client.stdin.drain()
    return (await asyncio.wait_for(client.stdout.readline(), within_s + 20)).decode().strip()


async def until(client: asyncio.subprocess.Process, answer: str) -> None:
    """Ask until somebody else answers."""
    for _ in range(TRIES_MAX):
        if await asked(client) == answer:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{answer} never answered")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    number = free_port()
    stop = await server.listen(world.source, "127.0.0.1", number)
    yield number
    await stop()


async def test_a_grpc_client_sees_instances_come_fail_and_go(world: World, port: int) -> None:
    first, second = await world.entry("first"), await world.entry("second")
    world.source.put("shop", "web", first)
    client = await world.client("xds:///shop/web", port)
    assert await asked(client) == "first"
    world.source.put("shop", "web", second)
    await until(client, "second")
    world.source.put("shop", "web")
    await until(client, "UNAVAILABLE")
    world.source.put("shop", "web", first)
    await until(client, "first")
    world.source.drop("shop", "web")
    await until(client, "UNAVAILABLE")


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "unknown"])
async def test_a_service_that_nobody_answers_for_fails_at_once(
    world: World, port: int, declared: bool
) -> None:
    world.source.put("shop", "db")
    if declared:
        world.source.put("shop", "web")
    client = await world.client("xds:///shop/web", port)
    began = asyncio.get_running_loop().time()
    assert await asked(client, within_s=14) == "UNAVAILABLE"
    assert asyncio.get_running_loop().time() - began < 10


async def test_what_is_not_ready_and_what_drains_is_not_called_and_suspects_come_last(
    world: World, port: int
) -> None:
    ready, leaving = await world.entry("ready"), await world.entry("leaving", standing=Standing.DRAINING)
    failing = await world.entry("failing", standing=Standing.UNHEALTHY)
    suspect = await world.entry("suspect", standing=Standing.SUSPECT)
    world.source.put("shop", "web", ready, leaving, failing, suspect)
    client = await world.client("xds:///shop/web", port)
    assert {await asked(client) for _ in range(20)} == {"ready"}
    world.source.put("shop", "web", leaving, failing, suspect)
    await until(client, "suspect")


async def test_canaries_get_their_share_by_weight(world: World, port: int) -> None:
    old = [await world.entry(f"old{number}", version=1, weight=3) for number in (1, 2)]
    new = await world.entry("new", version=2, weight=2)
    world.source.put("shop", "web", *old, new, canary=2)
    client = await world.client("xds:///shop/web", port)
    answers = collections.Counter([await asked(client) for _ in range(400)])
    # 2 of 8: 100 of 400 on average, with a standard deviation of 8.7.
    assert 55 < answers["new"] < 145
    assert answers["old1"] > 100 and answers["old2"] > 100
    world.source.put("shop", "web", new)
    await until(client, "new")
    for _ in range(TRIES_MAX):
        if {await asked(client) for _ in range(20)} == {"new"}:
            return
    raise AssertionError("those that are gone are still called")


async def test_nothing_is_told_before_anything_is_known(world: World, port: int) -> None:
    world.source.state = Origin(whole=False)
    client = await world.client("xds:///shop/web", port)
    assert await asked(client, within_s=1.5) == "DEADLINE_EXCEEDED"
    world.source.state = Origin(whole=True)
    world.source.put("shop", "web", await world.entry("late"))
    await until(client, "late")
