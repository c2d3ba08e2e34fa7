"""Asks what registered over Consul's API how it is, as Consul's agent does: HTTP, TCP, gRPC. It does not know
when.

What is asked and what an answer means: https://developer.hashicorp.com/consul/docs/services/usage/checks
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import grpc.aio
from grpc_health.v1 import health_pb2

from bayplan.model import ProbeKind
from bayplan.surfaces.consul.held import Asking
from bayplan.surfaces.consul.rows import CRITICAL, PASSING, WARNING

#: Of an answer so much is kept, in bytes.
OUTPUT_BYTES_MAX = 4_096

Said = tuple[str, str]


async def ask(asking: Asking) -> Said:
    """The state of a check, and why."""
    try:
        async with asyncio.timeout(asking.timeout_ms / 1000):
            return await _ASKERS[asking.kind](asking)
    except TimeoutError:
        return CRITICAL, f"{asking.target}: no answer within {asking.timeout_ms} ms"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return CRITICAL, f"{asking.target}: {error}"
    except grpc.aio.AioRpcError as error:
        return CRITICAL, f"{asking.target}: {error.code().name}: {error.details()}"


async def _http(asking: Asking) -> Said:
    headers = {"User-Agent": "bayplan-check", **asking.headers}
    # A session of its own: a connection that is kept would not show that no new one can be had.
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(asking.method, asking.target, data=asking.body or None, ssl=asking.verify) as answer,
    ):
        said = f"{asking.method} {asking.target}: {answer.status}"
        if 200 <= answer.status < 300:
            return PASSING, said
        body = (await answer.content.read(OUTPUT_BYTES_MAX)).decode(errors="replace").strip()
        return WARNING if answer.status == 429 else CRITICAL, f"{said} {body}".rstrip()


async def _tcp(asking: Asking) -> Said:
    host, _, port = asking.target.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.transport.abort()
    return PASSING, f"TCP connect {asking.target}: Success"


async def _grpc(asking: Asking) -> Said:
    address, _, service = asking.target.partition("/")
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(service=service))
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return PASSING if name == "SERVING" else CRITICAL, f"{asking.target}: {name}"


_ASKERS: dict[ProbeKind, Callable[[Asking], Awaitable[Said]]] = {
    ProbeKind.HTTP: _http,
    ProbeKind.TCP: _tcp,
    ProbeKind.GRPC: _grpc,
}
