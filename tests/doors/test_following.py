"""A node's copy follows a real controller, and what this node answers out of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import dns.asyncquery
import dns.message
import dns.rcode
import grpc.aio
import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from agent.directory import DirectoryCopy
from agent.doors import surfaces
from agent.doors.following import Follower
from agent.doors.registrar import GrpcRegistrar
from agent.doors.surfaces import Address, Surfaces, SurfaceSettings, addresses
from agent.identity import Membership
from agent.runtime.directory_file import DirectoryFile
from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import ProblemError, ProblemKind
from bayplan.model import ContainerSpec, PortSpec, ServiceSpec
from bayplan.session import Welcome
from bayplan.tls import open_channel
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node, free_port

HOST = "127.0.0.1"
WELCOME = Welcome(session_id="s", epoch=1, heartbeat_ms=100, node_name="n1")


def web(replicas: int) -> ServiceSpec:
    container = ContainerSpec(image="app", expose=(PortSpec(target=80),))
    return ServiceSpec(name="web", container=container, replicas=replicas)


async def until(what: str, condition: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until something is so."""
    end = asyncio.get_running_loop().time() + STEP_S_MAX
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert asyncio.get_running_loop().time() < end, f"not in time: {what}"
        await asyncio.sleep(0.02)


class Host:
    """The registry's part of an agent, with the node whose channel it takes. It ends with the test."""

    def __init__(self, node: Node, folder: Path, **settings: Any) -> None:
        member = node.identity.membership
        self.node, self.dns, self.http = node, free_port(), free_port()
        self.copy = DirectoryCopy(member.name, member.node_id)
        self.file = DirectoryFile(folder, self.copy)
        self.channel: grpc.aio.Channel | None = None
        self.follower = Follower(self.copy, lambda: self.channel)
        self.registrar = GrpcRegistrar(lambda: self.channel)
        known = SurfaceSettings((Address(HOST, self.dns),), (), (Address(HOST, self.http),), **settings)
        self.surfaces = Surfaces(known, self.copy, member, self.registrar, folder)
        self.file.load()
        parts = self.file.run(), self.follower.run(), self.surfaces.run()
        self.tasks = [asyncio.create_task(part) for part in parts]

    def in_session(self) -> None:
        """A session has begun."""
        membership, keys = self.node.identity.membership, self.node.identity.keys
        self.channel = open_channel(membership.controller_address, keys.ca_pem, keys)
        self.follower.welcomed(WELCOME)

    async def session_ends(self) -> None:
        if self.channel is not None:
            await self.channel.close()

    async def ask(self, name: str, kind: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        return await dns.asyncquery.udp(query, HOST, port=self.dns, timeout=2)

    async def addresses_of(self, name: str) -> list[str]:
        answer = await self.ask(name)
        return [str(record) for rrset in answer.answer for record in rrset]

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as web, web.get(f"http://{HOST}:{self.http}{path}") as response:
            return json.loads(await response.read())

    async def close(self) -> None:
        await self.session_ends()
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class World:
    """A controller and hosts that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.controller = ControllerProcess(folder)
        self.controller.start()
        self.hosts: list[Host] = []

    async def host(self, name: str = "n1", **settings: Any) -> Host:
        node = await self.controller.node(self.folder, name)
        return self.start(node, **settings)

    def start(self, node: Node, **settings: Any) -> Host:
        folder = self.folder / node.identity.membership.name
        self.hosts.append(Host(node, folder, **settings))
        return self.hosts[-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    for host in made.hosts:
        await host.close()
        await host.node.close()
    made.controller.stop()


async def test_a_node_answers_what_its_controller_knows(world: World) -> None:
    host = await world.host()
    await until("it answers", lambda: _answers(host))
    assert (await host.ask("web.external.bayplan")).rcode() == dns.rcode.SERVFAIL, "nothing is known yet"
    host.in_session()
    await until("the copy is whole", lambda: host.copy.origin().whole)
    assert await host.addresses_of("n1.node.bayplan") == ["127.0.0.1"]
    await host.registrar.register(Registration(id="a", service="web", address="10.0.0.1", port=80))
    await until("it is found", lambda: host.addresses_of("web.external.bayplan"))
    found = await host.get("/v1/lookup/external/web")
    assert [each["address"] for each in found["instances"]] == ["10.0.0.1"]
    assert found["age_ms"] == 0 and found["whole"]
    await host.registrar.deregister("external", "web", "a")
    await until("it is gone", lambda: _is_empty(host, "web.external.bayplan"))


async def test_a_node_tells_xds_clients_what_it_knows(world: World) -> None:
    port = free_port()
    host = await world.host(xds=(Address(HOST, port),))
    host.in_session()
    await host.registrar.register(Registration(id="a", service="web", address="10.0.0.1", port=80))
    await until("it is found", lambda: host.addresses_of("web.external.bayplan"))
    kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stream = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources(
            wait_for_ready=True
        )
        await stream.write(discovery_pb2.DiscoveryRequest(type_url=kind, resource_names=["external/web"]))
        response = await asyncio.wait_for(stream.read(), STEP_S_MAX)
        told = endpoint_pb2.ClusterLoadAssignment.FromString(response.resources[0].value)
        (endpoint,) = told.endpoints[0].lb_endpoints
        assert endpoint.endpoint.address.socket_address.address == "10.0.0.1"
        stream.cancel()


async def _is_empty(host: Host, name: str) -> bool:
    return not await host.addresses_of(name)


async def test_who_registers_here_hears_what_the_controller_says(world: World) -> None:
    host = await world.host()
    with pytest.raises(ProblemError) as early:
        await host.registrar.renew(Renewal(service="web", id="a"))
    assert early.value.problem.kind is ProblemKind.UNREACHABLE
    host.in_session()
    with pytest.raises(ProblemError) as unknown:
        await host.registrar.renew(Renewal(service="web", id="a"))
    assert unknown.value.problem.kind is ProblemKind.NOT_FOUND
    await host.session_ends()
    with pytest.raises(ProblemError) as late:
        await host.registrar.renew(Renewal(service="web", id="a"))
    assert late.value.problem.kind is ProblemKind.UNREACHABLE


async def test_a_consul_client_of_the_node_registers_at_the_controller(world: World) -> None:
    host = await world.host()
    host.in_session()
    await until("the copy is whole", lambda: host.copy.origin().whole)
    body = {"Name": "cache", "ID": "c1", "Address": "10.0.0.7", "Port": 6379}
    url = f"http://{HOST}:{host.http}/v1/agent/service/register"
    async with aiohttp.ClientSession() as web, web.put(url, json=body) as response:
        assert response.status == 200
    await until("it is found", lambda: host.addresses_of("cache.external.bayplan"))
    records = (await host.ask("cache.external.bayplan", "SRV")).answer[0]
    assert [record.port for record in records] == [6379]


async def test_without_its_controller_a_node_answers_on_and_after_a_restart(world: World) -> None:
    host = await world.host()
    host.in_session()
    await host.registrar.register(Registration(id="a", service="web", address="10.0.0.1", ttl_ms=60_000))
    await until("it is found", lambda: host.addresses_of("web.external.bayplan"))
    world.controller.kill()
    await until("the loss is noticed", lambda: host.copy.origin().age_ms)
    assert await host.addresses_of("web.external.bayplan") == ["10.0.0.1"]
    await host.close()
    again = world.start(host.node)
    await until("it answers", lambda: _answers(again))
    assert await again.addresses_of("web.external.bayplan") == ["10.0.0.1"]
    age_ms = (await again.get("/v1/lookup/external/web"))["age_ms"]
    assert 0 < age_ms < 60_000
    (text,) = (await again.ask("bayplan", "TXT")).answer[0]
    assert int(dict(each.decode().split("=") for each in text.strings)["age_ms"]) >= age_ms


async def test_a_controller_that_comes_back_is_followed_again(world: World) -> None:
    host = await world.host()
    host.in_session()
    await until("the copy is whole", lambda: host.copy.origin().whole)
    world.controller.kill()
    await until("the loss is noticed", lambda: host.copy.origin().age_ms)
    world.controller.start()
    await host.session_ends()
    host.in_session()
    await until("it is heard again", lambda: not host.copy.origin().age_ms)
    await host.registrar.register(Registration(id="b", service="late", address="10.0.0.2"))
    await until("it is found", lambda: host.addresses_of("late.external.bayplan"))


async def test_a_closed_channel_does_not_end_the_follower(world: World) -> None:
    host = await world.host()
    for number in range(3):
        host.in_session()
        await host.registrar.register(Registration(id="a", service=f"s{number}", address="10.0.0.1"))
        await until("it is found", lambda name=f"s{number}": host.addresses_of(f"{name}.external.bayplan"))
        await host.session_ends()
        await until("the loss is noticed", lambda: host.copy.origin().age_ms)


async def test_a_port_that_is_taken_is_had_as_soon_as_it_is_free(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surfaces, "RETRY_S", 0.1)
    first = await world.host()
    await until("it answers", lambda: _answers(first))
    monkeypatch.setattr("tests.doors.test_following.free_port", iter((first.dns, first.http)).__next__)
    second = await world.host("n2")
    await asyncio.sleep(1)
    told = capsys.readouterr().out
    assert told.count("does not answer DNS there") == 1 and told.count("does not answer HTTP there") == 1
    assert "shows who has the port" in told
    assert b"node=n1" in (await first.ask("bayplan", "TXT")).answer[0][0].strings
    await first.close()
    await until("the second has it", lambda: _answers(second))
    assert b"node=n2" in (await second.ask("bayplan", "TXT")).answer[0][0].strings
    assert (await second.get("/v1/services"))["error"]


async def _answers(host: Host) -> bool:
    with contextlib.suppress(Exception):
        return bool(await host.ask("bayplan", "SOA"))
    return False


@pytest.mark.parametrize(
    ("given", "loopback", "cause"),
    [
        (("8600",), False, "no address with a port"),
        (("localhost:8600",), False, "no address with a port"),
        (("127.0.0.1:0",), False, "no address with a port"),
        (("off", "127.0.0.1:8600"), False, "'off' is no address"),
        (("10.0.0.1:7481",), True, "not an address of loopback"),
    ],
)
def test_addresses_that_are_none_are_refused(given: tuple[str, ...], loopback: bool, cause: str) -> None:
    with pytest.raises(ProblemError, match=cause):
        addresses("--dns-listen", given, loopback=loopback)


def test_addresses_are_read_as_they_are_written() -> None:
    assert addresses("--dns-listen", ("off",)) == ()
    assert addresses("--dns-listen", ("127.0.0.1:53", "[::1]:8600")) == (("127.0.0.1", 53), ("::1", 8600))


def test_a_domain_that_is_no_name_is_refused(tmp_path: Path) -> None:
    member = Membership(
        node_id="k1", name="n1", cluster_id="c1", controller_address="127.0.0.1:1", bootstrap_address=""
    )
    copy = DirectoryCopy("n1", "k1")
    with pytest.raises(ProblemError, match="--dns-domain"):
        Surfaces(SurfaceSettings(domain="a..b"), copy, member, GrpcRegistrar(lambda: None), tmp_path)


async def test_who_registered_with_a_check_is_asked_and_given_as_long_as_he_answers(world: World) -> None:
    host = await world.host()
    host.in_session()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    body = {"Name": "db", "Address": HOST, "Check": {"TCP": f"{HOST}:{port}", "Interval": "1s"}}

    async def registered() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as web,
                web.put(f"http://{HOST}:{host.http}/v1/agent/service/register", json=body) as response,
            ):
                return response.status == 200
        return False

    async def given() -> int:
        return len(await host.get("/v1/health/service/db?passing"))

    async def is_gone() -> bool:
        return not await given()

    await until("it is registered", registered)
    await until("it is asked and given", given)
    server.close()
    await server.wait_closed()
    await until("it is asked and not given any more", is_gone)
