"""Checks of Consul's kinds over real sockets: what passes, warns and fails, and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agent.runtime.checks import ask
from bayplan.model import ProbeKind
from bayplan.surfaces.consul.held import Asking
from tests.doors.controller.process import free_port


def asking(kind: ProbeKind, target: str, **more: object) -> Asking:
    return Asking(kind=kind, target=target, interval_ms=1_000, timeout_ms=5_000, **more)  # type: ignore[arg-type]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """An HTTP server that answers with the status that its path names, to whom has the right header."""

    async def answer(request: web.Request) -> web.Response:
        said = f"{request.method} {request.headers.get('X-Key', '-')} {await request.text()}"
        return web.Response(text=said, status=int(request.match_info["status"]))

    application = web.Application()
    application.add_routes([web.route("*", "/{status}", answer)])
    runner, port = web.AppRunner(application), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_the_status_of_an_answer_decides(url: str) -> None:
    assert (await ask(asking(ProbeKind.HTTP, f"{url}/204")))[0] == "passing"
    assert (await ask(asking(ProbeKind.HTTP, f"{url}/429")))[0] == "warning"
    status, output = await ask(
        asking(ProbeKind.HTTP, f"{url}/503", method="POST", headers={"X-Key": "k"}, body="hello")
    )
    assert (status, output) == ("critical", f"POST {url}/503: 503 POST k hello")


async def test_a_port_on_which_somebody_listens_passes(url: str) -> None:
    assert (await ask(asking(ProbeKind.TCP, url.removeprefix("http://"))))[0] == "passing"
    status, output = await ask(asking(ProbeKind.TCP, f"127.0.0.1:{free_port()}"))
    assert status == "critical" and "refused" in output


async def test_grpc_says_by_its_health_service_how_it_is() -> None:
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await servicer.set("shop", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert (await ask(asking(ProbeKind.GRPC, f"127.0.0.1:{port}")))[0] == "passing"
        assert await ask(asking(ProbeKind.GRPC, f"127.0.0.1:{port}/shop")) == (
            "critical", f"127.0.0.1:{port}/shop: NOT_SERVING",
        )  # fmt: skip
        assert (await ask(asking(ProbeKind.GRPC, f"127.0.0.1:{port}/else")))[0] == "critical"
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (ProbeKind.HTTP, "http://nowhere.invalid/"),
        (ProbeKind.HTTP, "http://[::1%25zz]:1/"),
        (ProbeKind.HTTP, "http://" + "a" * 300 + "/"),
        (ProbeKind.HTTP, "http://\u00df..\u00df/"),
        (ProbeKind.HTTP, "http://a b/"),
        (ProbeKind.TCP, "nowhere.invalid:80"),
        (ProbeKind.TCP, "a..b:80"),
        (ProbeKind.TCP, "[zz]:80"),
        (ProbeKind.TCP, "127.0.0.1:80/more"),
        (ProbeKind.GRPC, "nowhere.invalid:80/%"),
        (ProbeKind.GRPC, "unix:/x:80"),
    ],
)
async def test_whoever_is_not_there_is_critical_whatever_his_name(kind: ProbeKind, target: str) -> None:
    status, output = await ask(asking(kind, target))
    assert status == "critical" and target in output
