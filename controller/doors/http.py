"""The lookup over HTTP, on loopback: `GET /v1/lookup/<stack>/<service>`.

Plain HTTP never leaves the machine: an address that is not loopback is refused at the start.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Instance
from controller import lookup, views
from controller.doors.gate import Gate
from controller.doors.lag import LoopLag

#: Bytes of a request's body; aiohttp holds its line and each header to as many.
REQUEST_BYTES_MAX = 8_190
#: A connection without a request is closed after this time, in seconds.
IDLE_CONNECTION_S = 75


class HttpDoor:
    """Answers lookups with JSON."""

    def __init__(self, gate: Gate, lag: LoopLag) -> None:
        self._gate = gate
        self._lag = lag

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=REQUEST_BYTES_MAX)
        application.router.add_get("/v1/lookup/{stack}/{service}", self._lookup)
        application.router.add_get("/v1/services", self._services)
        application.router.add_get("/v1/loop", self._loop)
        application.router.add_get("/{tail:.*}", self._unknown)
        return application

    async def _lookup(self, request: web.Request) -> web.Response:
        """200 with the ready instances, or 404 with the reason."""
        stack, service = request.match_info["stack"], request.match_info["service"]
        found = lookup.lookup(await self._gate.read(), stack, service)
        if found.absence is not None:
            return _refusal(found.absence, found.revision)
        body = {
            "stack": stack,
            "service": service,
            "revision": found.revision,
            "instances": [_row(instance) for instance in found.instances],
        }
        return _json(body, 200)

    async def _services(self, request: web.Request) -> web.Response:
        """All services with their numbers."""
        rows = views.registry_entries(await self._gate.read())
        return _json({"services": [msgspec.structs.asdict(row) for row in rows]}, 200)

    async def _loop(self, request: web.Request) -> web.Response:
        """How late the controller's loop was, by the second."""
        return _json({"lag_ms": [round(ms, 1) for ms in self._lag.worst_ms()]}, 200)

    async def _unknown(self, request: web.Request) -> web.Response:
        paths = ("GET /v1/lookup/<stack>/<service>", "GET /v1/services", "GET /v1/loop")
        return _refusal(
            Problem(kind=ProblemKind.NOT_FOUND, summary=f"there is no {request.path}", details=paths), 0
        )


def _row(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "address": instance.address,
        "port": instance.port,
        "node": instance.node,
        "health": instance.health.value,
        "slot": instance.slot,
        "version": instance.version,
    }


def _refusal(problem: Problem, revision: int) -> web.Response:
    body = {
        "error": problem.summary,
        "details": list(problem.details),
        "hint": problem.hint,
        "revision": revision,
    }
    return _json(body, 404)


def _json(body: Any, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body) + b"\n", status=status, content_type="application/json"
    )
