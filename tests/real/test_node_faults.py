"""What `bayplan doctor` tells of networks, ports and name servers that real hosts have trouble with."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.real.boxes import WEB
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import wait_until

#: A fault is told so soon, and its end: three signs of a peer at 5 s each, or a look at the links each 10 s;
#: and the rest on a machine that does much else.
TOLD_S_MAX = 40.0
#: By then each node has heard of each other; one that never was has 90 s.
HEARD_S = 11.0
#: A name server or a listener that could not be had is tried again each 5 s.
PORT, RESOLVER_PORT = 8080, 53
HOLD = (
    "import socket, sys, time\n"
    "kind = socket.SOCK_DGRAM if sys.argv[1] == 'udp' else socket.SOCK_STREAM\n"
    "taken = socket.socket(socket.AF_INET, kind)\n"
    "taken.bind(('0.0.0.0', int(sys.argv[2])))\n"
    "taken.listen() if kind == socket.SOCK_STREAM else None\n"
    "time.sleep(600)\n"
)
SHOP = f"""\
services:
  web:
    {WEB}
    ports: ["{PORT}:80"]
    deploy: {{mode: global}}
"""
#: A service whose published port a node of its tasks lacks is refused: the other node has none.
ON_FIRST = "node.labels.rack == r1"


def found(fleet: Cluster) -> list[str]:
    told = fleet.try_cli("doctor", "--json").out.splitlines()
    return [f"{each['verdict']} {each['found']}" for each in map(json.loads, told)]


def until_told(fleet: Cluster, start: str, *parts: str) -> float:
    """Until a line begins so and has all parts."""

    def told() -> bool:
        return any(line.startswith(start) and all(part in line for part in parts) for line in found(fleet))

    return wait_until(f"doctor tells {start} {parts}", told, TOLD_S_MAX, 0.5)


def until_well(fleet: Cluster) -> float:
    return wait_until(
        "doctor is content", lambda: all(line.startswith("PASSED") for line in found(fleet)), TOLD_S_MAX, 0.5
    )


@contextmanager
def holding(host: Host, kind: str, port: int) -> Iterator[None]:
    """A program of the host's own has a port."""
    program = host.spawn(sys.executable, "-c", HOLD, kind, str(port))
    try:
        yield
    finally:
        program.kill()


@contextmanager
def changed(host: Host, there: str, back: str) -> Iterator[None]:
    """A change of the host, by a shell."""
    host.run("sh", "-c", there)
    try:
        yield
    finally:
        host.run("sh", "-c", back)


def test_a_host_that_lets_no_udp_4789_in_is_told_with_whom_it_does_not_hear(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    time.sleep(HEARD_S)
    until_well(fleet)
    deaf, *others = fleet.hosts
    drop = (
        "nft 'add table inet wall; add chain inet wall in {type filter hook input priority 0;}; "
        "add rule inet wall in udp dport 4789 drop'"
    )
    with changed(deaf, drop, "nft delete table inet wall"):
        for other in others:
            until_told(fleet, f"FAILED node {deaf.name}: nothing comes from {other.name}", "UDP 4789")
        assert not any(line.startswith(f"FAILED node {others[0].name}") for line in found(fleet))
        assert "UDP 4789" in fleet.cli("explain", "shop_web")
    until_well(fleet)


def test_large_packets_that_are_lost_and_links_that_differ_are_told(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    time.sleep(HEARD_S)
    until_well(fleet)
    small, other, _ = fleet.hosts
    drop = (
        "nft 'add table inet wall; add chain inet wall in {type filter hook input priority 0;}; "
        "add rule inet wall in udp dport 4789 meta length > 1400 drop'"
    )
    with changed(small, drop, "nft delete table inet wall"):
        until_told(fleet, f"WARN node {small.name}: small packets come from {other.name}")
    until_well(fleet)
    link = small.run("sh", "-c", f"ip -o -4 addr show to {small.address} | cut -d' ' -f2").strip()
    with changed(small, f"ip link set {link} mtu 1400", f"ip link set {link} mtu 1500"):
        until_told(fleet, "WARN the links between the nodes differ", f"1400 on {small.name}", "1500 on")
        until_told(fleet, f"WARN node {small.name}: containers in shop_default send packets of 1450 bytes")
    until_well(fleet)


def test_a_name_servers_port_and_a_published_one_that_are_taken_are_told(fleet: Cluster) -> None:
    first, second, _ = fleet.hosts
    with holding(first, "udp", RESOLVER_PORT), holding(second, "tcp", PORT):
        fleet.deploy("shop", SHOP.replace("{mode: global}", f"{{placement: {{constraints: [{ON_FIRST}]}}}}"))
        until_told(fleet, f"FAILED node {first.name}: ", "the containers of shop_default", ":53")
        until_told(fleet, f"FAILED node {second.name}: published port", f":{PORT} is taken")
        explained = fleet.cli("explain", "shop_web")
        assert f"on node {second.name}: published port" in explained
        assert f"on node {first.name}: this node does not answer" in explained
    until_well(fleet)


def test_a_route_that_comes_later_and_overlaps_a_network_is_told(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    until_well(fleet)
    host = fleet.hosts[1]
    with fleet.client() as client:
        (subnet,) = [each.subnet for each in client.networks() if each.name == "shop_default"]
    route = subnet.rpartition("/")[0] + "/28"
    made = f"ip link add clash type bridge && ip link set clash up && ip route add {route} dev clash"
    with changed(host, made, "ip link del clash"):
        until_told(fleet, f"WARN node {host.name}: network shop_default", route)
    until_well(fleet)
