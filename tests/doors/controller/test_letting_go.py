"""Watchers with a name are waited for: what they still use serves until they let go of it, or are gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from bayplan.model import ContainerSpec, PortSpec, ServiceSpec
from bayplan.v1 import registry_pb2, registry_pb2_grpc, service_pb2, service_pb2_grpc
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node

#: Far longer than a test: nothing here may end because its time is over.
DRAIN_MS = 600_000
#: So long a node is listened to before it counts as told nothing.
SILENCE_S = 0.5


async def deployed(controller: ControllerProcess, folder: Path) -> Node:
    """A node that runs the one task of shop_web, to which others connect."""
    node = await controller.node(folder, "n1")
    await node.run_all(await node.hear_assignments())
    container = ContainerSpec(image="app", expose=(PortSpec(target=80),))
    deploy = asyncio.create_task(
        controller.deploy(ServiceSpec(name="web", container=container, drain_ms=DRAIN_MS))
    )
    await node.run_all(await node.hear_assignments())
    await deploy
    return node


class Watcher:
    """A proxy, say."""

    def __init__(self, channel: grpc.aio.Channel, name: str) -> None:
        self.stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self.name = name
        request = registry_pb2.WatchRequest(stack="shop", service="web", watcher=name)
        self.stream = self.stub.Watch(request, timeout=STEP_S_MAX)

    async def sees(self, count: int) -> int:
        """The revision of the first view with so many instances."""
        while True:
            view = await self.stream.read()
            if len(view.instances) == count:
                return int(view.revision)

    async def lets_go(self, revision: int) -> None:
        await self.stub.Acknowledge(
            registry_pb2.AcknowledgeRequest(
                stack="shop", service="web", watcher=self.name, revision=revision
            ),
            timeout=STEP_S_MAX,
        )


async def scale_to_nothing(channel: grpc.aio.Channel) -> None:
    stub = service_pb2_grpc.ServiceServiceStub(channel)
    await stub.Scale(service_pb2.ScaleRequest(service="shop_web", replicas=0), timeout=STEP_S_MAX)


async def told(node: Node, hearing: asyncio.Task[Any]) -> bool:
    """Whether the node is told that it shall have nothing."""
    await asyncio.wait([hearing], timeout=SILENCE_S)
    return hearing.done() and not hearing.result().tasks


async def test_a_task_stops_when_the_last_watcher_has_let_go_or_left(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await deployed(controller, tmp_path)
    async with controller.channel() as channel:
        first, second = Watcher(channel, "first"), Watcher(channel, "second")
        for watcher in (first, second):
            await watcher.sees(1)
        hearing = asyncio.create_task(node.hear_assignments())
        await scale_to_nothing(channel)
        await first.lets_go(await first.sees(0))
        assert not await told(node, hearing)
        second.stream.cancel()
        assert await told(node, hearing)
    await node.close()


async def test_a_watcher_has_a_name_of_a_sane_length(controller: ControllerProcess) -> None:
    async with controller.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Watcher(channel, "w" * 200).stream.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Watcher(channel, "").lets_go(1)
        assert "a watcher's name has 1 to 128 characters" in (refused.value.details() or "")
