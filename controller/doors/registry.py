"""The registry over gRPC. Answers come from the view that the core keeps; nothing here queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.pump import InboxFullError
from bayplan.v1 import registry_pb2, registry_pb2_grpc
from bayplan.wire import to_pb
from controller import lookup, views
from controller.doors.gate import Context, Gate, answers
from controller.events import WatcherAcknowledged, WatcherCame, WatcherLeft

#: Longest name that a watcher may give itself.
WATCHER_CHARS_MAX = 128
#: Between two tries to tell a busy core that a watcher has left.
LEFT_RETRY_S = 0.5


class RegistryDoor(registry_pb2_grpc.RegistryServiceServicer):
    """RegistryService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def Lookup(self, request: registry_pb2.LookupRequest, context: Context) -> Any:
        """The ready instances, or NOT_FOUND with the reason; with `all` also those not ready."""
        state = await self._gate.read()
        found = lookup.lookup(state, request.stack, request.service, every=request.all)
        if found.absence is not None and not found.instances:
            raise ProblemError(found.absence)
        return registry_pb2.LookupResponse(
            stack=request.stack,
            service=request.service,
            revision=found.revision,
            instances=[to_pb(instance) for instance in found.instances],
        )

    @answers
    async def Watch(
        self, request: registry_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[registry_pb2.WatchResponse]:
        """The whole view at each new revision. A watcher with a name is waited for while this lasts."""
        seen = request.revision
        first = seen == 0
        async with self._awaited(request):
            async for state in self._gate.changes(request.stack):
                found = lookup.lookup(state, request.stack, request.service)
                if first or found.revision != seen:
                    first, seen = False, found.revision
                    yield _view(request, found)

    @asynccontextmanager
    async def _awaited(self, request: registry_pb2.WatchRequest) -> AsyncIterator[None]:
        """Lets the core know of a watcher that acknowledges, and that it has left, however it did."""
        if not request.watcher:
            yield
            return
        service, watcher = _watcher(request)
        self._gate.post(WatcherCame(service=service, watcher=watcher))
        try:
            yield
        finally:
            await self._tell_left(WatcherLeft(service=service, watcher=watcher))

    async def _tell_left(self, left: WatcherLeft) -> None:
        while True:
            try:
                return self._gate.post(left)
            except InboxFullError:
                await asyncio.sleep(LEFT_RETRY_S)

    @answers
    async def Acknowledge(self, request: registry_pb2.AcknowledgeRequest, context: Context) -> Any:
        """A watcher uses what is in its view, and nothing else."""
        service, watcher = _watcher(request)
        self._gate.post(WatcherAcknowledged(service=service, watcher=watcher, revision=request.revision))
        return registry_pb2.AcknowledgeResponse()

    @answers
    async def List(self, request: registry_pb2.ListRequest, context: Context) -> Any:
        """All services with their numbers."""
        rows = views.registry_entries(await self._gate.read())
        return registry_pb2.ListResponse(services=[to_pb(row) for row in rows])


def _watcher(request: registry_pb2.WatchRequest | registry_pb2.AcknowledgeRequest) -> tuple[str, str]:
    """The full name of the watched service and the watcher's. Raises ProblemError."""
    if not 0 < len(request.watcher) <= WATCHER_CHARS_MAX:
        raise refuse(
            ProblemKind.INVALID,
            f"a watcher's name has 1 to {WATCHER_CHARS_MAX} characters, this one {len(request.watcher)}",
            hint="give `watcher` a name, the same to Watch and to Acknowledge",
        )
    return f"{request.stack}_{request.service}", request.watcher


def _view(request: registry_pb2.WatchRequest, found: lookup.Found) -> registry_pb2.WatchResponse:
    return registry_pb2.WatchResponse(
        stack=request.stack,
        service=request.service,
        revision=found.revision,
        instances=[to_pb(instance) for instance in found.instances],
    )
