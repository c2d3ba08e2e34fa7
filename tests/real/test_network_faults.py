"""What networks keep while services change, hosts and daemons die, and strangers send packets."""

from __future__ import annotations

import json
import signal
import sys
import time

import pytest

from bayplan.model import Availability
from tests.real.asker import Asker
from tests.real.boxes import WEB, Box, boxes, failures, visits
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import Process, wait_until

#: A removed task's address is named nowhere after this; a killed container's, too.
GONE_S_MAX = 2.0
#: Waits end with this in any case, on a machine that does much else.
KNOWN_TIMEOUT_S = 10.0
#: A dead host's node is down within 7 s (docs/promises.md); then nobody is sent there any more.
ELSEWHERE_S_MAX = 12.0
DRAINED_TIMEOUT_S = 60.0
STREAM_PORT = 7000
#: A connection that lives may be as silent as that, while processes start on two shared cores.
SILENCE_S_MAX = 3.0
AWAY_S = 5.0


def shop(replicas: int = 3, version: str = "1") -> str:
    """Web servers, and a client on each host."""
    return f"""\
services:
  web:
    {WEB}
    environment: {{VERSION: "{version}"}}
    deploy:
      replicas: {replicas}
      update_config: {{order: start-first, parallelism: 1, monitor: 1s}}
  client:
    image: bayplan/demo:1
    command: [sleep, infinity]
    init: true
    deploy: {{mode: global}}
"""


def virtual(client: Box) -> str:
    (found,) = client.addresses("web")
    return found


def naming(clients: list[Box]) -> list[Asker]:
    """Who asks for the instances' addresses all the time, on each node."""
    return [Asker(client, "tasks.web", client.resolver) for client in clients]


def test_no_request_to_a_virtual_address_fails_while_the_service_is_updated(fleet: Cluster) -> None:
    fleet.deploy("shop", shop())
    client = boxes(fleet, "shop", "client")[0]
    before = {box.container for box in boxes(fleet, "shop", "web")}
    with client.calling(f"{virtual(client)}:80") as calls:
        fleet.deploy("shop", shop(version="2"))
    assert not before & {box.container for box in boxes(fleet, "shop", "web")}
    assert calls.sent > 0
    assert not calls.failed, calls.reasons


def test_no_request_to_a_virtual_address_fails_while_the_only_instances_node_is_drained(
    fleet: Cluster,
) -> None:
    fleet.deploy("shop", shop(replicas=1))
    (web,) = boxes(fleet, "shop", "web")
    client = next(box for box in boxes(fleet, "shop", "client") if box.host is not web.host)
    with client.calling(f"{virtual(client)}:80") as calls, fleet.client() as operator:
        operator.update_node(web.host.name, Availability.DRAIN)
        wait_until("it is empty", lambda: not web.host.containers(running=True), DRAINED_TIMEOUT_S, 0.1)
    assert calls.sent > 0
    assert not calls.failed, calls.reasons


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "removed"])
def test_an_address_that_is_no_more_is_soon_named_on_no_node(fleet: Cluster, killed: bool) -> None:
    fleet.deploy("shop", shop())
    web, clients = boxes(fleet, "shop", "web"), boxes(fleet, "shop", "client")
    address = {box.container: next(iter(box.own_addresses().values())) for box in web}
    askers = naming(clients)
    for asker in askers:
        wait_until("all are named", lambda asker=asker: len(asker.found()) == 3, KNOWN_TIMEOUT_S)
    if killed:
        gone, at = web[0].container, time.monotonic()
        web[0].host.kill_container(gone)
    else:
        fleet.cli("service", "scale", "--detach", "shop_web=2")
        wait_until("one is gone", lambda: len(boxes(fleet, "shop", "web")) == 2, KNOWN_TIMEOUT_S)
        at = time.monotonic()
        (gone,) = set(address) - {box.container for box in boxes(fleet, "shop", "web")}
    for asker in askers:
        wait_until(
            "it is named no more", lambda asker=asker: address[gone] not in asker.found(), KNOWN_TIMEOUT_S
        )
        assert asker.gone_at(address[gone], 0) - at < GONE_S_MAX
        assert asker.tally()[1] == 0, "all questions were answered"


def test_requests_succeed_again_soon_after_a_host_lost_its_power(fleet: Cluster) -> None:
    fleet.deploy("shop", shop())
    lost, seat = fleet.hosts[2], fleet.hosts[0]
    client = next(box for box in boxes(fleet, "shop", "client") if box.host is seat)
    address = virtual(client)
    lost.power_off()
    took = wait_until(
        "twenty in a row succeed", lambda: not failures(visits(client, address, 80, 20)), ELSEWHERE_S_MAX * 2
    )
    assert took < ELSEWHERE_S_MAX


class Reading:
    """A long connection from a box to an address; `end` tells how it went."""

    def __init__(self, box: Box, address: str) -> None:
        self._process: Process = box.spawn(
            sys.executable, "-m", "tests.real.stream", "read", address, str(STREAM_PORT)
        )
        self._began = self._process.log.stat().st_size

    def end(self) -> dict[str, object]:
        self._process.signal(signal.SIGTERM)
        self._process.wait()
        lines = self._process.log.read_bytes()[self._began :].decode().splitlines()
        told: dict[str, object] = json.loads(next(line for line in lines if line.startswith('{"bytes')))
        return told


def test_no_connection_breaks_when_agents_are_killed_and_the_controller_is_away(fleet: Cluster) -> None:
    fleet.deploy("shop", shop(replicas=1))
    (web,) = boxes(fleet, "shop", "web")
    client = next(box for box in boxes(fleet, "shop", "client") if box.host is not web.host)
    address = virtual(client)
    web.spawn(sys.executable, "-m", "tests.real.stream", "serve", str(STREAM_PORT))
    time.sleep(1)
    reading = Reading(client, address)
    time.sleep(1)

    fleet.controller.kill()
    for host in (client.host, web.host):
        fleet.agents[host.name].kill()
    time.sleep(AWAY_S / 2)
    with client.calling(f"{address}:80") as calls:
        for host in (client.host, web.host):
            fleet.start_agent(host)
        wait_until("names are there again", lambda: client.addresses("web") == {address}, KNOWN_TIMEOUT_S)
        time.sleep(AWAY_S / 2)
        fleet.start_controller()
        fleet.wait_nodes(3)
        time.sleep(AWAY_S / 2)

    told = reading.end()
    assert not told["broke"], told
    assert float(str(told["silence_s"])) < SILENCE_S_MAX, told
    assert not calls.failed, calls.reasons


def test_packets_of_a_stranger_on_the_wire_reach_nobody(fleet: Cluster) -> None:
    """A fourth machine speaks VXLAN with the right identifier; it is heard only where the rule is away."""
    fleet.deploy("shop", shop())
    web = boxes(fleet, "shop", "web")[0]
    stranger = Host(fleet.bed.root, fleet.bed.switch, 89)
    stranger.power_on()
    try:
        forge(stranger, web)
        assert not heard(stranger, web)
        table = peers_table(web.host)
        web.host.run("nft", "delete", "table", *table)
        assert heard(stranger, web), "without the rule it must reach it, else this test shows nothing"
    finally:
        stranger.power_off()


def peers_table(host: Host) -> tuple[str, str]:
    """The one that says whose VXLAN packets are taken."""
    found = json.loads(host.run("nft", "-j", "list", "tables"))["nftables"]
    tables = [(each["table"]["family"], each["table"]["name"]) for each in found if "table" in each]
    return next(table for table in tables if "4789" in host.run("nft", "list", "table", *table))


def forge(stranger: Host, box: Box) -> None:
    """A segment like the box's own, with the box's host as its only peer."""
    (device,) = (name for name in listing(box.host)["links"] if name.startswith("bx-"))
    vni = int(device.removeprefix("bx-"), 16)
    ((own, address),) = box.own_addresses().items()
    card = json.loads(box.run("ip", "-json", "link", "show", own))[0]["address"]
    stranger.run(
        "sh", "-ec",
        f"ip link add vx type vxlan id {vni} local {stranger.address} dstport 4789; ip link set vx up;"
        f"bridge fdb append 00:00:00:00:00:00 dev vx dst {box.host.address};"
        f"ip route add {address} dev vx; ip neigh add {address} dev vx lladdr {card}",
    )  # fmt: skip


def heard(stranger: Host, box: Box) -> bool:
    """Whether datagrams come to it."""
    (address,) = box.own_addresses().values()
    before = datagrams(box)
    stranger.run("bash", "-c", f"for n in 1 2 3; do echo $n >/dev/udp/{address}/4999; done", check=False)
    time.sleep(0.2)
    return datagrams(box) > before


def datagrams(box: Box) -> int:
    """How many have come for which no program listens."""
    names, values = [line.split() for line in box.run("grep", "^Udp:", "/proc/net/snmp").splitlines()]
    return int(values[names.index("NoPorts")])


def listing(host: Host) -> dict[str, set[str]]:
    """What a host has of the kinds that networks are made of."""
    links = json.loads(host.run("ip", "-json", "link"))
    return {
        "links": {each["ifname"] for each in links},
        "tables": set(host.run("nft", "list", "tables").splitlines()),
        "networks": set(host.networks()),
    }


def test_what_a_stack_made_on_its_hosts_goes_with_it_and_nothing_else_does(fleet: Cluster) -> None:
    for host in fleet.hosts:
        host.run("sh", "-ec", "ip link add bx-foreign type bridge; nft add table inet bayplan-not")
        host.docker("network", "create", "foreign")
    before = {host.name: listing(host) for host in fleet.hosts}
    fleet.deploy("shop", shop())
    assert any(listing(host)["links"] - before[host.name]["links"] for host in fleet.hosts)
    fleet.remove("shop")
    for host in fleet.hosts:
        wait_until(
            f"{host.name} is as before",
            lambda host=host: listing(host) == before[host.name],
            KNOWN_TIMEOUT_S,
        )
        host.run("sh", "-ec", "ip link del bx-foreign; nft delete table inet bayplan-not")
        host.docker("network", "rm", "foreign")
