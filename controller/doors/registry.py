"""The registry over gRPC. Answers come from the directory that the keeper has; nothing here queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import Message

from bayplan import tls
from bayplan.directory import EXTERNAL
from bayplan.directory.registrar import TTL_MS_USUAL, Registration, Renewal
from bayplan.errors import ProblemKind, refuse
from bayplan.pump import InboxFullError
from bayplan.v1 import registry_pb2
from bayplan.wire import from_pb, to_pb
from controller import views
from controller.doors.answers import Answers
from controller.doors.directory import Keeper
from controller.doors.follow import Feed
from controller.doors.gate import Context, Gate, answers
from controller.doors.registrar import CoreRegistrar
from controller.events import OverrideAsked, WatcherAcknowledged, WatcherCame, WatcherLeft
from controller.records import Override

SERVICE = "bayplan.v1.RegistryService"
#: Longest name that a watcher may give itself.
WATCHER_CHARS_MAX = 128
#: Between two tries to tell a busy core that a watcher has left.
LEFT_RETRY_S = 0.5


class RegistryDoor:
    """RegistryService. What is asked often is answered with bytes that are made once."""

    def __init__(self, gate: Gate, keeper: Keeper) -> None:
        self._gate = gate
        self._keeper = keeper
        self._answers = Answers(keeper)
        self._feed = Feed(keeper)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve RegistryService."""
        pb = registry_pb2
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Lookup": grpc.unary_unary_rpc_method_handler(self.Lookup),
            "List": _unary(self.List, pb.ListRequest, pb.ListResponse),
            "Watch": grpc.unary_stream_rpc_method_handler(self.Watch, pb.WatchRequest.FromString),
            "Follow": grpc.stream_stream_rpc_method_handler(
                self.Follow, pb.FollowRequest.FromString, pb.FollowResponse.SerializeToString
            ),
            "Acknowledge": _unary(self.Acknowledge, pb.AcknowledgeRequest, pb.AcknowledgeResponse),
            "ListFollowers": _unary(self.ListFollowers, pb.ListFollowersRequest, pb.ListFollowersResponse),
            "Register": _unary(self.Register, pb.RegisterRequest, pb.RegisterResponse),
            "Renew": _unary(self.Renew, pb.RegistryServiceRenewRequest, pb.RegistryServiceRenewResponse),
            "Deregister": _unary(self.Deregister, pb.DeregisterRequest, pb.DeregisterResponse),
            "Override": _unary(self.Override, pb.OverrideRequest, pb.OverrideResponse),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    @answers
    async def Lookup(self, request: bytes, context: Context) -> bytes:
        """The ready instances, or NOT_FOUND with the reason; with `all` also those not ready."""
        return await self._answers.lookup(request)

    @answers
    async def Watch(self, request: registry_pb2.WatchRequest, context: Context) -> AsyncIterator[bytes]:
        """The view at each new revision. A watcher with a name is waited for while this lasts."""
        stack, service, seen = request.stack, request.service, request.revision
        first = seen == 0
        async with self._awaited(request):
            async for listing in self._keeper.views(stack, service):
                revision = listing.revision if listing else 0
                if first or revision != seen:
                    view = self._answers.view(stack, service, listing, seen, increments=request.increments)
                    first, seen = False, revision
                    yield view

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
    async def Follow(
        self, requests: AsyncIterator[registry_pb2.FollowRequest], context: Context
    ) -> AsyncIterator[registry_pb2.FollowResponse]:
        """News of the directory, each chunk when the one before was taken over."""
        async with aclosing(self._feed.follow(_node_of(context), requests)) as pieces:
            async for piece in pieces:
                yield piece

    @answers
    async def ListFollowers(self, request: registry_pb2.ListFollowersRequest, context: Context) -> Any:
        """The copies that follow, and how far each is."""
        state, keeper = await self._gate.read(), self._keeper
        found = []
        for each in keeper.followers.all():
            node = state.nodes.get(each.name)
            name = node.name if node else each.name
            found.append(registry_pb2.Follower(node=name, index=each.index, silent=each.silent))
        index = keeper.directory.index if keeper.is_open else 0
        return registry_pb2.ListFollowersResponse(index=index, followers=found)

    @answers
    async def Register(self, request: registry_pb2.RegisterRequest, context: Context) -> Any:
        """An instance from outside is kept as long as its lease."""
        asked: Registration = from_pb(request.registration, Registration)
        ttl_ms, stack = asked.ttl_ms or TTL_MS_USUAL, asked.stack or EXTERNAL
        asked = msgspec.structs.replace(asked, ttl_ms=ttl_ms, stack=stack)
        await CoreRegistrar(self._gate, _node_of(context)).register(asked)
        return registry_pb2.RegisterResponse()

    @answers
    async def Renew(self, request: registry_pb2.RegistryServiceRenewRequest, context: Context) -> Any:
        """Its lease goes on, or NOT_FOUND."""
        said: Renewal = from_pb(request.renewal, Renewal)
        said = msgspec.structs.replace(said, stack=said.stack or EXTERNAL)
        await CoreRegistrar(self._gate, _node_of(context)).renew(said)
        return registry_pb2.RegistryServiceRenewResponse()

    @answers
    async def Deregister(self, request: registry_pb2.DeregisterRequest, context: Context) -> Any:
        """It is no more."""
        registrar = CoreRegistrar(self._gate, _node_of(context))
        await registrar.deregister(request.stack or EXTERNAL, request.service, request.id)
        return registry_pb2.DeregisterResponse()

    @answers
    async def Override(self, request: registry_pb2.OverrideRequest, context: Context) -> Any:
        """An operator's word about one instance."""
        now: Override = await self._gate.ask(
            lambda ticket: OverrideAsked(
                ticket=ticket,
                stack=request.stack or EXTERNAL,
                service=request.service,
                id=request.id,
                drain=request.drain if request.HasField("drain") else None,
                weight=request.weight if request.HasField("weight") else None,
                clear=request.clear,
            )
        )
        return registry_pb2.OverrideResponse(drain=now.drain, weight=now.weight)

    @answers
    async def List(self, request: registry_pb2.ListRequest, context: Context) -> Any:
        """All services with their numbers."""
        rows = views.registry_entries(await self._gate.read())
        return registry_pb2.ListResponse(services=[to_pb(row) for row in rows])


def _unary(
    function: Callable[[Any, Context], Awaitable[Any]], request: type[Message], response: type[Message]
) -> grpc.RpcMethodHandler[Any, Any]:
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
        function, request.FromString, response.SerializeToString
    )
    return handler


def _node_of(context: Context) -> str:
    """The id of the node that calls; empty for an admin."""
    peer = tls.peer_identity(context)
    return peer.id if peer else ""


def _watcher(request: registry_pb2.WatchRequest | registry_pb2.AcknowledgeRequest) -> tuple[str, str]:
    """The full name of the watched service and the watcher's. Raises ProblemError."""
    if not 0 < len(request.watcher) <= WATCHER_CHARS_MAX:
        raise refuse(
            ProblemKind.INVALID,
            f"a watcher's name has 1 to {WATCHER_CHARS_MAX} characters, this one {len(request.watcher)}",
            hint="give `watcher` a name, the same to Watch and to Acknowledge",
        )
    return f"{request.stack}_{request.service}", request.watcher
