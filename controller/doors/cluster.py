"""The doors for looking at the cluster: its state, nodes, events; and for making join tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

import bayplan
from bayplan.errors import ProblemKind, refuse
from bayplan.model import Availability
from bayplan.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
)
from bayplan.wire import to_pb
from controller import views
from controller.authority import Authority
from controller.doors.gate import Context, Gate, answers
from controller.events import NodeRemoveAsked, NodeUpdateAsked, TokenMade
from controller.names import find_node
from controller.records import Node

#: A token's life when the caller does not say, and at most.
TOKEN_TTL_MS = 3_600_000
TOKEN_TTL_MS_MAX = 30 * 24 * 3_600_000
#: Machines that may join with one token.
TOKEN_USES_MAX = 1_000
#: Events on the one screen.
STATUS_EVENTS = 20

#: Availabilities by their number on the wire; another number asks for none.
_AVAILABILITIES = {node_pb2.Availability.Value(f"AVAILABILITY_{each.name}"): each for each in Availability}


class ClusterDoor(cluster_pb2_grpc.ClusterServiceServicer):
    """ClusterService. `join_address` and `http_address` are what others are told."""

    def __init__(self, gate: Gate, authority: Authority, join_address: str, http_address: str) -> None:
        self._gate = gate
        self._authority = authority
        self._join_address = join_address
        self._http_address = http_address
        self._started_ms = gate.clock().mono_ms

    @answers
    async def GetStatus(self, request: cluster_pb2.GetStatusRequest, context: Context) -> Any:
        """One screen about the cluster."""
        state = await self._gate.read()
        now_ms = self._gate.clock().mono_ms
        skipped = max(0, len(state.events) - STATUS_EVENTS)
        return cluster_pb2.GetStatusResponse(
            cluster_id=state.cluster.id,
            controller_version=bayplan.__version__,
            epoch=state.cluster.epoch,
            uptime_ms=now_ms - self._started_ms,
            join_address=self._join_address,
            http_address=self._http_address,
            nodes=[to_pb(row) for row in views.node_views(state, now_ms)],
            stacks=[to_pb(row) for row in views.stack_views(state)],
            services=[to_pb(row) for row in views.service_views(state)],
            events=[to_pb(event) for event in islice(state.events, skipped, None)],
            problems=views.problems(state),
        )

    @answers
    async def CreateJoinToken(self, request: cluster_pb2.CreateJoinTokenRequest, context: Context) -> Any:
        """A new token; only its hash is kept."""
        ttl_ms, uses = request.ttl_ms or TOKEN_TTL_MS, request.uses or 1
        if not 0 < ttl_ms <= TOKEN_TTL_MS_MAX:
            raise refuse(ProblemKind.INVALID, "a join token lives for more than nothing and at most 30 days")
        if not 0 < uses <= TOKEN_USES_MAX:
            raise refuse(ProblemKind.INVALID, f"a join token has 1 to {TOKEN_USES_MAX} uses, not {uses}")
        token = self._authority.new_token()
        expires_ms = self._gate.clock().wall_ms + ttl_ms
        await self._gate.ask(
            lambda ticket: TokenMade(
                ticket=ticket,
                token_id=token.id,
                secret_hash=token.secret_hash(),
                expires_ms=expires_ms,
                uses=uses,
            )
        )
        return cluster_pb2.CreateJoinTokenResponse(
            token=str(token), join_address=self._join_address, expires_ms=expires_ms
        )


class NodeDoor(node_pb2_grpc.NodeServiceServicer):
    """NodeService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def ListNodes(self, request: node_pb2.ListNodesRequest, context: Context) -> Any:
        """All nodes."""
        rows = views.node_views(await self._gate.read(), self._gate.clock().mono_ms)
        return node_pb2.ListNodesResponse(nodes=[to_pb(row) for row in rows])

    @answers
    async def GetNode(self, request: node_pb2.GetNodeRequest, context: Context) -> Any:
        """One node."""
        state = await self._gate.read()
        node = find_node(state, request.node)
        return node_pb2.GetNodeResponse(
            node=to_pb(views.node_view(state, node.id, self._gate.clock().mono_ms))
        )

    @answers
    async def UpdateNode(self, request: node_pb2.UpdateNodeRequest, context: Context) -> Any:
        """Other labels or availability."""
        asked: Node = await self._gate.ask(
            lambda ticket: NodeUpdateAsked(
                ticket=ticket,
                node=request.node,
                availability=_AVAILABILITIES.get(request.availability),
                label_add=dict(request.label_add),
                label_remove=tuple(request.label_remove),
                deadline_ms=request.deadline_ms,
            )
        )
        state = await self._gate.read()
        node = find_node(state, asked.id)
        view = views.node_view(state, node.id, self._gate.clock().mono_ms)
        return node_pb2.UpdateNodeResponse(node=to_pb(view))

    @answers
    async def RemoveNode(self, request: node_pb2.RemoveNodeRequest, context: Context) -> Any:
        """The node goes."""
        node: Node = await self._gate.ask(
            lambda ticket: NodeRemoveAsked(ticket=ticket, node=request.node, force=request.force)
        )
        return node_pb2.RemoveNodeResponse(id=node.id, name=node.name)


class EventDoor(event_pb2_grpc.EventServiceServicer):
    """EventService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def WatchEvents(
        self, request: event_pb2.WatchEventsRequest, context: Context
    ) -> AsyncIterator[event_pb2.WatchEventsResponse]:
        """What happened after an index, and with `follow` what happens."""
        after = request.after
        async for state in self._gate.changes():
            news = [event for event in state.events if event.index > after]
            if news:
                after = news[-1].index
                yield event_pb2.WatchEventsResponse(events=[to_pb(event) for event in news])
            if not request.follow:
                return
