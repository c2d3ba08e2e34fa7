"""Calls about networks that span nodes."""

from __future__ import annotations

from bayplan.client.calls import READ_S, WRITE_S, Calls, call, value, values
from bayplan.model import NetworkSpec
from bayplan.v1 import network_pb2
from bayplan.v1.network_pb2_grpc import NetworkServiceStub
from bayplan.views import NetworkView
from bayplan.wire import to_pb


class NetworkCalls(Calls):
    """NetworkService."""

    def networks(self) -> tuple[NetworkView, ...]:
        """All, by name."""
        request = network_pb2.ListNetworksRequest()
        return values(call(self._stub(NetworkServiceStub).ListNetworks, request, READ_S).networks)

    def network(self, name: str) -> NetworkView:
        """One, by its name or the beginning of its id."""
        request = network_pb2.GetNetworkRequest(network=name)
        network: NetworkView = value(call(self._stub(NetworkServiceStub).GetNetwork, request, READ_S).network)
        return network

    def create_network(self, name: str, spec: NetworkSpec) -> NetworkView:
        """One that is no stack's."""
        request = network_pb2.CreateNetworkRequest(name=name, spec=to_pb(spec))
        answer = call(self._stub(NetworkServiceStub).CreateNetwork, request, WRITE_S)
        network: NetworkView = value(answer.network)
        return network

    def remove_network(self, name: str) -> None:
        request = network_pb2.RemoveNetworkRequest(name=name)
        call(self._stub(NetworkServiceStub).RemoveNetwork, request, WRITE_S)
