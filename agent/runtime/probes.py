"""Probes containers from outside: HTTP, TCP, gRPC. Each result is posted; what it means is not known here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import aiohttp
import grpc.aio
from grpc_health.v1 import health_pb2

from agent import commands as do
from agent.events import Probed
from bayplan.model import Probe, ProbeKind

#: Probes under way at once; others wait.
PROBES_IN_FLIGHT_MAX = 64
#: The first probe of a run comes within this time, in seconds: those of many containers are apart.
FIRST_PROBE_S_MAX = 0.2
#: Of an answer so much is kept, in bytes.
OUTPUT_BYTES_MAX = 4_096

_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = health_pb2.HealthCheckResponse.SERVING


class FailedError(Exception):
    """A probe failed: why, for people."""


class Probes:
    """One loop for each probed task; loops belong to the daemon's group."""

    def __init__(self, post: Callable[[Probed], None], group: asyncio.TaskGroup) -> None:
        self._post = post
        self._group = group
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(PROBES_IN_FLIGHT_MAX)

    def perform(self, command: do.StartProbe | do.StopProbe) -> None:
        """Begin or end."""
        old = self._loops.pop(command.task_id, None)
        if old is not None:
            old.cancel()
        if isinstance(command, do.StartProbe):
            self._loops[command.task_id] = self._group.create_task(self._keep(command))

    async def _keep(self, command: do.StartProbe) -> None:
        interval_s = command.probe.interval_ms / 1000
        # Apart only: it need not be repeatable.
        await asyncio.sleep(random.uniform(0, min(FIRST_PROBE_S_MAX, interval_s)))
        while True:
            began_s = time.monotonic()
            why = await self._asked(command.address, command.probe)
            self._post(Probed(task_id=command.task_id, run=command.run, why=why))
            await asyncio.sleep(max(0.0, began_s + interval_s - time.monotonic()))

    async def _asked(self, address: str, probe: Probe) -> str:
        """Why it failed; empty when it passed."""
        async with self._room:
            try:
                async with asyncio.timeout(probe.timeout_ms / 1000):
                    await _ASKERS[probe.kind](address, probe)
            except TimeoutError:
                return f"{probe.words}: no answer within {probe.timeout_ms} ms"
            except FailedError as error:
                return f"{probe.words}: {error}"
        return ""


async def _http(address: str, probe: Probe) -> None:
    url = f"{'https' if probe.tls else 'http'}://{_host(address)}:{probe.port}{probe.path}"
    headers = {"User-Agent": "bayplan-probe", **({"Host": probe.host} if probe.host else {})}
    try:
        # A session of its own: a connection that is kept would not show that no new one can be had.
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(url, allow_redirects=False, ssl=False) as answer,
        ):
            if not 200 <= answer.status < 400:
                body = await answer.content.read(OUTPUT_BYTES_MAX)
                raise FailedError(
                    f"status {answer.status}: {body.decode(errors='replace').strip()}".rstrip(": ")
                )
    except (aiohttp.ClientError, ValueError) as error:
        raise FailedError(str(error) or type(error).__name__) from error


async def _tcp(address: str, probe: Probe) -> None:
    try:
        _, writer = await asyncio.open_connection(address, probe.port)
    except OSError as error:
        raise FailedError(error.strerror or str(error)) from error
    writer.transport.abort()


async def _grpc(address: str, probe: Probe) -> None:
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"{_host(address)}:{probe.port}", options=options) as channel:
        check = channel.unary_unary(
            _HEALTH_CHECK,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=probe.service))
        except grpc.aio.AioRpcError as error:
            raise FailedError(f"{error.code().name}: {error.details()}") from error
    if answer.status != _SERVING:
        raise FailedError(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_ASKERS: dict[ProbeKind, Callable[[str, Probe], Awaitable[None]]] = {
    ProbeKind.HTTP: _http,
    ProbeKind.TCP: _tcp,
    ProbeKind.GRPC: _grpc,
}
