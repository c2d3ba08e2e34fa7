"""The name server of containers on real sockets: addresses of loopback are gateways and containers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from msgspec.structs import replace

from agent.directory import DirectoryCopy
from agent.doors import surfaces
from agent.doors.names import ContainerNames
from agent.events import NodeRef
from agent.state import State, Task, taken_up
from bayplan.directory import Entry, Facade, Listing, first_number
from bayplan.lifecycle import TaskState
from bayplan.model import Assignment, ContainerSpec, Desired, NetworkAttachment, Overlay
from tests.doors.controller.process import free_port

#: Networks with 16 addresses each; a container asks from its own address.
FRONT = Overlay(network="front", vni=0xBA0000, subnet="127.1.0.0/28", gateway="127.1.0.1")
BACK = Overlay(network="back", vni=0xBA0001, subnet="127.2.0.0/28", gateway="127.2.0.1")
VAULT = Overlay(network="vault", vni=0xBA0002, subnet="127.3.0.0/28", gateway="127.3.0.1", internal=True)
WEB, VIP, DB = "127.1.0.9", "127.1.0.14", "127.2.0.9"


class Node:
    """What the agent's core knows, its copy of the directory, and the name server on top."""

    def __init__(self, port: int) -> None:
        self.state = State(identity=NodeRef(node_id="k1", cluster_id="c"), boot_id="b", cores=1)
        self.copy = DirectoryCopy("n1", "k1")
        self.port, self._index = port, first_number(1)
        self.upstreams: list[str] = []
        self.names = ContainerNames(self.copy, self.state, "bayplan", port, lambda: self.upstreams)
        self.listing("web.shop", Facade(names={"front": ("web",)}, vips={"front": VIP}), front=WEB)
        self.listing("db.shop", Facade(names={"back": ("db", "postgres")}), back=DB)

    def tell(self, *overlays: Overlay) -> None:
        self.state.overlays.told = {each.network: each for each in overlays}
        self.names.told()

    def run(self, task_id: str, servers: tuple[str, ...] = (), **addresses: str) -> None:
        """A task with these addresses by network."""
        networks = tuple(NetworkAttachment(network=each) for each in addresses)
        spec = ContainerSpec(image="i", networks=networks, dns=servers)
        assignment = Assignment(
            task_id=task_id, spec_id="s", desired=Desired.RUN, service="x", stack="shop", slot=1, version=1
        )
        task = Task(status=taken_up(task_id, 0), assignment=assignment, spec=spec, addresses=addresses)
        self.state.put(task)
        self._count()

    def _count(self) -> None:
        held: dict[str, set[str]] = {}
        for task in self.state.tasks.values():
            for network, address in task.addresses.items():
                held.setdefault(network, set()).add(address)
        self.state.overlays.held = held

    def listing(self, name: str, facade: Facade, **networks: str) -> None:
        service, _, stack = name.rpartition(".")
        self._index += 1
        entries = [Entry(id=f"{service}1", slot=1, networks=networks, target=80)] if networks else []
        known = Listing.of(stack, service, self._index, entries, facade=facade)
        self.copy.directory.put(known, self._index)
        self.copy.heard()

    async def ask(
        self, name: str, by: str, *, at: str = FRONT.gateway, kind: str = "A", tcp: bool = False
    ) -> list[str] | str:
        query = dns.message.make_query(name, kind)
        way = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        answer = await way(query, at, port=self.port, timeout=3, source=by)  # type: ignore[operator]
        if answer.answer:
            return [str(record) for rrset in answer.answer for record in rrset]
        return "NODATA" if not answer.rcode() else dns.rcode.to_text(answer.rcode())


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node(free_port())
    node.copy.take(node.copy.directory.since(0), True)
    node.tell(FRONT, BACK, VAULT)
    running = asyncio.create_task(node.names.run())
    await asyncio.sleep(0.05)
    yield node
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


class Upstream(asyncio.DatagramProtocol):
    """Somebody else's name server: everything is at one address."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text())
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "A", "203.0.113.1"))
        self._transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def upstream(host: str, port: int) -> AsyncIterator[Upstream]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(Upstream, local_addr=(host, port))
    try:
        yield server
    finally:
        transport.close()


async def test_each_container_sees_its_own_networks_only(node: Node) -> None:
    node.run("t1", front="127.1.0.2")
    node.run("t2", back="127.2.0.2")
    node.run("t3", front="127.1.0.3", back="127.2.0.3")
    for tcp in (False, True):
        assert await node.ask("web", "127.1.0.2", tcp=tcp) == [VIP]
        assert await node.ask("tasks.web", "127.1.0.2", tcp=tcp) == [WEB]
        assert await node.ask("db", "127.1.0.2", tcp=tcp) == "NXDOMAIN"
        assert await node.ask("db", "127.2.0.2", at=BACK.gateway, tcp=tcp) == [DB]
        assert await node.ask("web", "127.2.0.2", at=BACK.gateway, tcp=tcp) == "NXDOMAIN"
        assert await node.ask("db", "127.1.0.3", tcp=tcp) == [DB]
        assert await node.ask("web", "127.1.0.3", tcp=tcp) == [VIP]
    assert await node.ask("web", "127.1.0.2", kind="AAAA") == "NODATA"


async def test_a_stranger_on_a_network_sees_that_network(node: Node) -> None:
    assert await node.ask("web", "127.1.0.5") == [VIP]
    assert await node.ask("db", "127.1.0.5") == "NXDOMAIN"


async def test_nobody_from_elsewhere_is_answered(node: Node) -> None:
    node.run("t1", back="127.2.0.2")
    with pytest.raises(dns.exception.Timeout):
        query = dns.message.make_query("web", "A")
        await dns.asyncquery.udp(query, FRONT.gateway, port=node.port, timeout=0.5, source="127.2.0.2")
    with pytest.raises((EOFError, ConnectionError)):
        await node.ask("web", "127.2.0.2", tcp=True)


async def test_an_address_that_another_task_has_now_is_asked_for_that_one(node: Node) -> None:
    node.run("t1", front="127.1.0.2")
    assert await node.ask("db", "127.1.0.2") == "NXDOMAIN"
    task = node.state.tasks["t1"]
    node.state.put(replace(task, status=replace(task.status, state=TaskState.FAILED)))
    node.run("t2", front="127.1.0.2", back="127.2.0.2")
    assert await node.ask("db", "127.1.0.2") == [DB]


async def test_an_address_that_is_gone_is_gone_from_the_next_answer(node: Node) -> None:
    node.run("t1", front="127.1.0.2")
    assert await node.ask("tasks.web", "127.1.0.2") == [WEB]
    node.listing("web.shop", Facade(names={"front": ("web",)}, vips={"front": VIP}))
    assert await node.ask("tasks.web", "127.1.0.2") == "NODATA"
    assert await node.ask("web", "127.1.0.2") == [VIP]


async def test_the_rest_of_the_world_is_asked_of_the_container_s_servers_or_the_machine_s(node: Node) -> None:
    async with upstream("127.4.0.1", node.port) as machine, upstream("127.4.0.2", node.port) as own:
        node.upstreams = ["127.4.0.1", FRONT.gateway]
        node.run("t1", front="127.1.0.2")
        node.run("t2", servers=("127.4.0.2",), front="127.1.0.3")
        assert await node.ask("example.org", "127.1.0.2") == ["203.0.113.1"]
        assert await node.ask("example.net", "127.1.0.3") == ["203.0.113.1"]
        assert (machine.asked, own.asked) == (["example.org."], ["example.net."])
        # What is ours, or has no domain, stays here.
        for name in ("web", "db", "db.shop", "wbe", "wbe.bayplan", "9.127.in-addr.arpa"):
            await node.ask(name, "127.1.0.2")
        assert machine.asked[1:] == ["9.127.in-addr.arpa."]


async def test_without_a_server_to_ask_a_foreign_name_fails_at_once(node: Node) -> None:
    node.run("t1", front="127.1.0.2")
    node.upstreams = [FRONT.gateway]
    async with asyncio.timeout(1):
        assert await node.ask("example.org", "127.1.0.2") == "SERVFAIL"


async def test_questions_do_not_leave_an_internal_network(node: Node) -> None:
    async with upstream("127.4.0.1", node.port) as machine:
        node.upstreams = ["127.4.0.1"]
        node.run("t1", vault="127.3.0.2")
        assert await node.ask("secret.example.org", "127.3.0.2", at=VAULT.gateway) == "REFUSED"
        node.run("t2", vault="127.3.0.3", front="127.1.0.2")
        assert await node.ask("example.org", "127.3.0.3", at=VAULT.gateway) == ["203.0.113.1"]
        assert machine.asked == ["example.org."]


async def test_sockets_come_and_go_with_the_networks(node: Node) -> None:
    node.tell(BACK)
    await asyncio.sleep(0.05)
    with pytest.raises(OSError, match="refused"):
        await node.ask("web", "127.1.0.2", tcp=True)
    assert await node.ask("db", "127.2.0.5", at=BACK.gateway) == [DB]
    node.tell(BACK, FRONT)
    await asyncio.sleep(0.05)
    assert await node.ask("web", "127.1.0.5", tcp=True) == [VIP]


async def test_a_gateway_that_the_machine_does_not_have_yet_is_listened_on(node: Node) -> None:
    soon = replace(FRONT, network="soon", subnet="192.0.2.0/28", gateway="192.0.2.1")
    node.tell(soon, FRONT)
    await asyncio.sleep(0.05)
    with pytest.raises(OSError, match="in use"), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.IPPROTO_IP, 15, 1)
        other.bind((soon.gateway, node.port))


async def test_a_port_that_somebody_has_is_told_and_taken_once_it_is_free(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surfaces, "RETRY_S", 0.05)
    late = replace(FRONT, network="late", subnet="127.5.0.0/28", gateway="127.5.0.1")
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((late.gateway, node.port))
        node.tell(FRONT, late)
        await asyncio.sleep(0.2)
        assert "the containers of late" in capsys.readouterr().out
        assert await node.ask("web", "127.1.0.5") == [VIP]
    await asyncio.sleep(0.2)
    assert await node.ask("nobody", "127.5.0.2", at=late.gateway) == "NXDOMAIN"


async def test_a_burst_of_questions_is_answered(node: Node) -> None:
    node.run("t1", front="127.1.0.2")
    query = dns.message.make_query("web", "A").to_wire()
    with socket.socket(type=socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        asker.bind(("127.1.0.2", 0))
        answers = 0
        for _ in range(20):
            for _ in range(250):
                asker.sendto(query, (FRONT.gateway, node.port))
            await asyncio.sleep(0.05)
            with contextlib.suppress(BlockingIOError):
                while packet := asker.recv(2_000):
                    assert not dns.message.from_wire(packet).flags & dns.flags.TC
                    answers += 1
        assert answers == 5_000
