"""Changing and removing nodes, and what a witness's broken connection brings, on a real controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from bayplan.errors import ProblemKind
from bayplan.rpc_errors import problem_of
from bayplan.session import Dismissal, Welcome
from bayplan.v1 import node_pb2, node_pb2_grpc
from controller.doors.witness import WELCOME
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node


@asynccontextmanager
async def nodes_of(controller: ControllerProcess) -> AsyncIterator[Any]:
    async with controller.channel() as channel:
        yield node_pb2_grpc.NodeServiceStub(channel)


async def status_of(stub: Any, name: str) -> int:
    answer = await stub.GetNode(node_pb2.GetNodeRequest(node=name), timeout=STEP_S_MAX)
    return int(answer.node.status)


async def after_s(began: float, so: Callable[[], Any], within_s: float = 10) -> float:
    """Seconds since then until something is so."""
    while not await so():
        assert time.monotonic() - began < within_s
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_node_is_drained_and_relabelled(controller: ControllerProcess, tmp_path: Path) -> None:
    node = await controller.node(tmp_path, "n1")
    async with nodes_of(controller) as stub:
        request = node_pb2.UpdateNodeRequest(
            node="n1", availability=node_pb2.AVAILABILITY_DRAIN, label_add={"disk": "ssd"}, deadline_ms=60_000
        )
        view = (await stub.UpdateNode(request, timeout=STEP_S_MAX)).node
        assert (view.availability, dict(view.labels)) == (node_pb2.AVAILABILITY_DRAIN, {"disk": "ssd"})
        assert view.drain_until_ms > time.time() * 1000
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.UpdateNode(
                node_pb2.UpdateNodeRequest(node="n1", label_add={"a b": ""}), timeout=STEP_S_MAX
            )
        assert problem_of(refused.value, "it").kind is ProblemKind.INVALID
    await node.close()


async def test_a_removed_nodes_stream_ends_within_a_second_and_it_is_refused_then(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    node.answers = False
    async with nodes_of(controller) as stub:
        removed = await stub.RemoveNode(node_pb2.RemoveNodeRequest(node="n1"), timeout=STEP_S_MAX)
        began = time.monotonic()
    assert (removed.id, removed.name) == (node.id, "n1")
    while not isinstance(await asyncio.wait_for(node.hear(), 1), Dismissal):
        pass
    assert node.heard[-1].final
    assert await node.call.read() is grpc.aio.EOF
    assert time.monotonic() - began < 1
    await node.close()
    with pytest.raises(AssertionError):
        await node.connect()
    assert isinstance(node.heard[-1], Dismissal)
    assert node.heard[-1].final
    await node.close()


async def witness(welcome: Welcome) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", welcome.witness_port)
    writer.write(f"{welcome.witness_ticket}\n".encode())
    assert await reader.readline() == WELCOME
    return writer


def welcome_of(node: Node) -> Welcome:
    return next(each for each in reversed(node.heard) if isinstance(each, Welcome))


async def test_a_machine_whose_connections_all_break_is_down_after_a_second(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, other = await controller.node(tmp_path, "n1"), await controller.node(tmp_path, "n2")
    writer = await witness(welcome_of(node))
    async with nodes_of(controller) as stub:
        began = time.monotonic()
        writer.transport.abort()
        await node.close()

        async def down() -> bool:
            return await status_of(stub, "n1") == node_pb2.NODE_STATUS_DOWN

        assert 0.9 < await after_s(began, down) < 2.5
    await other.close()


async def test_an_agent_that_goes_beside_its_witness_has_the_whole_lease(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, other = await controller.node(tmp_path, "n1"), await controller.node(tmp_path, "n2")
    writer = await witness(welcome_of(node))
    async with nodes_of(controller) as stub:
        await node.close()
        await asyncio.sleep(3)
        assert await status_of(stub, "n1") == node_pb2.NODE_STATUS_SUSPECT
        await node.connect()
        assert await status_of(stub, "n1") == node_pb2.NODE_STATUS_READY
    writer.close()
    await node.close()
    await other.close()
