"""Watchers that want what has changed, not everything: also after they were away for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio

from bayplan.v1 import registry_pb2, registry_pb2_grpc
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess

WATCH = {"stack": "external", "service": "db", "increments": True}


async def register(channel: grpc.aio.Channel, name: str, address: str) -> None:
    mine = registry_pb2.Registration(id=name, service="db", address=address, ttl_ms=3_600_000)
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    await stub.Register(registry_pb2.RegisterRequest(registration=mine), timeout=STEP_S_MAX)


async def deregister(channel: grpc.aio.Channel, name: str) -> None:
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    await stub.Deregister(registry_pb2.DeregisterRequest(service="db", id=name), timeout=STEP_S_MAX)


def watch(channel: grpc.aio.Channel, revision: int = 0) -> Any:
    request = registry_pb2.WatchRequest(**WATCH, revision=revision)
    return registry_pb2_grpc.RegistryServiceStub(channel).Watch(request)


async def hears(stream: Any) -> tuple[bool, list[str], list[str], int]:
    view = await asyncio.wait_for(stream.read(), STEP_S_MAX)
    return view.increment, [each.id for each in view.instances], list(view.gone), view.revision


async def followed(channel: grpc.aio.Channel) -> None:
    """From now on the controller keeps the whole directory."""
    stream = registry_pb2_grpc.RegistryServiceStub(channel).Follow()
    await stream.write(registry_pb2.FollowRequest())
    await asyncio.wait_for(stream.read(), STEP_S_MAX)
    stream.cancel()


async def test_after_the_whole_view_come_changes_and_who_was_away_hears_what_it_missed(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with controller.channel() as channel:
        for keeps_all in (False, True):
            if keeps_all:
                await followed(channel)
            await register(channel, "a", "10.0.0.1")
            await register(channel, "b", "10.0.0.2")
            stream = watch(channel)
            whole = await hears(stream)
            assert whole[:3] == (False, ["a", "b"], [])
            await register(channel, "c", "10.0.0.3")
            assert (await hears(stream))[:3] == (True, ["c"], [])
            await deregister(channel, "a")
            assert (await hears(stream))[:3] == (True, [], ["a"])
            stream.cancel()
            again = watch(channel, whole[3])
            assert (await hears(again))[:3] == (True, ["c"], ["a"])
            again.cancel()
            stranger = watch(channel, 1)
            assert (await hears(stranger))[:3] == (False, ["b", "c"], [])
            stranger.cancel()
            for name in "bc":
                await deregister(channel, name)
