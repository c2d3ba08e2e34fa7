"""Plans, histories, configs and secrets through the controller's real doors, store and process."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from bayplan.errors import Problem, ProblemKind
from bayplan.model import ContainerSpec, FileKind, FileMount, ServiceSpec, StackFile, StackSpec
from bayplan.rpc_errors import problem_of
from bayplan.session import Files, FilesWanted
from bayplan.v1 import file_pb2, file_pb2_grpc, stack_pb2, stack_pb2_grpc
from bayplan.wire import from_pb, to_pb
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess

#: What must be in no file that the controller writes.
CANARY = b"the canary sings at midnight"
SECRET, CONFIG = "FILE_KIND_SECRET", "FILE_KIND_CONFIG"


def web(image: str = "app:1", **container: Any) -> ServiceSpec:
    return ServiceSpec(name="web", container=ContainerSpec(image=image, **container), replicas=0)


def mounting(**fields: Any) -> ServiceSpec:
    mount = FileMount(kind=FileKind.SECRET, source="shop_key", target="/run/secrets/key")
    return ServiceSpec(name="web", container=ContainerSpec(image="app:1", files=(mount,)), **fields)


def key(content: bytes) -> tuple[StackFile, ...]:
    return (StackFile(kind=FileKind.SECRET, name="shop_key", content=content),)


class Calls:
    """The two services, with a deadline on each call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stacks = stack_pb2_grpc.StackServiceStub(channel)
        self._files = file_pb2_grpc.FileServiceStub(channel)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._files if name.endswith(("File", "Files")) else self._stacks, name)
        module = file_pb2 if name.endswith(("File", "Files")) else stack_pb2
        return lambda **fields: method(getattr(module, f"{name}Request")(**fields), timeout=STEP_S_MAX)


@pytest.fixture
async def calls(controller: ControllerProcess) -> AsyncIterator[Calls]:
    async with controller.channel() as channel:
        yield Calls(channel)


async def refused(call: Any) -> Problem:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return problem_of(caught.value)


async def test_a_stack_is_planned_deployed_read_and_rolled_back(calls: Calls) -> None:
    first, second = to_pb(StackSpec(name="shop", services=(web(),))), None
    plan = (await calls.PlanStack(stack=first)).plan
    assert (plan.index, [each.change.service for each in plan.services]) == (0, ["shop_web"])
    assert (await calls.Deploy(stack=first, check_index=0)).deployed.revision == 1
    second = to_pb(StackSpec(name="shop", services=(web("app:2"),)))
    assert (await refused(calls.Deploy(stack=second, check_index=0))).kind is ProblemKind.REFUSED
    assert (await calls.Deploy(stack=second, check_index=1)).deployed.revision == 2
    assert (await calls.Rollback(stack="shop")).deployed.revision == 3
    rows = (await calls.ListRevisions(stack="shop")).revisions
    assert [(row.revision, row.cause, row.current) for row in rows] == [
        (3, "rollback to 1", True),
        (2, "deploy", False),
        (1, "deploy", False),
    ]
    now, before = await calls.GetStack(stack="shop"), await calls.GetStack(stack="shop", revision=2)
    assert [from_pb(each.stack).services[0].container.image for each in (now, before)] == ["app:1", "app:2"]
    assert [row.revision for row in (await calls.ListStacks()).stacks] == [3]


async def test_all_faults_of_a_stack_come_back_together(calls: Calls) -> None:
    broken = to_pb(StackSpec(name="shop", services=(web(""), web(""))))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.Deploy(stack=broken)
    problems = [value for key, value in caught.value.trailing_metadata() or () if "problem" in key]
    assert len(problems) == 3


async def test_configs_and_secrets_are_made_shown_changed_and_removed(calls: Calls) -> None:
    for kind in (SECRET, CONFIG):
        made = (await calls.CreateFile(kind=kind, name="db", content=b"one", labels={"a": "b"})).file
        assert (made.version, made.size_bytes, dict(made.labels)) == (1, 3, {"a": "b"})
        assert (
            await refused(calls.CreateFile(kind=kind, name="db", content=b"x"))
        ).kind is ProblemKind.REFUSED
        assert (await calls.UpdateFile(kind=kind, name="db", content=b"two")).file.version == 2
        assert [file.name for file in (await calls.ListFiles(kind=kind)).files] == ["db"]
    assert (await calls.GetFile(kind=CONFIG, name="db")).file.content == b"two"
    shown = (await calls.GetFile(kind=SECRET, name="db")).file
    assert not shown.HasField("content")
    await calls.RemoveFile(kind=SECRET, name="db")
    assert not (await calls.ListFiles(kind=SECRET)).files
    assert (await refused(calls.GetFile(kind=SECRET, name="db"))).kind is ProblemKind.NOT_FOUND
    assert (await refused(calls.ListFiles())).kind is ProblemKind.INVALID


async def test_a_secret_reaches_its_node_and_no_file_of_the_controller(
    controller: ControllerProcess, calls: Calls, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    await node.run_all(await node.hear_assignments())
    deploy = asyncio.create_task(controller.deploy(mounting(), files=key(CANARY)))
    assignments = await node.hear_assignments()
    await deploy
    (spec,) = assignments.specs.values()
    await node.say(FilesWanted(digests=(spec.files[0].digest, "0" * 64)))
    given = await node.hear()
    assert isinstance(given, Files) and list(given.contents.values()) == [CANARY]
    await calls.CreateFile(kind=CONFIG, name="db", content=CANARY)
    assert (await refused(calls.CreateFile(kind=CONFIG, name="../db", content=CANARY))).kind
    controller.kill()
    files = [path for path in (*controller.data_dir.rglob("*"), controller.log) if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if CANARY in path.read_bytes()] == []
    await node.close()


async def test_a_secret_survives_sigkill(controller: ControllerProcess, calls: Calls) -> None:
    await calls.CreateFile(kind=CONFIG, name="db", content=CANARY)
    controller.kill()
    controller.start()
    async with controller.channel() as channel:
        assert (await Calls(channel).GetFile(kind=CONFIG, name="db")).file.content == CANARY


async def test_a_controller_without_its_content_key_does_not_start_and_spoils_nothing(
    controller: ControllerProcess, calls: Calls
) -> None:
    await calls.CreateFile(kind=SECRET, name="db", content=CANARY)
    controller.stop()
    path = controller.data_dir / "content.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = path.read_bytes()
    path.unlink()
    with pytest.raises(AssertionError, match="another content key"):
        controller.start()
    assert not path.exists(), "no new key takes its place"
    path.write_bytes(saved)
    controller.start()


async def test_a_controller_from_before_there_were_secrets_gets_its_key(
    controller: ControllerProcess, calls: Calls
) -> None:
    controller.stop()
    path = controller.data_dir / "content.key"
    path.unlink()
    controller.start()
    assert len(path.read_bytes()) == 32


async def test_privileges_are_what_init_was_told(tmp_path: Path) -> None:
    controller = ControllerProcess(tmp_path, "--allow=host-network", "--default-memory=32MiB")
    told = json.loads((controller.data_dir / "config.json").read_bytes())
    assert told["allow"] == ["host-network"]
    assert told["default_reservation"]["memory_bytes"] == 32 << 20
    controller.start()
    try:
        assert (await controller.deploy(web(network_mode="host"))).deployed.revision == 1
        problem = await refused(controller.deploy(web(privileged=True), stack="other"))
        assert 'add "privileged" to "allow"' in problem.hint
    finally:
        controller.stop()
