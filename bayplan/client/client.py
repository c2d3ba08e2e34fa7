"""The calls of the controller, by noun. Each has a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import grpc

from bayplan.client.answers import ClusterNow, JoinToken, LogBatch, StackNow
from bayplan.client.calls import call, problem, value, values, watch
from bayplan.client.connection import DEFAULT_HOST, open_channel
from bayplan.model import FileKind, Instance, ServiceSpec, StackSpec
from bayplan.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    container_pb2,
    file_pb2,
    file_pb2_grpc,
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
from bayplan.views import (
    Deployed,
    FileView,
    NodeView,
    Plan,
    RegistryEntry,
    RevisionView,
    ServiceView,
    StackView,
    TaskView,
)
from bayplan.wire import to_pb

#: The deadline of a call that only reads, in seconds.
READ_S = 15.0
#: The deadline of a deploy: the controller asks the nodes before it answers. In seconds.
DEPLOY_S = 90.0
#: The deadline of another call that changes something, in seconds.
WRITE_S = 30.0
#: The deadline of reading kept output, in seconds.
LOGS_S = 600.0
#: The deadline of following output, in seconds.
LOGS_FOLLOW_S = 7 * 86_400.0


class Client(AbstractContextManager["Client"]):
    """A connection to one controller. Every method raises ProblemError and nothing else."""

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        self._channel = open_channel(host)
        self._stacks = stack_pb2_grpc.StackServiceStub(self._channel)
        self._services = service_pb2_grpc.ServiceServiceStub(self._channel)
        self._tasks = task_pb2_grpc.TaskServiceStub(self._channel)
        self._nodes = node_pb2_grpc.NodeServiceStub(self._channel)
        self._files = file_pb2_grpc.FileServiceStub(self._channel)
        self._registry = registry_pb2_grpc.RegistryServiceStub(self._channel)
        self._cluster = cluster_pb2_grpc.ClusterServiceStub(self._channel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is still open."""
        self._channel.close()

    def deploy(self, stack: StackSpec, prune: bool, check_index: int | None = None) -> Deployed:
        """Makes the cluster run the stack; on return it is durable.

        With `check_index` only if the stack's revision is still that one (0: there is no such stack).
        """
        request = stack_pb2.DeployRequest(stack=to_pb(stack), prune=prune, check_index=check_index)
        deployed: Deployed = value(call(self._stacks.Deploy, request, DEPLOY_S).deployed)
        return deployed

    def plan(self, stack: StackSpec, prune: bool) -> Plan:
        """What `deploy` would do now; changes nothing. Problems are part of it, not raised."""
        request = stack_pb2.PlanStackRequest(stack=to_pb(stack), prune=prune)
        plan: Plan = value(call(self._stacks.PlanStack, request, DEPLOY_S).plan)
        return plan

    def get_stack(self, stack: str, revision: int = 0) -> tuple[StackSpec, int]:
        """The stack as it was deployed, without contents of files, and its revision; 0 is the current."""
        request = stack_pb2.GetStackRequest(stack=stack, revision=revision)
        answer = call(self._stacks.GetStack, request, READ_S)
        return value(answer.stack), answer.revision

    def revisions(self, stack: str) -> tuple[RevisionView, ...]:
        """The stack's history, newest first."""
        request = stack_pb2.ListRevisionsRequest(stack=stack)
        return values(call(self._stacks.ListRevisions, request, READ_S).revisions)

    def rollback(self, stack: str, revision: int = 0, check_index: int | None = None) -> Deployed:
        """Deploys an older revision again; 0 is the one before the current."""
        request = stack_pb2.RollbackRequest(stack=stack, revision=revision, check_index=check_index)
        deployed: Deployed = value(call(self._stacks.Rollback, request, DEPLOY_S).deployed)
        return deployed

    def remove_stack(self, stack: str) -> tuple[str, ...]:
        """The full names of the services that now go."""
        return tuple(call(self._stacks.Remove, stack_pb2.RemoveRequest(stack=stack), WRITE_S).services)

    def stacks(self) -> tuple[StackView, ...]:
        return values(call(self._stacks.ListStacks, stack_pb2.ListStacksRequest(), READ_S).stacks)

    def watch_stack(self, stack: str, notice: Callable[[str], None] | None = None) -> Iterator[StackNow]:
        """The stack now and after each change, without end. `notice` hears of a controller that is away."""
        request = stack_pb2.WatchStackRequest(stack=stack)
        return watch(self._stacks.WatchStack, request, _stack_now, notice or (lambda _text: None))

    def stack_now(self, stack: str) -> StackNow:
        """The stack at this moment; empty when there is none of that name."""
        call = self._stacks.WatchStack(stack_pb2.WatchStackRequest(stack=stack), timeout=READ_S)
        try:
            return _stack_now(next(iter(call)))
        except grpc.RpcError as error:
            raise problem(error) from None
        finally:
            call.cancel()

    def services(self, stack: str = "") -> tuple[ServiceView, ...]:
        request = service_pb2.ListServicesRequest(stack=stack)
        return values(call(self._services.ListServices, request, READ_S).services)

    def service(self, name: str) -> tuple[ServiceView, ServiceSpec]:
        answer = call(self._services.GetService, service_pb2.GetServiceRequest(service=name), READ_S)
        return value(answer.view), value(answer.spec)

    def scale(self, name: str, replicas: int) -> tuple[str, int, int]:
        """The service's full name, its replicas before and after."""
        request = service_pb2.ScaleRequest(service=name, replicas=replicas)
        answer = call(self._services.Scale, request, WRITE_S)
        return answer.service, answer.before, answer.after

    def tasks(self, stack: str = "", service: str = "", node: str = "") -> tuple[TaskView, ...]:
        request = task_pb2.ListTasksRequest(stack=stack, service=service, node=node)
        return values(call(self._tasks.ListTasks, request, READ_S).tasks)

    def logs(self, targets: Sequence[str], follow: bool, tail: int, since_ms: int) -> Iterator[LogBatch]:
        """Output, in each task's order. `tail` is per task, negative is all."""
        request = task_pb2.LogsRequest(targets=targets, follow=follow, tail=tail, since_ms=since_ms)
        try:
            for answer in self._tasks.Logs(request, timeout=LOGS_FOLLOW_S if follow else LOGS_S):
                yield LogBatch(values(answer.lines), dict(answer.names), answer.warning)
        except grpc.RpcError as error:
            raise problem(error) from None

    def nodes(self) -> tuple[NodeView, ...]:
        return values(call(self._nodes.ListNodes, node_pb2.ListNodesRequest(), READ_S).nodes)

    def node(self, name: str) -> NodeView:
        answer = call(self._nodes.GetNode, node_pb2.GetNodeRequest(node=name), READ_S)
        node: NodeView = value(answer.node)
        return node

    def lookup(self, stack: str, service: str, every: bool) -> tuple[Instance, ...]:
        """The ready instances, or every one. Raises NOT_FOUND with the reason when there is none."""
        request = registry_pb2.LookupRequest(stack=stack, service=service, all=every)
        return values(call(self._registry.Lookup, request, READ_S).instances)

    def registry(self) -> tuple[RegistryEntry, ...]:
        return values(call(self._registry.List, registry_pb2.ListRequest(), READ_S).services)

    def status(self) -> ClusterNow:
        answer = call(self._cluster.GetStatus, cluster_pb2.GetStatusRequest(), READ_S)
        return ClusterNow(
            cluster_id=answer.cluster_id,
            controller_version=answer.controller_version,
            epoch=answer.epoch,
            uptime_ms=answer.uptime_ms,
            join_address=answer.join_address,
            http_address=answer.http_address,
            nodes=values(answer.nodes),
            stacks=values(answer.stacks),
            services=values(answer.services),
            events=values(answer.events),
            problems=tuple(answer.problems),
        )

    def create_join_token(self, ttl_ms: int, uses: int) -> JoinToken:
        request = cluster_pb2.CreateJoinTokenRequest(ttl_ms=ttl_ms, uses=uses)
        answer = call(self._cluster.CreateJoinToken, request, WRITE_S)
        return JoinToken(answer.token, answer.join_address, answer.expires_ms)

    def files(self, kind: FileKind) -> tuple[FileView, ...]:
        """All configs, or all secrets, by name."""
        request = file_pb2.ListFilesRequest(kind=_file_kind(kind))
        return values(call(self._files.ListFiles, request, READ_S).files)

    def file(self, kind: FileKind, name: str) -> FileView:
        """One, a config with its content."""
        request = file_pb2.GetFileRequest(kind=_file_kind(kind), name=name)
        file: FileView = value(call(self._files.GetFile, request, READ_S).file)
        return file

    def create_file(self, kind: FileKind, name: str, content: bytes, labels: Mapping[str, str]) -> FileView:
        request = file_pb2.CreateFileRequest(kind=_file_kind(kind), name=name, content=content, labels=labels)
        file: FileView = value(call(self._files.CreateFile, request, WRITE_S).file)
        return file

    def update_file(self, kind: FileKind, name: str, content: bytes) -> tuple[FileView, tuple[str, ...]]:
        """It with its new content, and the full names of the services that are rolled."""
        request = file_pb2.UpdateFileRequest(kind=_file_kind(kind), name=name, content=content)
        answer = call(self._files.UpdateFile, request, DEPLOY_S)
        return value(answer.file), tuple(answer.rolled)

    def remove_file(self, kind: FileKind, name: str) -> None:
        request = file_pb2.RemoveFileRequest(kind=_file_kind(kind), name=name)
        call(self._files.RemoveFile, request, WRITE_S)


def _file_kind(kind: FileKind) -> container_pb2.FileKind.ValueType:
    return container_pb2.FileKind.Value(f"FILE_KIND_{kind.name}")


def _stack_now(answer: Any) -> StackNow:
    return StackNow(values(answer.services), values(answer.tasks))
