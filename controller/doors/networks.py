"""The door for networks that span nodes: made and removed by hand, shown as they are."""

from __future__ import annotations

from typing import Any

from bayplan.errors import ProblemKind, refuse
from bayplan.model import NetworkSpec
from bayplan.v1 import network_pb2, network_pb2_grpc
from bayplan.wire import WireError, from_pb, to_pb
from controller.core import network_views
from controller.doors.gate import Context, Gate, answers
from controller.events import NetworkCreateAsked, NetworkRemoveAsked


class NetworkDoor(network_pb2_grpc.NetworkServiceServicer):
    """NetworkService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def CreateNetwork(self, request: network_pb2.CreateNetworkRequest, context: Context) -> Any:
        """Makes one that is no stack's."""
        spec = _spec(request)
        made = await self._gate.ask(
            lambda ticket: NetworkCreateAsked(ticket=ticket, name=request.name, spec=spec)
        )
        return network_pb2.CreateNetworkResponse(network=to_pb(made))

    @answers
    async def ListNetworks(self, request: network_pb2.ListNetworksRequest, context: Context) -> Any:
        """All, by name."""
        state = await self._gate.read()
        rows = sorted(state.networks.values(), key=lambda each: each.name)
        return network_pb2.ListNetworksResponse(
            networks=[to_pb(network_views.view(state, each)) for each in rows]
        )

    @answers
    async def GetNetwork(self, request: network_pb2.GetNetworkRequest, context: Context) -> Any:
        """One, by its name or the beginning of its id."""
        state = await self._gate.read()
        network = network_views.find(state, request.network)
        return network_pb2.GetNetworkResponse(network=to_pb(network_views.view(state, network)))

    @answers
    async def RemoveNetwork(self, request: network_pb2.RemoveNetworkRequest, context: Context) -> Any:
        """Removes one that no service is in."""
        await self._gate.ask(lambda ticket: NetworkRemoveAsked(ticket=ticket, name=request.name))
        return network_pb2.RemoveNetworkResponse()


def _spec(request: network_pb2.CreateNetworkRequest) -> NetworkSpec:
    try:
        spec = from_pb(request.spec)
    except WireError as error:
        raise refuse(ProblemKind.INVALID, f"the network cannot be read: {error}") from error
    assert isinstance(spec, NetworkSpec)
    return spec
