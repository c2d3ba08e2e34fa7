"""Networks over three hosts: names, virtual addresses, isolation, and what a compose file may ask of them."""

from __future__ import annotations

import pytest
from scipy.stats import chi2

from tests.real.boxes import WEB, WHO_PATH, Box, boxes, chi_square, failures, reachable, reached, visits
from tests.real.cluster import Cluster

#: Nothing here is about liveness: a busy machine shall not look like a lost one.
HEARTBEAT = "5s"
CONNECTIONS = 600
#: An even draw is farther off than allowed once in so many runs.
FLAKE_ONCE_IN = 1e9

#: A client on each host, three web servers.
SHOP = f"""\
services:
  web:
    {WEB}
    deploy: {{replicas: 3}}
  client:
    image: bayplan/demo:1
    command: [sleep, infinity]
    init: true
    deploy: {{mode: global}}
"""


def addresses_of(found: list[Box]) -> set[str]:
    """Of boxes that are in one network each."""
    return {address for box in found for address in box.own_addresses().values()}


def one_address(box: Box, name: str) -> str:
    (found,) = box.addresses(name)
    return found


def test_containers_on_three_hosts_call_each_other_by_name_and_by_virtual_address(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    web, clients = boxes(fleet, "shop", "web"), boxes(fleet, "shop", "client")
    assert {box.host.name for box in web} == {box.host.name for box in clients} == {"h1", "h2", "h3"}
    own = {box.hostname: next(iter(box.own_addresses().values())) for box in web}
    (virtual,) = {one_address(client, "web") for client in clients}
    assert virtual not in own.values()
    for client in clients:
        names = ("tasks.web", "web.shop", "nobody", "1.web", "client")
        found = client.resolve(*names)
        assert found["tasks.web"] == set(own.values())
        assert found["web.shop"] == {virtual}
        assert found["nobody"] == "NXDOMAIN"
        assert found["1.web"] < set(own.values())
        assert client.exec("call", "web", "80", check=False) is not None
        for hostname, address in own.items():
            (who,) = visits(client, address, 80, 1)
            assert who == f"{hostname} {next(iter(client.own_addresses().values()))}", (
                "its own address is seen"
            )
        assert not failures(visits(client, virtual, 80, 20))


def test_a_name_works_in_the_container_itself_as_its_programs_ask(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    client = boxes(fleet, "shop", "client")[0]
    said = client.exec("sh", "-c", f"printf 'GET {WHO_PATH} HTTP/1.0\\r\\n\\r\\n' | timeout 5 nc web 80")
    assert "200 OK" in said
    assert said.split()[-2] in {box.hostname for box in boxes(fleet, "shop", "web")}


def test_connections_to_a_virtual_address_spread_evenly_over_the_instances(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    client = boxes(fleet, "shop", "client")[0]

    heard = visits(client, one_address(client, "web"), 80, CONNECTIONS)

    assert not failures(heard)
    assert {who.split()[0] for who in heard} == {box.hostname for box in boxes(fleet, "shop", "web")}
    assert chi_square(heard.values()) < chi2.isf(1 / FLAKE_ONCE_IN, len(heard) - 1), heard


def test_another_stacks_names_and_addresses_are_out_of_reach(fleet: Cluster) -> None:
    fleet.deploy("shop", SHOP)
    fleet.deploy("other", SHOP.replace("web:", "api:"))
    stranger, friend = boxes(fleet, "other", "client")[0], boxes(fleet, "shop", "client")[0]
    virtual = one_address(friend, "web")
    targets = {virtual, *addresses_of(boxes(fleet, "shop", "web"))}

    found = stranger.resolve("web", "web.shop", "1.web.shop", "api")
    assert found == {"web": "NXDOMAIN", "web.shop": "NXDOMAIN", "1.web.shop": "NXDOMAIN", "api": found["api"]}
    assert len(found["api"]) == 1
    assert reached(friend, targets) == targets
    assert not reached(stranger, targets)


def test_a_virtual_address_shows_nothing_else_of_the_host(fleet: Cluster) -> None:
    """The host has the address on its bridge: its own ports are not to be had by it."""
    fleet.deploy("shop", SHOP)
    client = boxes(fleet, "shop", "client")[0]
    virtual = one_address(client, "web")
    client.host.spawn("busybox", "httpd", "-f", "-p", "9999", "-h", "/")
    assert client.resolve("web") and not reachable(client, virtual, 9999)
    fleet.cli("service", "scale", "shop_web=0")
    assert not reachable(client, virtual, 9999)
    assert not reachable(client, virtual, 80)


RICH = f"""\
services:
  front:
    {WEB}
    networks: {{public: {{aliases: [www]}}, private: {{ipv4_address: 172.30.4.200}}}}
  back:
    {WEB}
    networks: {{private: {{aliases: [database]}}}}
    container_name: back-one
  many:
    {WEB}
    networks: [private]
    deploy: {{replicas: 2, endpoint_mode: dnsrr}}
  outside:
    image: bayplan/demo:1
    command: [sleep, infinity]
    init: true
    networks: [public]
networks:
  public:
  private:
    internal: true
    ipam: {{config: [{{subnet: 172.30.4.0/24}}]}}
"""


def test_what_a_compose_file_asks_of_its_networks_is_so(fleet: Cluster) -> None:
    """Several networks, a subnet, a static address, aliases, dnsrr, an internal network."""
    fleet.deploy("rich", RICH)
    (front,), (back,) = boxes(fleet, "rich", "front"), boxes(fleet, "rich", "back")
    (outside,) = boxes(fleet, "rich", "outside")
    many = boxes(fleet, "rich", "many")

    assert "172.30.4.200" in front.own_addresses().values()
    assert len(front.own_addresses()) == 2
    seen = back.resolve("front", "tasks.front", "www", "many", "back-one", "database")
    assert seen["tasks.front"] == {"172.30.4.200"}
    assert seen["www"] == "NXDOMAIN", "an alias in a network that it is not in"
    assert seen["many"] == addresses_of(many), "dnsrr names the instances"
    assert len(seen["database"]) == len(seen["back-one"]) == 1
    assert outside.resolve("www", "front", "back") == outside.resolve("front", "front", "back") | {
        "www": outside.resolve("front")["front"]
    }
    assert outside.resolve("back")["back"] == "NXDOMAIN"
    for name in ("many", "front", "database"):
        found = back.addresses(name)
        assert reached(back, found) == found != set(), name
    assert reachable(outside, one_address(outside, "front"))
    assert not reachable(outside, "172.30.4.200")


@pytest.mark.parametrize(("service", "gets_out"), [("back", False), ("outside", True)])
def test_an_internal_network_has_no_way_out(fleet: Cluster, service: str, gets_out: bool) -> None:
    fleet.deploy("rich", RICH)
    (box,) = boxes(fleet, "rich", service)
    fleet.bed.switch.spawn("busybox", "httpd", "-f", "-p", "9998", "-h", "/")
    assert reachable(box, "10.204.0.1", 9998) is gets_out
