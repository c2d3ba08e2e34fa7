"""Clients of Consul's API, unmodified, see instances appear, drain and vanish, and register their own."""

from __future__ import annotations

import asyncio
import json
import os
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bayplan.directory import Entry, Standing
from tests.doors.http_world import STEP_S_MAX, World, entry, serving
from tests.real.clients import installed

HERE = Path(__file__).parent


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as world:
        world.source.put("", "", Entry(id="node1", node="n1", address="10.0.0.1"))
        yield world


class Client:
    """A client in a process of its own, which speaks in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *command: str) -> Client:
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=plain))

    async def hear(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), STEP_S_MAX)
        assert line, "the client has ended"
        return json.loads(line)

    async def call(self, call: str, *given: Any, ttl: str = "", **named: Any) -> Any:
        assert self._process.stdin is not None
        asked = {"call": call, "given": given, "named": named} | ({"ttl": ttl} if ttl else {})
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        answer = await self.hear()
        return answer.get("got", answer)

    async def stop(self) -> None:
        self._process.kill()
        await self._process.wait()


@pytest.fixture
async def py_consul(world: World) -> AsyncIterator[Client]:
    python = await asyncio.to_thread(installed.python, installed.PY_CONSUL)
    client = await Client.start(str(python), str(HERE / "py_consul_caller.py"), str(world.port))
    yield client
    await client.stop()


@pytest.fixture
async def npm_watch(world: World) -> AsyncIterator[Client]:
    folder = await asyncio.to_thread(installed.node, installed.NPM_CONSUL)
    program = await asyncio.to_thread(installed.node_program)
    client = await Client.start(
        str(program), str(HERE / "consul_watch.js"), str(folder), str(world.port), "shop_web"
    )
    yield client
    await client.stop()


def ids(found: Any) -> list[str]:
    return [each["Service"]["ID"] for each in found[1]]


async def test_py_consul_sees_an_instance_appear_drain_and_vanish(world: World, py_consul: Client) -> None:
    index, found = await py_consul.call("health.service", "shop_web", passing=True)
    assert found == []
    waits = asyncio.create_task(
        py_consul.call("health.service", "shop_web", passing=True, index=index, wait="15s")
    )
    await asyncio.sleep(0.1)
    world.source.put("shop", "web", entry(1, tags=("a",)))
    found = await waits
    assert ids(found) == ["task1"]
    (row,) = found[1]
    assert (row["Node"]["Node"], row["Service"]["Address"], row["Service"]["Port"]) == (
        "n1",
        "10.0.0.1",
        8001,
    )
    world.source.put("shop", "web", entry(1, Standing.DRAINING))
    drained = await py_consul.call("health.service", "shop_web", index=found[0], wait="15s")
    assert "_service_maintenance:task1" in [check["CheckID"] for check in drained[1][0]["Checks"]]
    assert ids(await py_consul.call("health.service", "shop_web", passing=True)) == []
    world.source.drop("shop", "web")
    gone = await py_consul.call("health.service", "shop_web", index=drained[0], wait="15s")
    assert gone[1] == [] and int(gone[0]) > int(drained[0]) > int(found[0]) > int(index)


async def test_py_consul_reads_all_that_there_is(world: World, py_consul: Client) -> None:
    world.source.put("shop", "web", entry(1, tags=("a", "b")), entry(2, Standing.UNHEALTHY))
    call = py_consul.call
    assert (await call("agent.self"))["Config"]["Datacenter"] == "dc1"
    assert set(await call("agent.services")) == {"task1"}
    assert (await call("agent.service_definition", "task1"))["Service"] == "shop_web"
    assert (await call("catalog.services"))[1] == {"shop_web": ["a", "b"]}
    assert [each["ServiceID"] for each in (await call("catalog.service", "shop_web", tag="a"))[1]] == [
        "task1"
    ]
    assert {each["Node"] for each in (await call("catalog.nodes"))[1]} == {"n1", "n2"}
    assert (await call("catalog.node", "n1"))[1]["Services"].keys() == {"task1"}
    assert await call("catalog.datacenters") == ["dc1"]
    assert len((await call("health.checks", "shop_web"))[1]) == 2
    assert [each["ServiceID"] for each in (await call("health.state", "critical"))[1]] == ["task2"]
    assert {each["CheckID"] for each in (await call("health.node", "n1"))[1]} == {
        "serfHealth",
        "service:task1",
    }
    assert await call("status.leader") and await call("status.peers")
    refused = await call("health.service", "shop_web", filter_expr="x == y")
    assert refused["failed"] == "BadRequest"


async def test_py_consul_registers_and_says_how_it_is(world: World, py_consul: Client) -> None:
    call = py_consul.call
    assert await call("agent.service.register", "mail", service_id="m1", port=25, tags=["t"], ttl="10s")
    assert ids(await call("health.service", "mail", passing=True)) == []
    assert await call("agent.check.ttl_pass", "service:m1", "fine")
    (row,) = (await call("health.service", "mail", passing=True))[1]
    assert (row["Service"]["ID"], row["Service"]["Port"], row["Service"]["Tags"]) == ("m1", 25, ["t"])
    assert await call("agent.check.ttl_warn", "service:m1")
    assert ids(await call("health.service", "mail", passing=True)) == []
    assert await call("agent.check.ttl_pass", "service:m1")
    assert await call("agent.service.maintenance", "m1", "true", "upgrade")
    assert ids(await call("health.service", "mail", passing=True)) == []
    assert await call("agent.service.maintenance", "m1", "false")
    assert await call("agent.check.ttl_fail", "service:m1", "no")
    assert len((await call("health.state", "critical"))[1]) == 1
    assert await call("agent.service.deregister", "m1")
    assert ids(await call("health.service", "mail")) == []
    assert not await call("agent.check.ttl_pass", "service:m1"), "unknown"


async def test_py_consul_registers_in_the_catalog(world: World, py_consul: Client) -> None:
    service = {"Service": "db", "ID": "db1", "Port": 5432}
    assert await py_consul.call("catalog.register", "elsewhere", "10.9.9.9", service=service)
    (row,) = (await py_consul.call("catalog.service", "db"))[1]
    assert (row["Node"], row["ServiceAddress"], row["ServiceID"]) == ("elsewhere", "10.9.9.9", "db1")
    assert await py_consul.call("catalog.deregister", "elsewhere", service_id="db1")
    assert (await py_consul.call("catalog.service", "db"))[1] == []


async def test_a_watch_of_npms_consul_sees_an_instance_appear_drain_and_vanish(
    world: World, npm_watch: Client
) -> None:
    assert await npm_watch.hear() == []
    for change, seen in (
        ([entry(1)], ["task1"]),
        ([entry(1), entry(2)], ["task1", "task2"]),
        ([entry(1, Standing.DRAINING), entry(2)], ["task2"]),
        ([entry(2)], ["task2"]),
        ([], []),
    ):
        begun = time.monotonic()
        world.source.put("shop", "web", *change)
        assert await npm_watch.hear() == seen
        assert time.monotonic() - begun < 4, "its query waited for the change, and not for its time"
    world.source.drop("shop", "web")
    assert await npm_watch.hear() == []
