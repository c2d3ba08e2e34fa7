"""Probes over real sockets: what passes, what fails, and in which words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
import pytest
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agent import commands as do
from agent.events import Probed, Run
from agent.runtime.probes import Probes
from bayplan.model import Probe, ProbeKind
from tests.doors.controller.process import free_port

RUN = Run("c1", 1)
Ask = Callable[[Probe], Awaitable[str]]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Gives the first result of a probe on loopback."""
    results: asyncio.Queue[Probed] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        probes = Probes(results.put_nowait, group)

        async def first(probe: Probe) -> str:
            probes.perform(do.StartProbe(task_id="t1", run=RUN, address="127.0.0.1", probe=probe))
            result = await results.get()
            probes.perform(do.StopProbe(task_id="t1"))
            assert (result.task_id, result.run) == ("t1", RUN)
            return result.why

        yield first


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """An HTTP server with a good page, a bad one, one that moves, one that hangs."""

    async def good(request: web.Request) -> web.Response:
        return web.Response(text=request.host, status=200 if request.host == "shop.example" else 404)

    async def bad(request: web.Request) -> web.Response:
        return web.Response(text="no database", status=503)

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/nowhere")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    application = web.Application()
    application.add_routes(
        [web.get("/", good), web.get("/bad", bad), web.get("/moved", moved), web.get("/slow", slow)]
    )
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_an_http_probe_wants_a_good_status(ask: Ask, port: int) -> None:
    probe = Probe(kind=ProbeKind.HTTP, port=port, interval_ms=100, timeout_ms=500, host="shop.example")
    assert await ask(probe) == ""
    assert await ask(Probe(kind=ProbeKind.HTTP, port=port)) == f"http {port}/: status 404: 127.0.0.1:{port}"
    assert await ask(Probe(kind=ProbeKind.HTTP, port=port, path="/moved")) == ""
    assert (
        await ask(Probe(kind=ProbeKind.HTTP, port=port, path="/bad"))
        == f"http {port}/bad: status 503: no database"
    )
    slow = Probe(kind=ProbeKind.HTTP, port=port, path="/slow", timeout_ms=200)
    assert await ask(slow) == f"http {port}/slow: no answer within 200 ms"


async def test_a_tcp_probe_wants_a_connection(ask: Ask, port: int) -> None:
    assert await ask(Probe(kind=ProbeKind.TCP, port=port)) == ""
    closed = free_port()
    assert await ask(Probe(kind=ProbeKind.TCP, port=closed)) == f"tcp {closed}: Connection refused"


async def test_a_grpc_probe_asks_for_the_service_by_name(ask: Ask) -> None:
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await servicer.set("shop.Cart", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await ask(Probe(kind=ProbeKind.GRPC, port=port)) == ""
    cart = Probe(kind=ProbeKind.GRPC, port=port, service="shop.Cart")
    assert await ask(cart) == f"grpc {port} shop.Cart: NOT_SERVING"
    other = Probe(kind=ProbeKind.GRPC, port=port, service="other")
    assert (await ask(other)).startswith(f"grpc {port} other: NOT_FOUND")
    await server.stop(0)
    assert (await ask(Probe(kind=ProbeKind.GRPC, port=port))).startswith(f"grpc {port}: UNAVAILABLE")


async def test_probes_go_on_at_their_interval_until_they_are_stopped(port: int) -> None:
    results: asyncio.Queue[Probed] = asyncio.Queue()
    probe = Probe(kind=ProbeKind.TCP, port=port, interval_ms=100)
    async with asyncio.TaskGroup() as group:
        probes = Probes(results.put_nowait, group)
        probes.perform(do.StartProbe(task_id="t1", run=RUN, address="127.0.0.1", probe=probe))
        loop = asyncio.get_running_loop()
        await results.get()
        began = loop.time()
        for _ in range(3):
            await results.get()
        assert loop.time() - began >= 0.25
        probes.perform(do.StopProbe(task_id="t1"))
        await asyncio.sleep(0.3)
        assert results.empty()
