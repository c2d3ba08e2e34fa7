"""Which way packets go by the data plane's rules: a host with two containers, and a client outside of it."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from agent.doors.dataplane import DataPlane
from bayplan.directory import Listing, Standing
from bayplan.model.base import Protocol
from tests.engine.net_world import Namespace, command
from tests.unit.agent.decide.dataplane_world import HERE, entry, listing, published

CALL_S_MAX = 2.0


class Lab:
    """The host has 10.9.0.1 and the bridge's 10.64.1.254; containers `one` and `two` 10.64.1.1 and .2, with a
    server at 80 that says its name and its caller; `outside` has 10.9.0.99; `other` is the node 10.9.0.2."""

    def __init__(self) -> None:
        self.spaces = {name: Namespace() for name in ("host", "one", "two", "outside", "other")}
        self.callers: list[socket.socket] = []
        self.plane = DataPlane()
        self.on("host", "ip link add bp-1 type bridge", "ip link set bp-1 up", "ip link set lo up")
        self.on("host", "ip addr add 10.64.1.254/20 dev bp-1", "sysctl -qw net.ipv4.ip_forward=1")
        self.on("host", "sysctl -qw net.bridge.bridge-nf-call-iptables=1")
        self.on(
            "host",
            "ip link add cable type bridge",
            "ip link set cable up",
            "ip addr add 10.9.0.1/24 dev cable",
        )
        for name, address, bridge in (
            ("one", "10.64.1.1/20", "bp-1"),
            ("two", "10.64.1.2/20", "bp-1"),
            ("outside", "10.9.0.99/24", "cable"),
            ("other", "10.9.0.2/24", "cable"),
        ):
            self._plug(name, address, bridge)
        for name in ("one", "two"):
            self.on(name, "ip route add default via 10.64.1.254")
            self.serve(name, 80)

    def _plug(self, name: str, address: str, bridge: str) -> None:
        there = self.spaces[name].run(threading.get_native_id)
        self.on("host", f"ip link add v-{name} type veth peer name eth0 netns {there}")
        self.on("host", f"ip link set v-{name} master {bridge} up")
        self.on(name, f"ip addr add {address} dev eth0", "ip link set eth0 up", "ip link set lo up")

    def on(self, name: str, *lines: str) -> None:
        for line in lines:
            self.spaces[name].run(lambda line=line: command(line))  # type: ignore[misc]

    def serve(self, name: str, port: int) -> None:
        server = self.spaces[name].run(lambda: socket.create_server(("0.0.0.0", port)))

        def answer() -> None:
            while True:
                caller, (address, _) = server.accept()
                with caller:
                    caller.sendall(f"{name} saw {address}".encode())

        threading.Thread(target=answer, daemon=True).start()

    def serve_udp(self, name: str, port: int) -> None:
        server = self.spaces[name].run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("0.0.0.0", port))

        def answer() -> None:
            while True:
                _, caller = server.recvfrom(100)
                server.sendto(name.encode(), caller)

        threading.Thread(target=answer, daemon=True).start()

    def caller(self, name: str) -> socket.socket:
        """A UDP port that is kept."""
        made = self.spaces[name].run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.settimeout(CALL_S_MAX)
        self.callers.append(made)
        return made

    def show(self, *listings: Listing) -> None:
        given = {each.key: each for each in listings}
        self.spaces["host"].run(lambda: self.plane.change(given, HERE, look=True))

    def call(self, name: str, address: str, port: int = 80, times: int = 30) -> Counter[str]:
        return self.spaces[name].run(lambda: Counter(_call(address, port) for _ in range(times)))


def ask(caller: socket.socket, address: str, port: int) -> str:
    """What is answered to a UDP packet."""
    caller.sendto(b"?", (address, port))
    try:
        return caller.recv(100).decode()
    except OSError as error:
        return type(error).__name__


def _call(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), CALL_S_MAX) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    for caller in made.callers:
        caller.close()
    for space in made.spaces.values():
        space.__exit__()


def test_new_connections_go_to_all_instances_with_their_callers_address(lab: Lab) -> None:
    lab.show(listing(entry(1), entry(2)))
    assert lab.call("two", "10.64.15.1").keys() == {"one saw 10.64.1.2", "two saw 10.64.1.254"}, "itself, too"


def test_a_virtual_address_without_anybody_refuses_and_opens_nothing_of_the_host(lab: Lab) -> None:
    lab.serve("host", 22)
    assert lab.call("one", "10.64.1.254", 22, 1).keys() == {"host saw 10.64.1.1"}
    lab.show(listing())
    assert lab.call("one", "10.64.15.1", 22, 1).keys() == {"ConnectionRefusedError"}
    lab.show(listing(entry(2)))
    assert lab.call("one", "10.64.15.1", 22, 1).keys() == {"ConnectionRefusedError"}, "the instance's own 22"


def test_a_virtual_address_is_for_its_own_network_only(lab: Lab) -> None:
    lab.show(listing(entry(1), entry(2)))
    lab.on("outside", "ip route add 10.64.0.0/20 via 10.9.0.1")
    assert lab.call("outside", "10.64.15.1", 80, 2).keys() == {"ConnectionRefusedError"}


def test_a_published_port_keeps_the_callers_address_unless_it_is_passed_on(lab: Lab) -> None:
    lab.serve("other", 30_007)
    lab.show(listing(entry(1), entry(7, node=2), vip="", ports=(published(8000),)))
    seen = {"one saw 10.9.0.99", "other saw 10.9.0.1"}
    assert lab.call("outside", "10.9.0.1", 8000).keys() == seen
    assert lab.call("host", "10.9.0.1", 8000).keys() == {"one saw 10.9.0.1", "other saw 10.9.0.1"}


def test_containers_get_to_a_port_of_their_node_as_the_engine_has_it(lab: Lab) -> None:
    lab.serve("host", 30_001)  # where the engine's own proxy would listen
    lab.show(listing(entry(1), vip="", ports=(published(8000),)))
    assert lab.call("two", "10.9.0.1", 8000, 3).keys() == {"host saw 10.64.1.2"}


def test_a_published_port_is_had_where_the_host_drops_what_it_forwards(lab: Lab) -> None:
    lab.on("host", "iptables -P FORWARD DROP")
    lab.serve("other", 30_007)
    shown = listing(entry(1), entry(7, node=2), vip="", ports=(published(8000),))
    lab.show(shown)
    assert lab.call("outside", "10.9.0.1", 8000).keys() == {"one saw 10.9.0.99", "other saw 10.9.0.1"}
    lab.show(listing(vip=""))
    assert "bayplan" not in lab.spaces["host"].run(lambda: command("iptables -S"))


def test_a_connection_outlives_the_change_that_ends_new_ones(lab: Lab) -> None:
    lab.show(listing(entry(1)))
    server = lab.spaces["one"].run(lambda: socket.create_server(("0.0.0.0", 81)))
    caller = lab.spaces["two"].run(lambda: socket.create_connection(("10.64.15.1", 81), CALL_S_MAX))
    accepted, _ = server.accept()
    lab.show(listing())
    lab.plane = DataPlane()
    lab.show(listing())
    caller.sendall(b"still here")
    assert accepted.recv(100) == b"still here"
    assert lab.call("two", "10.64.15.1", 81, 1).keys() == {"ConnectionRefusedError"}
    for each in (caller, accepted, server):
        each.close()


def test_who_keeps_a_udp_port_is_let_go_of_when_his_instance_is_gone_and_not_before(lab: Lab) -> None:
    lab.serve_udp("one", 80)
    lab.serve_udp("two", 80)
    ports = (published(8000, protocol=Protocol.UDP),)
    first, second = entry(1, protocol=Protocol.UDP), entry(2, protocol=Protocol.UDP)
    draining = entry(1, protocol=Protocol.UDP, standing=Standing.DRAINING)
    lab.show(listing(first, ports=ports))
    calls = [(lab.caller("outside"), "10.9.0.1", 8000), (lab.caller("two"), "10.64.15.1", 80)]
    assert [ask(*call) for call in calls] == ["one", "one"]
    lab.show(listing(draining, second, ports=ports))
    assert [ask(*call) for call in calls] == ["one", "one"]
    lab.show(listing(second, ports=ports))
    assert [ask(*call) for call in calls] == ["two", "two"]


def test_udp_callers_of_an_instance_that_went_while_no_agent_ran_are_let_go_of(lab: Lab) -> None:
    lab.serve_udp("one", 80)
    lab.serve_udp("two", 80)
    caller = lab.caller("outside"), "10.9.0.1", 8000
    ports = (published(8000, protocol=Protocol.UDP),)
    lab.show(listing(entry(1, protocol=Protocol.UDP), ports=ports))
    assert ask(*caller) == "one"
    lab.plane = DataPlane()
    lab.show(listing(entry(2, protocol=Protocol.UDP), ports=ports))
    assert ask(*caller) == "two"
