"""The controller's doors, on loopback, with real certificates and a real store."""

from __future__ import annotations

import asyncio
import json
import stat
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bayplan.errors import ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import Assignments, ContainerSpec, PortSpec, ServiceSpec, TaskStatus
from bayplan.rpc_errors import problem_of
from bayplan.session import Dismissal, LogPull, Report
from bayplan.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    stack_pb2,
    stack_pb2_grpc,
    task_pb2,
    task_pb2_grpc,
)
from bayplan.wire import wrap
from controller.doors.outbox import IN_FLIGHT_MAX
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node


def web(**fields: Any) -> ServiceSpec:
    ports = (PortSpec(target=80, published=8080),)
    return ServiceSpec(name="web", container=ContainerSpec(image="app:1", ports=ports), **fields)


def get(controller: ControllerProcess, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{controller.http}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def ready(controller: ControllerProcess, count: int) -> dict[str, Any]:
    for _ in range(200):
        status, body = get(controller, "/v1/lookup/shop/web")
        if len(body.get("instances", ())) == count and (status == 200) == bool(count):
            return dict(body)
        await asyncio.sleep(0.05)
    raise AssertionError(f"never {count} ready: {body}")


async def deployed(controller: ControllerProcess, folder: Path) -> tuple[Node, str]:
    """A node that runs the one task of shop_web."""
    node = await controller.node(folder, "n1")
    await node.hear_assignments()
    await node.say(Report(revision=1))
    deploy = asyncio.create_task(controller.deploy(web()))
    assignments = await node.hear_assignments()
    await deploy
    await node.run_all(assignments)
    await ready(controller, 1)
    return node, assignments.tasks[0].task_id


async def test_a_deployed_service_is_found_over_http_and_grpc(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, task = await deployed(controller, tmp_path)
    _, body = get(controller, "/v1/lookup/shop/web")
    (row,) = body["instances"]
    assert (row["id"], row["address"], row["node"]) == (task, "127.0.0.1", "n1")
    async with controller.channel() as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        found = await stub.Lookup(registry_pb2.LookupRequest(stack="shop", service="web"), timeout=5)
    assert [each.id for each in found.instances] == [task]
    assert found.revision == body["revision"] >= 1
    await node.close()


async def test_a_container_that_died_is_no_longer_found(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, task = await deployed(controller, tmp_path)
    failed = TaskStatus(task_id=task, state=TaskState.FAILED, message="exit code 1", exit_code=1)
    await node.say(Report(revision=2, tasks=(failed,)))
    await ready(controller, 0)
    status, body = get(controller, "/v1/lookup/shop/web")
    assert status == 404
    assert body["error"] == "shop_web has no ready instance"
    await node.close()


async def test_what_is_not_there_says_what_is_nearest(controller: ControllerProcess, tmp_path: Path) -> None:
    node, _ = await deployed(controller, tmp_path)
    assert get(controller, "/v1/lookup/shop/wbe")[1]["hint"] == "did you mean shop_web?"
    assert get(controller, "/v1/lookup/shpo/web")[1]["hint"] == "did you mean shop?"
    assert get(controller, "/v1/nothing")[0] == 404
    await node.close()


async def test_watchers_see_each_change_of_the_registry(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, task = await deployed(controller, tmp_path)
    async with controller.channel() as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        watch = stub.Watch(registry_pb2.WatchRequest(stack="shop", service="web"), timeout=STEP_S_MAX)
        first = await watch.read()
        assert [each.id for each in first.instances] == [task]
        await node.say(Report(revision=2, tasks=(TaskStatus(task_id=task, state=TaskState.FAILED),)))
        second = await watch.read()
        assert second.revision > first.revision and not second.instances
        watch.cancel()
    await node.close()


async def test_an_acknowledged_deploy_survives_sigkill(controller: ControllerProcess, tmp_path: Path) -> None:
    node, task = await deployed(controller, tmp_path)
    controller.kill()
    await node.close()
    controller.start()
    status, body = get(controller, "/v1/lookup/shop/web")
    assert status == 404 and body["error"] == "shop_web has no ready instance"
    welcome = await node.connect()
    assert welcome.epoch == 2
    assert [each.task_id for each in (await node.hear_assignments()).tasks] == [task]
    assert (await ready(controller, 1))["instances"][0]["id"] == task
    await node.close()


async def test_a_newer_session_takes_the_place_of_the_older(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    node.answers = False
    again = Node(node.identity)
    await again.connect()
    await node.hear_assignments()
    while not isinstance(await asyncio.wait_for(node.hear(), STEP_S_MAX), Dismissal):
        pass
    await node.close()
    await again.close()


async def test_only_few_sets_of_assignments_are_in_flight(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    heard: list[Assignments] = []

    async def listen() -> None:
        while True:
            heard.append(await node.hear_assignments())

    listening = asyncio.create_task(listen())
    for number in range(IN_FLIGHT_MAX + 3):
        spec = ServiceSpec(name="web", container=ContainerSpec(image="app:1"), replicas=1 + number)
        await controller.deploy(spec)
    await asyncio.sleep(0.2)
    assert len(heard) == IN_FLIGHT_MAX, "none is acknowledged"
    await node.say(Report(revision=heard[-1].revision))
    await asyncio.sleep(0.2)
    assert len(heard) == IN_FLIGHT_MAX + 1
    assert heard[-1].revision > heard[-2].revision + 1, "those between were replaced by the newest"
    listening.cancel()
    await node.close()


async def test_output_comes_from_the_node_that_runs_the_task(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node, task = await deployed(controller, tmp_path)
    async with controller.channel() as channel:
        logs = task_pb2_grpc.TaskServiceStub(channel).Logs(
            task_pb2.LogsRequest(targets=["shop_web"], tail=-1), timeout=STEP_S_MAX
        )
        batches = aiter(logs)
        names = await anext(batches)
        assert dict(names.names) == {task: "shop_web.1@n1"}
        pull = await node.hear()
        assert isinstance(pull, LogPull) and pull.task_ids == (task,)

        async def push() -> Any:
            yield agent_pb2.PushLogsRequest(request_id=pull.request_id)
            ours = task_pb2.LogLine(time_ns=1, stream="LOG_STREAM_STDOUT", text=b"hello", task_id=task)
            foreign = task_pb2.LogLine(time_ns=1, stream="LOG_STREAM_STDOUT", text=b"no", task_id="other")
            yield agent_pb2.PushLogsRequest(request_id=pull.request_id, lines=[ours, foreign])

        await agent_pb2_grpc.AgentServiceStub(node.channel).PushLogs(push(), timeout=STEP_S_MAX)
        lines = [line.text async for batch in batches for line in batch.lines]
        assert lines == [b"hello"]
    await node.close()


async def test_a_malformed_message_ends_its_session_and_no_other(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    good, task = await deployed(controller, tmp_path)
    bad = await controller.node(tmp_path, "n2")
    await bad.call.write(agent_pb2.SessionRequest().SerializeToString())
    with suppress(grpc.aio.AioRpcError):
        while await asyncio.wait_for(bad.call.read(), STEP_S_MAX) is not grpc.aio.EOF:
            pass
    assert (await ready(controller, 1))["instances"][0]["id"] == task
    await good.close()
    await bad.close()


async def test_a_session_that_begins_with_something_else_is_refused(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    call = agent_pb2_grpc.AgentServiceStub(node.channel).Session(timeout=STEP_S_MAX)
    await call.write(wrap(agent_pb2.SessionRequest, Report(revision=1)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert problem_of(refused.value).kind is ProblemKind.INVALID
    await node.close()


async def test_health_and_reflection_answer(controller: ControllerProcess) -> None:
    async with controller.channel() as channel:
        check = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert check.status == health_pb2.HealthCheckResponse.SERVING

        async def ask() -> Any:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = [each async for each in stub.ServerReflectionInfo(ask(), timeout=5)]
        names = {service.name for service in answer.list_services_response.service}
    assert {"bayplan.v1.StackService", "bayplan.v1.RegistryService", "bayplan.v1.AgentService"} <= names


async def test_the_socket_is_for_its_owner_and_group_only(controller: ControllerProcess) -> None:
    assert stat.S_IMODE(controller.socket.stat().st_mode) == 0o660


async def test_a_token_is_used_up_and_never_kept_in_clear(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    from agent.join import join
    from bayplan.errors import ProblemError

    async with controller.channel() as channel:
        made = await cluster_pb2_grpc.ClusterServiceStub(channel).CreateJoinToken(
            cluster_pb2.CreateJoinTokenRequest(), timeout=5
        )
    await join(made.token, made.join_address, "n1", {}, "127.0.0.1", tmp_path / "first")
    with pytest.raises(ProblemError, match="used up"):
        await join(made.token, made.join_address, "n2", {}, "127.0.0.1", tmp_path / "second")
    controller.stop()
    secret = made.token.split("-")[4].encode()
    for path in [*controller.data_dir.rglob("*"), controller.log]:
        assert not path.is_file() or secret not in path.read_bytes(), path


async def test_removing_what_is_not_there_is_not_found(controller: ControllerProcess) -> None:
    async with controller.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stack_pb2_grpc.StackServiceStub(channel).Remove(
                stack_pb2.RemoveRequest(stack="shop"), timeout=5
            )
    assert problem_of(refused.value).kind is ProblemKind.NOT_FOUND


async def test_sigterm_ends_it_in_order_and_another_may_start(controller: ControllerProcess) -> None:
    assert controller.stop() == 0
    controller.start()
    status, body = get(controller, "/v1/services")
    assert (status, body["services"]) == (200, [])
