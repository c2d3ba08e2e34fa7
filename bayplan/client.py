"""The controller's services as plain calls: values in, values out, problems raised.

The one place of the client that knows gRPC. Each call has a deadline; a watch goes on when the
controller was away for a while. Knows nothing of terminals.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple, cast

import grpc

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import Instance, LogLine, ServiceSpec, StackSpec
from bayplan.rpc_errors import problem_error_of
from bayplan.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    service_pb2,
    service_pb2_grpc,
    stack_pb2,
    stack_pb2_grpc,
    task_pb2,
    task_pb2_grpc,
)
from bayplan.views import Event, NodeView, RegistryEntry, ServiceChange, ServiceView, StackView, TaskView
from bayplan.wire import WireError, from_pb, to_pb

#: Where the controller listens when nobody says otherwise.
DEFAULT_HOST = "unix:///run/bayplan/controller.sock"
#: The deadline of a call that only reads, in seconds.
READ_S = 15.0
#: The deadline of a deploy: the controller asks the nodes before it answers. In seconds.
DEPLOY_S = 90.0
#: The deadline of another call that changes something, in seconds.
WRITE_S = 30.0
#: The deadline of one watching stream, in seconds; the watch then opens the next.
WATCH_S = 3_600.0
#: The deadline of reading kept output, in seconds.
LOGS_S = 600.0
#: The deadline of following output, in seconds.
LOGS_FOLLOW_S = 7 * 86_400.0
#: How long a watch tries to reach a controller that went away, in seconds.
AWAY_MAX_S = 60.0
#: The first and the longest pause between two such tries, in seconds.
RETRY_MIN_S, RETRY_MAX_S = 0.1, 2.0
#: The deadline of the first touch of the socket, in seconds.
CONNECT_S = 5.0
#: The largest message taken from the controller, in bytes.
MESSAGE_MAX_BYTES = 64 * 1024 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.initial_reconnect_backoff_ms", int(RETRY_MIN_S * 1_000)),
    ("grpc.min_reconnect_backoff_ms", int(RETRY_MIN_S * 1_000)),
    ("grpc.max_reconnect_backoff_ms", int(RETRY_MAX_S * 1_000)),
    ("grpc.default_authority", "localhost"),
)


class StackNow(NamedTuple):
    """One stack at one moment."""

    services: tuple[ServiceView, ...] = ()
    tasks: tuple[TaskView, ...] = ()


class ClusterNow(NamedTuple):
    """The cluster at one moment; the fields are those of GetStatusResponse."""

    cluster_id: str
    controller_version: str
    epoch: int
    uptime_ms: int
    join_address: str
    http_address: str
    nodes: tuple[NodeView, ...]
    stacks: tuple[StackView, ...]
    services: tuple[ServiceView, ...]
    events: tuple[Event, ...]
    problems: tuple[str, ...]


class JoinToken(NamedTuple):
    """A new token, where to use it (host:port), and until when (Unix milliseconds)."""

    token: str
    join_address: str
    expires_ms: int


class LogBatch(NamedTuple):
    """Some lines of output, names of tasks that are new (id -> service.slot@node), or a warning."""

    lines: tuple[LogLine, ...]
    names: dict[str, str]
    warning: str


def socket_path(host: str) -> str:
    """The path of the unix socket that a host names. Raises ProblemError for anything else."""
    if host.startswith("unix://"):
        return host.removeprefix("unix://")
    if host.startswith("/"):
        return host
    raise refuse(
        ProblemKind.INVALID,
        f"cannot connect to {host!r}: this version speaks to the controller through its unix socket only",
        hint="run bayplan on the controller's host, with -H unix:///path/to/controller.sock "
        "or without -H and BAYPLAN_HOST",
    )


def touch(path: str) -> None:
    """Connects to the socket once, because its errno tells the user more than gRPC does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CONNECT_S)
            probe.connect(path)
    except PermissionError:
        raise refuse(
            ProblemKind.UNAUTHORISED,
            f"no permission to use the controller's socket {path}",
            hint="run it as root, or join the group: sudo usermod -aG bayplan $USER, then log in again",
        ) from None
    except OSError as error:
        raise refuse(
            ProblemKind.UNREACHABLE,
            f"cannot reach the controller at unix://{path}",
            (error.strerror or str(error)).lower(),
            hint="is bayplan-controller running on this host? `systemctl status bayplan-controller`; "
            "a new cluster begins with `bayplan init`",
        ) from None


class Client(AbstractContextManager["Client"]):
    """A connection to one controller. Every method raises ProblemError and nothing else."""

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        path = socket_path(host)
        touch(path)
        self._channel = grpc.insecure_channel(f"unix://{path}", options=_OPTIONS)
        self._stacks = stack_pb2_grpc.StackServiceStub(self._channel)
        self._services = service_pb2_grpc.ServiceServiceStub(self._channel)
        self._tasks = task_pb2_grpc.TaskServiceStub(self._channel)
        self._nodes = node_pb2_grpc.NodeServiceStub(self._channel)
        self._registry = registry_pb2_grpc.RegistryServiceStub(self._channel)
        self._cluster = cluster_pb2_grpc.ClusterServiceStub(self._channel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is still open."""
        self._channel.close()

    def deploy(self, stack: StackSpec, prune: bool, dry_run: bool) -> tuple[ServiceChange, ...]:
        """What the deploy does to each service; on return it is durable (unless dry_run)."""
        request = stack_pb2.DeployRequest(stack=to_pb(stack), prune=prune, dry_run=dry_run)
        return _values(_call(self._stacks.Deploy, request, DEPLOY_S).changes)

    def remove_stack(self, stack: str) -> tuple[str, ...]:
        """The full names of the services that now go."""
        return tuple(_call(self._stacks.Remove, stack_pb2.RemoveRequest(stack=stack), WRITE_S).services)

    def stacks(self) -> tuple[StackView, ...]:
        return _values(_call(self._stacks.ListStacks, stack_pb2.ListStacksRequest(), READ_S).stacks)

    def watch_stack(self, stack: str, notice: Callable[[str], None] | None = None) -> Iterator[StackNow]:
        """The stack now and after each change, without end. `notice` hears of a controller that is away."""
        request = stack_pb2.WatchStackRequest(stack=stack)
        return _watch(self._stacks.WatchStack, request, _stack_now, notice or (lambda _text: None))

    def stack_now(self, stack: str) -> StackNow:
        """The stack at this moment; empty when there is none of that name."""
        call = self._stacks.WatchStack(stack_pb2.WatchStackRequest(stack=stack), timeout=READ_S)
        try:
            return _stack_now(next(iter(call)))
        except grpc.RpcError as error:
            raise _problem(error) from None
        finally:
            call.cancel()

    def services(self, stack: str = "") -> tuple[ServiceView, ...]:
        request = service_pb2.ListServicesRequest(stack=stack)
        return _values(_call(self._services.ListServices, request, READ_S).services)

    def service(self, name: str) -> tuple[ServiceView, ServiceSpec]:
        answer = _call(self._services.GetService, service_pb2.GetServiceRequest(service=name), READ_S)
        return _value(answer.view), _value(answer.spec)

    def scale(self, name: str, replicas: int) -> tuple[str, int, int]:
        """The service's full name, its replicas before and after."""
        request = service_pb2.ScaleRequest(service=name, replicas=replicas)
        answer = _call(self._services.Scale, request, WRITE_S)
        return answer.service, answer.before, answer.after

    def tasks(self, stack: str = "", service: str = "", node: str = "") -> tuple[TaskView, ...]:
        request = task_pb2.ListTasksRequest(stack=stack, service=service, node=node)
        return _values(_call(self._tasks.ListTasks, request, READ_S).tasks)

    def logs(self, targets: Sequence[str], follow: bool, tail: int, since_ms: int) -> Iterator[LogBatch]:
        """Output, in each task's order. `tail` is per task, negative is all."""
        request = task_pb2.LogsRequest(targets=targets, follow=follow, tail=tail, since_ms=since_ms)
        try:
            for answer in self._tasks.Logs(request, timeout=LOGS_FOLLOW_S if follow else LOGS_S):
                yield LogBatch(_values(answer.lines), dict(answer.names), answer.warning)
        except grpc.RpcError as error:
            raise _problem(error) from None

    def nodes(self) -> tuple[NodeView, ...]:
        return _values(_call(self._nodes.ListNodes, node_pb2.ListNodesRequest(), READ_S).nodes)

    def node(self, name: str) -> NodeView:
        answer = _call(self._nodes.GetNode, node_pb2.GetNodeRequest(node=name), READ_S)
        node: NodeView = _value(answer.node)
        return node

    def lookup(self, stack: str, service: str, every: bool) -> tuple[Instance, ...]:
        """The ready instances, or every one. Raises NOT_FOUND with the reason when there is none."""
        request = registry_pb2.LookupRequest(stack=stack, service=service, all=every)
        return _values(_call(self._registry.Lookup, request, READ_S).instances)

    def registry(self) -> tuple[RegistryEntry, ...]:
        return _values(_call(self._registry.List, registry_pb2.ListRequest(), READ_S).services)

    def status(self) -> ClusterNow:
        answer = _call(self._cluster.GetStatus, cluster_pb2.GetStatusRequest(), READ_S)
        return ClusterNow(
            cluster_id=answer.cluster_id,
            controller_version=answer.controller_version,
            epoch=answer.epoch,
            uptime_ms=answer.uptime_ms,
            join_address=answer.join_address,
            http_address=answer.http_address,
            nodes=_values(answer.nodes),
            stacks=_values(answer.stacks),
            services=_values(answer.services),
            events=_values(answer.events),
            problems=tuple(answer.problems),
        )

    def create_join_token(self, ttl_ms: int, uses: int) -> JoinToken:
        request = cluster_pb2.CreateJoinTokenRequest(ttl_ms=ttl_ms, uses=uses)
        answer = _call(self._cluster.CreateJoinToken, request, WRITE_S)
        return JoinToken(answer.token, answer.join_address, answer.expires_ms)


def _call(method: Any, request: Any, timeout_s: float) -> Any:
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise _problem(error) from None


def _watch(
    method: Any, request: Any, read: Callable[[Any], StackNow], notice: Callable[[str], None]
) -> Iterator[StackNow]:
    """The stream's views; a stream that ends is opened again while the controller may come back."""
    heard_s = time.monotonic()
    pause_s = RETRY_MIN_S
    while True:
        try:
            for answer in method(request, timeout=WATCH_S):
                heard_s, pause_s = time.monotonic(), RETRY_MIN_S
                yield read(answer)
        except grpc.RpcError as error:
            if not _may_come_back(error) or time.monotonic() - heard_s > AWAY_MAX_S:
                raise _problem(error) from None
        if pause_s == RETRY_MIN_S:
            notice("the controller is away; waiting for it to come back")
        time.sleep(pause_s * random.uniform(0.8, 1.2))
        pause_s = min(2 * pause_s, RETRY_MAX_S)


def _problem(error: grpc.RpcError) -> ProblemError:
    # A failed synchronous call answers the same questions (code, details, trailing metadata).
    return problem_error_of(cast(Any, error))


def _may_come_back(error: grpc.RpcError) -> bool:
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def _stack_now(answer: Any) -> StackNow:
    return StackNow(_values(answer.services), _values(answer.tasks))


def _values(messages: Any) -> tuple[Any, ...]:
    return tuple(_value(message) for message in messages)


def _value(message: Any) -> Any:
    try:
        return from_pb(message)
    except WireError as error:
        raise refuse(
            ProblemKind.REFUSED,
            "the controller's answer cannot be understood",
            str(error),
            hint="client and controller may be of different versions",
            why="bayplan version",
        ) from None
