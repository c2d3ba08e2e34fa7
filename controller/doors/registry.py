"""The registry over gRPC. Answers come from the view that the core keeps; nothing here queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bayplan.errors import ProblemError
from bayplan.v1 import registry_pb2, registry_pb2_grpc
from bayplan.wire import to_pb
from controller import lookup, views
from controller.doors.gate import Context, Gate, answers


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
        """The whole view at each new revision."""
        seen = request.revision
        first = seen == 0
        async for state in self._gate.changes(request.stack):
            found = lookup.lookup(state, request.stack, request.service)
            if first or found.revision != seen:
                first, seen = False, found.revision
                yield registry_pb2.WatchResponse(
                    stack=request.stack,
                    service=request.service,
                    revision=found.revision,
                    instances=[to_pb(instance) for instance in found.instances],
                )

    @answers
    async def Acknowledge(self, request: registry_pb2.AcknowledgeRequest, context: Context) -> Any:
        """A watcher uses what is in its view, and nothing else."""
        return registry_pb2.AcknowledgeResponse()

    @answers
    async def List(self, request: registry_pb2.ListRequest, context: Context) -> Any:
        """All services with their numbers."""
        rows = views.registry_entries(await self._gate.read())
        return registry_pb2.ListResponse(services=[to_pb(row) for row in rows])
