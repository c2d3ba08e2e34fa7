"""The gRPC servers: one for each kind of listener, each with health and reflection where due."""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bayplan import tls
from bayplan.errors import ProblemKind, refuse
from bayplan.v1 import (
    cluster_pb2_grpc,
    event_pb2_grpc,
    explain_pb2_grpc,
    file_pb2_grpc,
    join_pb2_grpc,
    network_pb2_grpc,
    node_pb2_grpc,
    rollout_pb2_grpc,
    service_pb2_grpc,
    stack_pb2_grpc,
    task_pb2_grpc,
)
from bayplan.v1.agent_pb2 import DESCRIPTOR as AGENT
from bayplan.v1.cluster_pb2 import DESCRIPTOR as CLUSTER
from bayplan.v1.event_pb2 import DESCRIPTOR as EVENT
from bayplan.v1.explain_pb2 import DESCRIPTOR as EXPLAIN
from bayplan.v1.file_pb2 import DESCRIPTOR as FILE
from bayplan.v1.network_pb2 import DESCRIPTOR as NETWORK
from bayplan.v1.node_pb2 import DESCRIPTOR as NODE
from bayplan.v1.registry_pb2 import DESCRIPTOR as REGISTRY
from bayplan.v1.rollout_pb2 import DESCRIPTOR as ROLLOUT
from bayplan.v1.service_pb2 import DESCRIPTOR as SERVICE
from bayplan.v1.stack_pb2 import DESCRIPTOR as STACK
from bayplan.v1.task_pb2 import DESCRIPTOR as TASK
from controller.doors.access import AccessInterceptor, Listener
from controller.doors.cluster import ClusterDoor, EventDoor, NodeDoor
from controller.doors.explaining import ExplainDoor
from controller.doors.files import FileDoor
from controller.doors.join import JoinDoor
from controller.doors.networks import NetworkDoor
from controller.doors.registry import RegistryDoor
from controller.doors.rollouts import RolloutDoor
from controller.doors.sessions import AgentDoor
from controller.doors.stacks import ServiceDoor, StackDoor
from controller.doors.tasks import TaskDoor

#: The group whose members may use the unix socket.
SOCKET_GROUP = "bayplan"
SOCKET_MODE = 0o660
#: How long open calls may go on when the controller stops, in seconds.
STOP_GRACE_S = 2
#: What is read at once of an agent's connection, at first and at most. Each connection keeps a buffer of the
#: size at which it came to read: by itself it grows to that of the largest report.
READ_BYTES, READ_BYTES_MAX = 2_048, 8_192


class Doors:
    """All servicers, made once and shared by the listeners."""

    def __init__(
        self,
        *,
        stacks: StackDoor,
        services: ServiceDoor,
        rollouts: RolloutDoor,
        explaining: ExplainDoor,
        files: FileDoor,
        networks: NetworkDoor,
        tasks: TaskDoor,
        nodes: NodeDoor,
        registry: RegistryDoor,
        cluster: ClusterDoor,
        events: EventDoor,
        agents: AgentDoor,
        joins: JoinDoor,
    ) -> None:
        self.agents = agents
        self._joins = joins
        self._adders = {
            STACK: (stack_pb2_grpc.add_StackServiceServicer_to_server, stacks),
            SERVICE: (service_pb2_grpc.add_ServiceServiceServicer_to_server, services),
            ROLLOUT: (rollout_pb2_grpc.add_RolloutServiceServicer_to_server, rollouts),
            EXPLAIN: (explain_pb2_grpc.add_ExplainServiceServicer_to_server, explaining),
            FILE: (file_pb2_grpc.add_FileServiceServicer_to_server, files),
            NETWORK: (network_pb2_grpc.add_NetworkServiceServicer_to_server, networks),
            TASK: (task_pb2_grpc.add_TaskServiceServicer_to_server, tasks),
            NODE: (node_pb2_grpc.add_NodeServiceServicer_to_server, nodes),
            REGISTRY: (RegistryDoor.add_to, registry),
            CLUSTER: (cluster_pb2_grpc.add_ClusterServiceServicer_to_server, cluster),
            EVENT: (event_pb2_grpc.add_EventServiceServicer_to_server, events),
            AGENT: (AgentDoor.add_to, agents),
        }

    def add_all(self, server: grpc.aio.Server) -> None:
        """Everything but joining; the access table says who may call what. With health and reflection."""
        names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        for descriptor, (add, servicer) in self._adders.items():
            add(servicer, server)  # type: ignore[operator]
            names += [service.full_name for service in descriptor.services_by_name.values()]
        _add_health(server)
        reflection.enable_server_reflection(names, server)

    def add_joins(self, server: grpc.aio.Server) -> None:
        """Joining only."""
        join_pb2_grpc.add_JoinServiceServicer_to_server(self._joins, server)
        _add_health(server)


def _add_health(server: grpc.aio.Server) -> None:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def unix_server(doors: Doors, socket: Path) -> grpc.aio.Server:
    """The socket for the command line on this host; whoever may open the file is an admin."""
    server = grpc.aio.server(interceptors=[AccessInterceptor(Listener.UNIX)], options=tls.server_options())
    doors.add_all(server)
    socket.parent.mkdir(parents=True, exist_ok=True)
    before = os.umask(0o177)  # between bind and chmod nobody but us may connect
    try:
        _bind(server, f"unix://{socket}", None)
    finally:
        os.umask(before)
    _open_to_group(socket)
    return server


def main_server(doors: Doors, listen: str, credentials: grpc.ServerCredentials) -> grpc.aio.Server:
    """The mTLS port."""
    options = [
        *tls.server_options(),
        ("grpc.experimental.tcp_read_chunk_size", READ_BYTES),
        ("grpc.experimental.tcp_max_read_chunk_size", READ_BYTES_MAX),
    ]
    server = grpc.aio.server(interceptors=[AccessInterceptor(Listener.MAIN)], options=options)
    doors.add_all(server)
    _bind(server, listen, credentials)
    return server


def bootstrap_server(doors: Doors, listen: str, credentials: grpc.ServerCredentials) -> grpc.aio.Server:
    """The port for machines that have no certificate yet."""
    server = grpc.aio.server(
        interceptors=[AccessInterceptor(Listener.BOOTSTRAP)],
        options=tls.server_options(tls.BOOTSTRAP_MESSAGE_BYTES_MAX),
    )
    doors.add_joins(server)
    _bind(server, listen, credentials)
    return server


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    """Raises ProblemError when the address cannot be had."""
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise refuse(
            ProblemKind.REFUSED,
            f"cannot listen on {address}",
            str(error),
            hint="is another controller running? `ss -ltnp` shows who has the port",
        ) from error


def _open_to_group(socket: Path) -> None:
    """Mode 0660, for the group if this host has it and we may give the file to it."""
    with suppress(KeyError, PermissionError):  # then only our own user and group can use it
        os.chown(socket, -1, grp.getgrnam(SOCKET_GROUP).gr_gid)
    socket.chmod(SOCKET_MODE)
