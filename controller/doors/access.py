"""Who may call what: one table, and the gRPC interceptor that holds every call to it.

A caller's role comes from the listener and from the certificate, never from a message. What has no
row in the table is denied. Knows nothing of what the calls do.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from functools import partial
from typing import Any

import grpc
import grpc.aio

from bayplan.errors import ProblemKind, refuse
from bayplan.rpc_errors import abort_with
from bayplan.tls import Identity, PeerRole, peer_identity


class Listener(StrEnum):
    """The kinds of ports a controller has."""

    UNIX = "unix"  # the file's mode and group decide who connects
    MAIN = "main"  # mTLS
    BOOTSTRAP = "bootstrap"  # only the server shows a certificate


class Role(StrEnum):
    """What a caller is."""

    ADMIN = "admin"  # over the unix socket
    AGENT = "agent"
    CONTROLLER = "controller"
    STRANGER = "stranger"  # over the bootstrap port


_ADMINS = frozenset({Role.ADMIN})
_AGENTS = frozenset({Role.AGENT})
_STRANGERS = frozenset({Role.STRANGER})
_ADMINS_AND_AGENTS = _ADMINS | _AGENTS
_KNOWN = frozenset({Role.ADMIN, Role.AGENT, Role.CONTROLLER})
_EVERYBODY = frozenset(Role)

#: Full method name -> the roles that may call it.
ACCESS: dict[str, frozenset[Role]] = {
    "/bayplan.v1.AgentService/Session": _AGENTS,
    "/bayplan.v1.AgentService/PushLogs": _AGENTS,
    "/bayplan.v1.ClusterService/GetStatus": _ADMINS,
    "/bayplan.v1.ClusterService/CreateJoinToken": _ADMINS,
    "/bayplan.v1.EventService/WatchEvents": _ADMINS,
    "/bayplan.v1.ExplainService/Explain": _ADMINS,
    "/bayplan.v1.ExplainService/Simulate": _ADMINS,
    "/bayplan.v1.ExplainService/Rebalance": _ADMINS,
    "/bayplan.v1.FileService/CreateFile": _ADMINS,
    "/bayplan.v1.FileService/UpdateFile": _ADMINS,
    "/bayplan.v1.FileService/ListFiles": _ADMINS,
    "/bayplan.v1.FileService/GetFile": _ADMINS,
    "/bayplan.v1.FileService/RemoveFile": _ADMINS,
    "/bayplan.v1.JoinService/GetTrustBundle": _STRANGERS,
    "/bayplan.v1.JoinService/Join": _STRANGERS,
    "/bayplan.v1.JoinService/Renew": _STRANGERS,
    "/bayplan.v1.NetworkService/CreateNetwork": _ADMINS,
    "/bayplan.v1.NetworkService/ListNetworks": _ADMINS,
    "/bayplan.v1.NetworkService/GetNetwork": _ADMINS,
    "/bayplan.v1.NetworkService/RemoveNetwork": _ADMINS,
    "/bayplan.v1.NodeService/ListNodes": _ADMINS,
    "/bayplan.v1.NodeService/GetNode": _ADMINS,
    "/bayplan.v1.NodeService/UpdateNode": _ADMINS,
    "/bayplan.v1.NodeService/RemoveNode": _ADMINS,
    "/bayplan.v1.RegistryService/Acknowledge": _ADMINS,
    "/bayplan.v1.RegistryService/Deregister": _ADMINS_AND_AGENTS,
    "/bayplan.v1.RegistryService/Follow": _ADMINS_AND_AGENTS,
    "/bayplan.v1.RegistryService/Lookup": _ADMINS,
    "/bayplan.v1.RegistryService/Watch": _ADMINS,
    "/bayplan.v1.RegistryService/List": _ADMINS,
    "/bayplan.v1.RegistryService/ListFollowers": _ADMINS,
    "/bayplan.v1.RegistryService/Override": _ADMINS,
    "/bayplan.v1.RegistryService/Register": _ADMINS_AND_AGENTS,
    "/bayplan.v1.RegistryService/Renew": _ADMINS_AND_AGENTS,
    "/bayplan.v1.RolloutService/CreateService": _ADMINS,
    "/bayplan.v1.RolloutService/UpdateService": _ADMINS,
    "/bayplan.v1.RolloutService/RollbackService": _ADMINS,
    "/bayplan.v1.RolloutService/RestartService": _ADMINS,
    "/bayplan.v1.RolloutService/RemoveService": _ADMINS,
    "/bayplan.v1.RolloutService/GetRollout": _ADMINS,
    "/bayplan.v1.RolloutService/ControlRollout": _ADMINS,
    "/bayplan.v1.ServiceService/ListServices": _ADMINS,
    "/bayplan.v1.ServiceService/GetService": _ADMINS,
    "/bayplan.v1.ServiceService/Scale": _ADMINS,
    "/bayplan.v1.StackService/Deploy": _ADMINS,
    "/bayplan.v1.StackService/PlanStack": _ADMINS,
    "/bayplan.v1.StackService/Rollback": _ADMINS,
    "/bayplan.v1.StackService/GetStack": _ADMINS,
    "/bayplan.v1.StackService/ListRevisions": _ADMINS,
    "/bayplan.v1.StackService/Remove": _ADMINS,
    "/bayplan.v1.StackService/ListStacks": _ADMINS,
    "/bayplan.v1.StackService/WatchStack": _ADMINS,
    "/bayplan.v1.StackService/SetQuota": _ADMINS,
    "/bayplan.v1.StackService/ListQuotas": _ADMINS,
    "/bayplan.v1.StackService/RemoveQuota": _ADMINS,
    "/bayplan.v1.TaskService/ListTasks": _ADMINS,
    "/bayplan.v1.TaskService/Logs": _ADMINS,
    "/grpc.health.v1.Health/Check": _EVERYBODY,
    "/grpc.health.v1.Health/List": _EVERYBODY,
    "/grpc.health.v1.Health/Watch": _EVERYBODY,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _KNOWN,
}

Context = grpc.aio.ServicerContext[Any, Any]
Authorise = Callable[[Context], Awaitable[None]]

_ROLE_OF_PEER = {PeerRole.AGENT: Role.AGENT, PeerRole.CONTROLLER: Role.CONTROLLER}
#: By (requests are streamed, responses are streamed): where a handler keeps its function, how one is made.
_HANDLER_KINDS: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def role_of(listener: Listener, peer: Identity | None) -> Role | None:
    """A caller's role; None for a verified certificate that names nobody we know."""
    match listener:
        case Listener.UNIX:
            return Role.ADMIN
        case Listener.BOOTSTRAP:
            return Role.STRANGER
        case Listener.MAIN:
            return _ROLE_OF_PEER[peer.role] if peer else None


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Holds every call of one listener to ACCESS. All handlers must be `async`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler behind a check of the caller; None (UNIMPLEMENTED) when there is no handler."""
        handler = await continuation(handler_call_details)
        return handler and _guarded(handler, partial(self._authorise, handler_call_details.method))

    async def _authorise(self, method: str, context: Context) -> None:
        """Return if the caller may call `method`, abort the call if not."""
        role = role_of(self._listener, peer_identity(context))
        if role is None:
            unknown = refuse(
                ProblemKind.UNAUTHORISED,
                "the certificate names no agent and no controller",
                hint="join this machine with `bayplan join`",
            )
            await abort_with(context, unknown, grpc.StatusCode.UNAUTHENTICATED)
        elif role not in ACCESS.get(method, frozenset()):
            call = method.rsplit(".", 1)[-1]
            denied = refuse(
                ProblemKind.UNAUTHORISED,
                f"{call} is not for the role {role} on the {self._listener} listener",
                hint=_hint(method),
            )
            await abort_with(context, denied)


def _hint(method: str) -> str:
    allowed = ACCESS.get(method, frozenset())
    return f"it is for: {', '.join(sorted(allowed))}" if allowed else ""


def _guarded(
    handler: grpc.RpcMethodHandler[Any, Any], authorise: Authorise
) -> grpc.RpcMethodHandler[Any, Any]:
    """The same handler with `authorise` before it."""
    name, make = _HANDLER_KINDS[handler.request_streaming, handler.response_streaming]
    guarded: grpc.RpcMethodHandler[Any, Any] = make(
        _guarded_function(getattr(handler, name), authorise),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return guarded


def _guarded_function(function: Callable[[Any, Context], Any], authorise: Authorise) -> Callable[..., Any]:
    # gRPC tells a generator from a coroutine by its kind, so the guard must be of the same kind.
    if inspect.isasyncgenfunction(function):

        async def stream(request: Any, context: Context) -> Any:
            await authorise(context)
            async with aclosing(function(request, context)) as responses:
                async for response in responses:
                    yield response

        return stream

    async def call(request: Any, context: Context) -> Any:
        await authorise(context)
        return await function(request, context)

    return call
