"""The way to the controller for those who register on this node: over the session's channel, as this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc.aio

from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import ProblemKind, refuse
from bayplan.rpc_errors import problem_error_of
from bayplan.v1 import registry_pb2, registry_pb2_grpc
from bayplan.wire import to_pb

#: The controller answers within this time, in seconds.
DEADLINE_S = 5.0

_CLOSED = (grpc.aio.UsageError, asyncio.InvalidStateError)


class GrpcRegistrar:
    """See `bayplan.directory.registrar.Registrar`. `channel` gives the session's, None before the first."""

    def __init__(self, channel: Callable[[], grpc.aio.Channel | None]) -> None:
        self._channel = channel

    async def register(self, registration: Registration) -> None:
        """Have an instance kept. Raises ProblemError."""
        await self._call("Register", registry_pb2.RegisterRequest(registration=to_pb(registration)))

    async def renew(self, renewal: Renewal) -> None:
        """Have a lease go on. Raises ProblemError, NOT_FOUND when it is over."""
        await self._call("Renew", registry_pb2.RegistryServiceRenewRequest(renewal=to_pb(renewal)))

    async def deregister(self, stack: str, service: str, entry_id: str) -> None:
        """Have an instance forgotten. Raises ProblemError."""
        request = registry_pb2.DeregisterRequest(stack=stack, service=service, id=entry_id)
        await self._call("Deregister", request)

    async def _call(self, name: str, request: Any) -> None:
        channel = self._channel()
        if channel is None:
            raise refuse(ProblemKind.UNREACHABLE, "the controller has not been reached yet")
        try:
            await getattr(registry_pb2_grpc.RegistryServiceStub(channel), name)(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise problem_error_of(error) from error
        except _CLOSED as error:
            raise refuse(ProblemKind.UNREACHABLE, "the controller is not reached at the moment") from error
