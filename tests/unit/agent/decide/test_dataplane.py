"""Who gets new connections on this node."""

from __future__ import annotations

import pytest
from msgspec import structs

from agent.decide.dataplane import Backend, Front, IngressPort, VirtualAddress, front_of
from bayplan.directory import Port, Standing
from bayplan.model.base import Protocol
from tests.unit.agent.decide.dataplane_world import HERE, entry, listing, published


def behind(given: Front) -> list[str]:
    (address,) = given.addresses
    return [each.address for each in address.backends]


def ingress(given: Front) -> IngressPort:
    (port,) = given.ports
    return port


def test_a_virtual_address_has_the_ready_instances_wherever_they_run() -> None:
    front = front_of(listing(entry(5), entry(6, node=2)), HERE)
    assert front.addresses == (
        VirtualAddress("bp-1", "10.64.15.1", (Backend("10.64.1.5"), Backend("10.64.2.6"))),
    )
    assert front.local == ("10.64.1.5",)


@pytest.mark.parametrize("standing", [Standing.DRAINING, Standing.UNHEALTHY, Standing.STARTING])
def test_who_is_not_ready_gets_nobody_new(standing: Standing) -> None:
    assert behind(front_of(listing(entry(5), entry(6, standing=standing)), HERE)) == ["10.64.1.5"]
    assert behind(front_of(listing(entry(6, standing=standing)), HERE)) == []


def test_suspect_instances_are_for_when_there_are_no_others() -> None:
    suspect = entry(6, node=2, standing=Standing.SUSPECT)
    assert behind(front_of(listing(entry(5), suspect), HERE)) == ["10.64.1.5"]
    assert behind(front_of(listing(suspect), HERE)) == ["10.64.2.6"]


def test_local_first_means_local_ones_only_as_long_as_there_are_any() -> None:
    near, far = entry(5), entry(6, node=2)
    assert behind(front_of(listing(near, far, local_first=True), HERE)) == ["10.64.1.5"]
    assert behind(front_of(listing(far, local_first=True), HERE)) == ["10.64.2.6"]


def test_networks_that_are_not_here_have_no_virtual_address() -> None:
    assert front_of(listing(entry(5), vips={"elsewhere": "10.70.0.1"}), HERE) == Front()


def test_a_published_port_goes_to_local_containers_and_to_other_nodes() -> None:
    front = front_of(listing(entry(5), entry(6, node=2), vip="", ports=(published(8000),)), HERE)
    assert ingress(front).backends == (Backend("10.64.1.5", 80), Backend("10.9.0.2", 30_006))
    assert ingress(front).inside == (Backend("10.9.0.1", 30_005), Backend("10.9.0.2", 30_006))
    assert ingress(front).relays == (Backend("10.9.0.2", 30_006),)


def test_only_remote_instances_need_no_other_way_for_containers() -> None:
    front = front_of(listing(entry(6, node=2), vip="", ports=(published(8000),)), HERE)
    assert ingress(front).inside == ()


def test_a_local_instance_is_reached_by_a_network_that_lets_outsiders_in() -> None:
    both = entry(5, networks={"inner": "10.65.0.5", "net": "10.64.1.5"})
    front = front_of(listing(both, vip="", ports=(published(8000),)), HERE)
    assert ingress(front).backends == (Backend("10.64.1.5", 80),)
    hidden = front_of(
        listing(entry(5, networks={"inner": "10.65.0.5"}), vip="", ports=(published(8000),)), HERE
    )
    assert ingress(hidden).backends == (Backend("10.9.0.1", 30_005),)
    assert ingress(hidden).relays == (), "the node's own port is no relay"


@pytest.mark.parametrize(
    ("host_ip", "protocol", "listeners", "is_of_rules"),
    [
        ("", Protocol.TCP, ("127.0.0.1", "::"), True),
        ("0.0.0.0", Protocol.TCP, ("127.0.0.1", "::"), True),
        ("", Protocol.UDP, (), True),
        ("127.0.0.1", Protocol.TCP, ("127.0.0.1",), False),
        ("127.0.0.1", Protocol.UDP, (), False),
        ("::1", Protocol.TCP, ("::1",), False),
        ("::", Protocol.TCP, ("::",), False),
        ("10.9.0.1", Protocol.TCP, (), True),
    ],
)
def test_where_a_port_answers_is_where_its_host_ip_says(
    host_ip: str, protocol: Protocol, listeners: tuple[str, ...], is_of_rules: bool
) -> None:
    given = published(8000, host_ip, protocol)
    port = ingress(front_of(listing(entry(5, protocol=protocol), vip="", ports=(given,)), HERE))
    assert (port.listeners, port.is_of_rules) == (listeners, is_of_rules)


@pytest.mark.parametrize("evil", ["1.2.3.4 }; flush ruleset", "fe80::1", "", "10.64.1.5/8"])
def test_what_is_no_address_never_becomes_part_of_a_rule(evil: str) -> None:
    assert behind(front_of(listing(entry(5), entry(6, networks={"net": evil})), HERE)) == ["10.64.1.5"]
    assert front_of(listing(entry(5), vip=evil), HERE).addresses == ()


def test_what_is_published_on_loopback_leaves_no_node() -> None:
    given = published(8000, "127.0.0.1")
    port = ingress(front_of(listing(entry(5), entry(6, node=2), vip="", ports=(given,)), HERE))
    assert port.backends == (Backend("10.64.1.5", 80),)
    lonely = ingress(front_of(listing(entry(6, node=2), vip="", ports=(given,)), HERE))
    assert (lonely.backends, lonely.listeners) == ((), ())
    bound = structs.replace(entry(6, node=2), ports=(Port(target=80, published=30_006, host_ip="127.0.0.1"),))
    assert ingress(front_of(listing(bound, vip="", ports=(published(8000),)), HERE)).backends == ()


def test_another_node_is_called_at_the_port_that_it_has_for_ipv4() -> None:
    both = Port(target=80, published=30_005, host_ip="::"), Port(target=80, published=30_006)
    far = structs.replace(entry(6, node=2), ports=both)
    front = front_of(listing(far, vip="", ports=(published(8000),)), HERE)
    assert ingress(front).backends == (Backend("10.9.0.2", 30_006),)
