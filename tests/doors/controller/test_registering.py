"""Registering over gRPC: by admins and by nodes, kept over SIGKILL of the controller, refused where due."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from bayplan.v1 import registry_pb2, registry_pb2_grpc
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess

LONG_MS = 3_600_000


def registration(**fields: Any) -> registry_pb2.RegisterRequest:
    usual = {"id": "db-1", "service": "db", "address": "10.1.0.9", "port": 5432, "ttl_ms": LONG_MS}
    return registry_pb2.RegisterRequest(registration=registry_pb2.Registration(**{**usual, **fields}))


def stub(channel: grpc.aio.Channel) -> Any:
    return registry_pb2_grpc.RegistryServiceStub(channel)


async def addresses(channel: grpc.aio.Channel) -> list[tuple[str, int]]:
    request = registry_pb2.LookupRequest(stack="external", service="db")
    found = await stub(channel).Lookup(request, timeout=STEP_S_MAX)
    return [(each.address, each.port) for each in found.instances]


async def test_a_node_registers_for_somebody_and_a_killed_controller_still_knows(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    await stub(node.channel).Register(registration(), timeout=STEP_S_MAX)
    async with controller.channel() as channel:
        assert await addresses(channel) == [("10.1.0.9", 5432)]
    await node.close()
    controller.kill()
    controller.start()
    async with controller.channel() as channel:
        assert await addresses(channel) == [("10.1.0.9", 5432)]
        renewal = registry_pb2.Renewal(service="db", id="db-1")
        await stub(channel).Renew(
            registry_pb2.RegistryServiceRenewRequest(renewal=renewal), timeout=STEP_S_MAX
        )
        await stub(channel).Deregister(
            registry_pb2.DeregisterRequest(service="db", id="db-1"), timeout=STEP_S_MAX
        )
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await addresses(channel)
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_only_operators_override(controller: ControllerProcess, tmp_path: Path) -> None:
    node = await controller.node(tmp_path, "n1")
    await stub(node.channel).Register(registration(), timeout=STEP_S_MAX)
    word = registry_pb2.OverrideRequest(service="db", id="db-1", drain=True)
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await stub(node.channel).Override(word, timeout=STEP_S_MAX)
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await node.close()
    async with controller.channel() as channel:
        assert (await stub(channel).Override(word, timeout=STEP_S_MAX)).drain
        everything = registry_pb2.LookupRequest(stack="external", service="db", all=True)
        (drained,) = (await stub(channel).Lookup(everything, timeout=STEP_S_MAX)).instances
        assert (drained.ready, drained.reason) == (False, "an operator drains it")


async def test_what_cannot_be_registered_says_why(controller: ControllerProcess) -> None:
    async with controller.channel() as channel:
        for wrong in (registration(address="nowhere"), registration(standing=77)):
            with pytest.raises(grpc.aio.AioRpcError) as invalid:
                await stub(channel).Register(wrong, timeout=STEP_S_MAX)
            assert invalid.value.code() is grpc.StatusCode.INVALID_ARGUMENT
