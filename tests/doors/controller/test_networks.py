"""Networks that span nodes, made, seen and removed through the controller's real doors, store and process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from bayplan.model import ContainerSpec, IpamPool, NetworkAttachment, NetworkSpec, ServiceSpec, StackSpec
from bayplan.rpc_errors import problem_of
from bayplan.v1 import network_pb2, network_pb2_grpc, stack_pb2, stack_pb2_grpc
from bayplan.views import NetworkView
from bayplan.wire import from_pb, to_pb
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess


class Networks:
    """NetworkService, and deploys, with a deadline on each call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._networks = network_pb2_grpc.NetworkServiceStub(channel)
        self._stacks = stack_pb2_grpc.StackServiceStub(channel)

    async def create(self, name: str, spec: NetworkSpec | None = None) -> NetworkView:
        request = network_pb2.CreateNetworkRequest(name=name, spec=to_pb(spec or NetworkSpec()))
        answer = await self._networks.CreateNetwork(request, timeout=STEP_S_MAX)
        return self._view(answer.network)

    async def all(self) -> list[NetworkView]:
        answer = await self._networks.ListNetworks(network_pb2.ListNetworksRequest(), timeout=STEP_S_MAX)
        return [self._view(each) for each in answer.networks]

    async def get(self, name: str) -> NetworkView:
        request = network_pb2.GetNetworkRequest(network=name)
        return self._view((await self._networks.GetNetwork(request, timeout=STEP_S_MAX)).network)

    async def remove(self, name: str) -> None:
        await self._networks.RemoveNetwork(network_pb2.RemoveNetworkRequest(name=name), timeout=STEP_S_MAX)

    async def deploy(self, *attachments: NetworkAttachment) -> None:
        """A stack `shop` whose service `web`, without tasks, is in these networks."""
        spec = ServiceSpec(
            name="web", container=ContainerSpec(image="app:1", networks=attachments), replicas=0
        )
        stack = to_pb(StackSpec(name="shop", services=(spec,)))
        await self._stacks.Deploy(stack_pb2.DeployRequest(stack=stack), timeout=STEP_S_MAX)

    @staticmethod
    def _view(message: Any) -> NetworkView:
        found = from_pb(message)
        assert isinstance(found, NetworkView)
        return found


@pytest.fixture
async def networks(controller: ControllerProcess) -> AsyncIterator[Networks]:
    async with controller.channel() as channel:
        yield Networks(channel)


def said(error: grpc.aio.AioRpcError) -> str:
    return problem_of(error).summary


async def test_a_network_made_by_hand_is_there_until_it_is_removed(networks: Networks) -> None:
    made = await networks.create("backbone", NetworkSpec(labels={"team": "shop"}, internal=True))
    assert (made.name, made.stack, made.subnet, made.vni) == ("backbone", "", "10.64.0.0/20", 0xBA0001)
    assert [await networks.get("backbone"), await networks.get(made.id[:8])] == [made, made]
    assert await networks.all() == [made]
    await networks.remove("backbone")
    assert await networks.all() == []


async def test_subnets_that_overlap_are_refused_with_what_is_in_the_way(networks: Networks) -> None:
    await networks.create("one", NetworkSpec(pools=(IpamPool(subnet="10.20.0.0/20"),)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await networks.create("two", NetworkSpec(pools=(IpamPool(subnet="10.20.8.0/24"),)))
    problem = problem_of(caught.value)
    assert "overlaps" in problem.summary and "the network one" in " ".join(problem.details)


async def test_a_network_that_a_service_is_in_stays(networks: Networks) -> None:
    await networks.create("backbone")
    await networks.deploy(NetworkAttachment(network="backbone", spec=NetworkSpec(external=True)))
    assert [each.service for each in (await networks.get("backbone")).services] == ["shop_web"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await networks.remove("backbone")
    assert said(caught.value) == "the network backbone is in use: shop_web"


async def test_a_network_is_encrypted_as_it_was_asked_for(networks: Networks) -> None:
    made = await networks.create("safe", NetworkSpec(encrypted=True))
    assert made.spec.encrypted
    assert (await networks.get("safe")).spec.encrypted


async def test_a_network_that_is_not_there_is_missed_with_the_nearest_name(networks: Networks) -> None:
    await networks.create("backbone")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await networks.get("backbon")
    problem = problem_of(caught.value)
    assert problem.summary == "there is no network backbon" and "backbone" in problem.hint
