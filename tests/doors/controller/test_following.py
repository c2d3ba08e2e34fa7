"""Copies of the directory: they are told everything, then what changes, and say what they have let go of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec

from bayplan.directory import ANSWER_LIFE_MS, Directory, News, Standing
from bayplan.model import ContainerSpec, PortSpec, ServiceSpec
from bayplan.v1 import registry_pb2, registry_pb2_grpc
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node


def web(replicas: int = 1, drain_ms: int = 0) -> ServiceSpec:
    """A service to which others connect."""
    container = ContainerSpec(image="app", expose=(PortSpec(target=80),))
    return ServiceSpec(name="web", container=container, replicas=replicas, drain_ms=drain_ms)


class Copy:
    """What an agent has of the directory."""

    def __init__(self, channel: grpc.aio.Channel, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()
        self.whole = False
        self.stream = registry_pb2_grpc.RegistryServiceStub(channel).Follow()

    async def asks(self) -> None:
        index = self.directory.index
        await self.stream.write(registry_pb2.FollowRequest(index=index, acknowledged=index))

    async def hears(self) -> News:
        """The next chunk, taken over; it is acknowledged with the next one that is asked for."""
        pieces, more = [], True
        while more:
            piece = await asyncio.wait_for(self.stream.read(), STEP_S_MAX)
            pieces.append(piece.news)
            more, self.whole = piece.more, piece.whole
        news = msgspec.msgpack.decode(b"".join(pieces), type=News)
        self.directory.apply(news)
        return news

    async def sees(self, ready: int) -> None:
        """Follow until so many of shop's web are given."""
        while self.given() != ready:
            await self.asks()
            await self.hears()

    def given(self) -> int:
        """How many of shop's web a client is sent to."""
        listing = self.directory.get("shop", "web")
        return len(listing.given()) if listing else 0


async def followers_of(channel: grpc.aio.Channel) -> Any:
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    return await stub.ListFollowers(registry_pb2.ListFollowersRequest(), timeout=STEP_S_MAX)


async def remembers(controller: ControllerProcess, ready: int) -> None:
    """Wait until the directory on the disk gives so many of shop's web: it is written when there is time."""
    async with asyncio.timeout(STEP_S_MAX):
        while True:
            if _remembered(controller.data_dir / "directory") == ready:
                return
            await asyncio.sleep(0.05)


def _remembered(path: Path) -> int:
    if not path.exists():
        return 0
    news = msgspec.msgpack.decode(path.read_bytes(), type=News)
    return sum(each.given for listing in news.listings if listing.stack == "shop" for each in listing.put)


@asynccontextmanager
async def obedient(controller: ControllerProcess, folder: Path) -> AsyncIterator[Node]:
    """A node that runs whatever it is told to."""
    node = await controller.node(folder, "n1")

    async def obey() -> None:
        while True:
            assignments = await node.hear_assignments()
            node.statuses = {}
            await node.run_all(assignments)

    obeying = asyncio.create_task(obey())
    yield node
    obeying.cancel()
    await node.close()


async def test_a_copy_is_told_everything_and_then_what_changes(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with obedient(controller, tmp_path), controller.channel() as channel:
        await controller.deploy(web())
        copy = Copy(channel)
        await copy.asks()
        assert (await copy.hears()).whole
        assert copy.directory.stacks() == ["shop"]
        assert [each.node for each in copy.directory.nodes] == ["n1"]
        await copy.sees(1)
        listing = copy.directory.get("shop", "web")
        assert listing is not None
        assert [(each.slot, each.node, each.port) for each in listing.entries] == [(1, "n1", 80)]
        await controller.deploy(web(replicas=2))
        await copy.asks()
        assert not (await copy.hears()).whole
        await copy.sees(2)


async def test_a_copy_has_the_names_of_ports(controller: ControllerProcess, tmp_path: Path) -> None:
    ports = (PortSpec(target=80, name="http"), PortSpec(target=9090, name="metrics"), PortSpec(target=53))
    named = ServiceSpec(name="web", container=ContainerSpec(image="app", expose=ports))
    async with obedient(controller, tmp_path), controller.channel() as channel:
        await controller.deploy(named)
        copy = Copy(channel)
        await copy.sees(1)
        listing = copy.directory.get("shop", "web")
        assert listing is not None
        assert [(each.target, each.name) for each in listing.entries[0].ports] == [
            (80, "http"), (9090, "metrics"), (53, ""),
        ]  # fmt: skip


async def test_a_copy_that_is_behind_another_controller_run_is_told_everything(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with obedient(controller, tmp_path), controller.channel() as channel:
        await controller.deploy(web())
        copy = Copy(channel)
        await copy.sees(1)
    controller.kill()
    controller.start()
    async with controller.channel() as channel:
        before = copy.directory.index
        copy = Copy(channel, copy.directory)
        await copy.asks()
        assert (await copy.hears()).whole
        assert (copy.whole, copy.directory.index > before) == (False, True)


async def test_a_task_serves_as_long_as_a_copy_offers_it(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with obedient(controller, tmp_path) as node, controller.channel() as channel:
        await controller.deploy(web(replicas=2, drain_ms=600_000))
        copy, slow = Copy(channel), Copy(channel)
        await copy.sees(2)
        await slow.sees(2)
        await controller.deploy(web(replicas=1, drain_ms=600_000))
        await copy.sees(1)
        await copy.asks()
        followers = await followers_of(channel)
        assert [each.index for each in followers.followers] == [0, copy.directory.index]
        assert followers.index >= copy.directory.index
        await asyncio.sleep(ANSWER_LIFE_MS / 1000 + 0.5)
        assert len(node.statuses) == 2
        await slow.sees(1)
        await slow.asks()
        await asyncio.sleep(ANSWER_LIFE_MS / 1000 + 0.5)
        assert len(node.statuses) == 1


async def test_a_restarted_controller_shows_what_was_last_known_until_the_nodes_are_back(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with obedient(controller, tmp_path), controller.channel() as channel:
        await controller.deploy(web(replicas=2))
        await Copy(channel).sees(2)
        await remembers(controller, 2)
    controller.kill()
    controller.start()
    async with controller.channel() as channel:
        copy = Copy(channel)
        await copy.sees(2)
        listing = copy.directory.get("shop", "web")
        assert listing is not None
        assert {each.standing for each in listing.entries} == {Standing.SUSPECT}
        assert not copy.whole
        request = registry_pb2.LookupRequest(stack="shop", service="web")
        found = await registry_pb2_grpc.RegistryServiceStub(channel).Lookup(request, timeout=STEP_S_MAX)
        assert (len(found.instances), found.whole) == (2, False)
        await copy.sees(0)  # its node does not come back: it is given up
        assert copy.whole or (await copy.asks(), await copy.hears(), copy.whole)[2]
