"""The registry over HTTP, on loopback: the surfaces of `bayplan.surfaces.http`, and how busy the loop is.

Plain HTTP never leaves the machine: an address that is not loopback is refused at the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from bayplan.surfaces.asking import Read, View
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.http import HttpSurfaces, listen
from controller.doors.directory import Keeper
from controller.doors.gate import Gate
from controller.doors.lag import LoopLag
from controller.glimpse import glimpse, origin


class HttpDoor:
    """Mounts the surfaces. What registers over Consul's API is in `local`."""

    def __init__(self, gate: Gate, keeper: Keeper, local: LocalServices, lag: LoopLag) -> None:
        self._surfaces = HttpSurfaces(keeper, local, _Views(gate, keeper))
        self._lag = lag

    async def listen(self, host: str, port: int) -> Callable[[], Awaitable[None]]:
        """Answer until what this returns is called. Raises ProblemError when the address cannot be had."""
        application = self._surfaces.application()
        application.router.add_get("/v1/loop", self._loop)
        hint = "`ss -ltnp` shows who has the port; --http-listen at `init` takes another"
        return await listen(self._surfaces, application, host, port, hint)

    async def _loop(self, request: web.Request) -> web.Response:
        """How late the controller's loop was, by the second."""
        body = msgspec.json.encode({"lag_ms": [round(ms, 1) for ms in self._lag.worst_ms()]})
        return web.Response(body=body + b"\n", content_type="application/json")


class _Views:
    """What answers are made of: the keeper's directory, if there is one already. Who only looks a service up
    does not make it."""

    def __init__(self, gate: Gate, keeper: Keeper) -> None:
        self._gate = gate
        self._keeper = keeper

    def now(self) -> View | None:
        keeper = self._keeper
        return View(keeper.directory, keeper.origin()) if keeper.is_open else None

    async def of(self, read: Read) -> View:
        view = self.now()
        if view is None and (read.names or read.own) and not read.nodes:
            state = await self._gate.read()
            return View(glimpse(state, read.names), origin(state))
        return view or View(await self._keeper.opened(), self._keeper.origin())
