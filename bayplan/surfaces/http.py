"""The registry over HTTP: lookups, Prometheus, Consul's API, Eureka's, on one port of a daemon.

Plain HTTP is for loopback: whoever mounts it sees to that. It knows a `Source` and a `Registrar`, not where
they come from; what is asked and answered is in the surfaces' own modules.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from bayplan.directory import Source, key_of
from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.surfaces import eureka, lookup, prometheus
from bayplan.surfaces.asking import Answer, Asked, Read, Surface, View
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.reads import ConsulReads
from bayplan.surfaces.consul.writes import ConsulWrites
from bayplan.surfaces.quick import IDLE_CONNECTION_S, QuickAnswers, QuickServer

#: Bytes of a request's body: Consul's registrations are the largest.
BODY_BYTES_MAX = 65_536
#: A body has come within this time, in seconds.
BODY_S_MAX = 10
#: Of a path that is not known, so much is repeated.
PATH_CHARS_SHOWN = 200
#: Queries that wait for a change at the same time, and the status of those beyond.
BLOCKED_MAX, TOO_MANY = 10_000, 429
#: A wait takes up to this part of it longer, so that those that began together do not end together
#: (https://developer.hashicorp.com/consul/api-docs/features/blocking).
JITTER = 1 / 16
#: What waits when the daemon stops is given so long to end, in seconds.
STOP_GRACE_S = 1

_BUSY = Problem(
    kind=ProblemKind.REFUSED,
    summary=f"{BLOCKED_MAX} queries wait for changes already",
    hint="ask without an index, or let fewer clients wait",
)
_TOO_LARGE = Problem(kind=ProblemKind.INVALID, summary=f"a request's body has at most {BODY_BYTES_MAX} bytes")
_TOO_SLOW = Problem(kind=ProblemKind.INVALID, summary=f"a request's body comes within {BODY_S_MAX} s")


class Views(Protocol):
    """What answers are made of, for a source that may have to make it first."""

    def now(self) -> View | None:
        """What there is, without waiting; None when it is not made yet."""
        ...

    async def of(self, read: Read) -> View:
        """What a request is about."""
        ...


class SourceViews:
    """Those of a source that always has everything."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def now(self) -> View:
        return View(self._source.directory, self._source.origin())

    async def of(self, read: Read) -> View:
        return self.now()


class HttpSurfaces:
    """Answers from a source; what registers over Consul's API is in `local`, whose `run` keeps it alive."""

    def __init__(self, source: Source, local: LocalServices, views: Views | None = None) -> None:
        self._source = source
        self.views = views or SourceViews(source)
        consul = ConsulReads(local)
        self._surfaces = (consul.surface, prometheus.SURFACE, eureka.SURFACE, lookup.SURFACE)
        self.writes = ConsulWrites(source, local)
        #: Queries that wait for a change.
        self.waiting = 0

    def application(self) -> web.Application:
        """The routes; whoever mounts them may add some of its own."""
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_get("/{tail:.*}", self._get)
        application.router.add_put("/v1/{tail:.*}", self._put)
        return application

    def understood(self, asked: Asked) -> tuple[Read, Surface] | None:
        """What a request means and whose it is; None when it is nobody's. Raises ProblemError (INVALID)."""
        for surface in self._surfaces:
            read = surface.read(asked)
            if read is not None:
                return read, surface
        return None

    def _view(self) -> View:
        """What a refusal is made of."""
        return View(self._source.directory, self._source.origin())

    async def _get(self, request: web.Request) -> web.Response:
        return _response(await self._answer(request.rel_url.raw_path_qs, request.headers.get("Accept", "")))

    async def _answer(self, target: str, accept: str) -> Answer:
        surface = self._owner(target)
        try:
            understood = self.understood(Asked.of(target, accept))
            if understood is None:
                return surface.refusal(_unknown(target), self._view())
            read, surface = understood
            too_many = await self._change(read) if read.after else None
            if too_many is not None:
                return surface.refusal(too_many, self._view())._replace(status=TOO_MANY)
            return read.made(await self.views.of(read))
        except ProblemError as error:
            return surface.refusal(error.problem, self._view())

    def _owner(self, target: str) -> Surface:
        """Whose words a refusal is in, before it is known what is asked."""
        path = target.partition("?")[0]
        return next((each for each in self._surfaces if path.startswith(each.prefixes)), lookup.SURFACE)

    async def _change(self, read: Read) -> Problem | None:
        """Wait until one of the services that are asked for has changed, or the wait is over; gives why not,
        when too many wait."""
        if self.waiting >= BLOCKED_MAX:
            return _BUSY
        wait_s = read.wait_ms / 1000 * (1 + random.random() * JITTER)
        self.waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                await self._changed(read)
        except TimeoutError:
            pass
        except ProblemError as error:
            return error.problem
        finally:
            self.waiting -= 1
        return None

    async def _changed(self, read: Read) -> None:
        source, index = self._source, read.after
        while True:
            directory = source.directory
            # An index that was never reached, another cluster's maybe, waits for the next change.
            index = min(index, directory.index)
            if not read.names:
                return await source.changed(index)
            if max(directory.changed_at(*name) for name in read.names) > index:
                return None
            known = [name for name in read.names if directory.get(*name) is not None]
            if known:
                await source.changed(index, key_of(*known[0]))
            else:  # anything that changes may be what is meant
                await source.changed(directory.index)

    async def _put(self, request: web.Request) -> web.Response:
        surface = self._owner(request.rel_url.raw_path)
        try:
            asked = Asked.of(request.rel_url.raw_path_qs)
            async with asyncio.timeout(BODY_S_MAX):
                body = await request.read()
            answer = await self.writes.write(asked, body)
        except web.HTTPRequestEntityTooLarge:
            answer = surface.refusal(_TOO_LARGE, self._view())
        except TimeoutError:
            answer = surface.refusal(_TOO_SLOW, self._view())
        except ProblemError as error:
            answer = surface.refusal(error.problem, self._view())
        return _response(answer or surface.refusal(_unknown(request.rel_url.raw_path), self._view()))


async def listen(
    surfaces: HttpSurfaces, application: web.Application, host: str, port: int, hint: str
) -> Callable[[], Awaitable[None]]:
    """Answer until what this returns is called. Raises ProblemError, with the hint, when the address cannot
    be had."""
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=IDLE_CONNECTION_S,
        shutdown_timeout=STOP_GRACE_S,
        handler_cancellation=True,  # who has gone does not wait for changes
    )
    await runner.setup()
    assert runner.server is not None
    quick = QuickServer(QuickAnswers(surfaces.understood, surfaces.views.now), runner.server)
    try:
        await quick.listen(host, port)
    except OSError as error:
        await runner.cleanup()
        problem = f"cannot listen on {host}:{port}: {error.strerror}"
        raise refuse(ProblemKind.REFUSED, problem, hint=hint) from error

    async def stop() -> None:
        await quick.close()
        await runner.cleanup()

    return stop


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **dict(answer.headers)}
    return web.Response(body=answer.body, status=answer.status, headers=headers)


def _unknown(target: str) -> Problem:
    path = target.partition("?")[0]
    return Problem(
        kind=ProblemKind.NOT_FOUND, summary=f"there is no {path[:PATH_CHARS_SHOWN]}", details=lookup.PATHS
    )
