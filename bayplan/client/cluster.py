"""Calls about the cluster as a whole and its nodes: state, availability, tokens, events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from bayplan.client.answers import ClusterNow, JoinToken
from bayplan.client.calls import READ_S, WRITE_S, Calls, call, problem, value, values, watch
from bayplan.model import Availability
from bayplan.v1 import cluster_pb2, event_pb2, node_pb2
from bayplan.v1.cluster_pb2_grpc import ClusterServiceStub
from bayplan.v1.event_pb2_grpc import EventServiceStub
from bayplan.v1.node_pb2_grpc import NodeServiceStub
from bayplan.views import Event, NodeView


class ClusterCalls(Calls):
    """ClusterService, NodeService and EventService."""

    def status(self) -> ClusterNow:
        answer = call(self._stub(ClusterServiceStub).GetStatus, cluster_pb2.GetStatusRequest(), READ_S)
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
        answer = call(self._stub(ClusterServiceStub).CreateJoinToken, request, WRITE_S)
        return JoinToken(answer.token, answer.join_address, answer.expires_ms)

    def nodes(self) -> tuple[NodeView, ...]:
        return values(call(self._stub(NodeServiceStub).ListNodes, node_pb2.ListNodesRequest(), READ_S).nodes)

    def node(self, name: str) -> NodeView:
        answer = call(self._stub(NodeServiceStub).GetNode, node_pb2.GetNodeRequest(node=name), READ_S)
        node: NodeView = value(answer.node)
        return node

    def update_node(
        self,
        name: str,
        availability: Availability | None = None,
        label_add: Mapping[str, str] | None = None,
        label_remove: Sequence[str] = (),
        deadline_ms: int = 0,
    ) -> NodeView:
        """The node as it is then. `deadline_ms`: how long a drain waits for heirs, 0: for ever."""
        request = node_pb2.UpdateNodeRequest(
            node=name, label_add=label_add or {}, label_remove=label_remove, deadline_ms=deadline_ms
        )
        if availability is not None:
            request.availability = node_pb2.Availability.Value(f"AVAILABILITY_{availability.name}")
        node: NodeView = value(call(self._stub(NodeServiceStub).UpdateNode, request, WRITE_S).node)
        return node

    def remove_node(self, name: str, force: bool) -> str:
        """Takes a node out of the cluster, with `force` though it is not down or has tasks. Its name."""
        request = node_pb2.RemoveNodeRequest(node=name, force=force)
        removed: str = call(self._stub(NodeServiceStub).RemoveNode, request, WRITE_S).name
        return removed

    def events(self) -> tuple[Event, ...]:
        """The events that the controller keeps, oldest first."""
        method = self._stub(EventServiceStub).WatchEvents
        try:
            answers = list(method(event_pb2.WatchEventsRequest(), timeout=READ_S))
        except grpc.RpcError as error:
            raise problem(error) from None
        return tuple(event for answer in answers for event in values(answer.events))

    def watch_events(self, notice: Callable[[str], None] | None = None) -> Iterator[tuple[Event, ...]]:
        """The kept events and all that come, each once, without end."""
        last: Event | None = None
        request = event_pb2.WatchEventsRequest(follow=True)
        method = self._stub(EventServiceStub).WatchEvents
        for batch in watch(method, request, _events, notice or (lambda _text: None)):
            # A stream that was opened again begins with what is kept, most of which has been told.
            news = batch[batch.index(last) + 1 :] if last in batch else batch
            if news:
                last = news[-1]
                yield news


def _events(answer: Any) -> tuple[Event, ...]:
    return values(answer.events)
