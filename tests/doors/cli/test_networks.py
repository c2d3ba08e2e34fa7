"""`network`: Docker's flags, columns and keys; what cannot be is refused before anybody is asked."""

from __future__ import annotations

import json

import pytest

from bayplan.model import ContainerSpec, NetworkAttachment, NetworkSpec, ServiceSpec
from bayplan.views import NetworkNode, NetworkUser, NetworkView
from bayplan.wire import from_pb
from tests.doors.cli.canned_controller import World
from tests.doors.cli.cli_world import Cli

USED = NetworkView(
    id="0123456789abcdef",
    name="shop_default",
    stack="shop",
    vni=0xBA0001,
    subnet="10.64.0.0/20",
    nodes=(NetworkNode(node="n1", address="10.0.0.1", gateway="10.64.0.17", blocks=("10.64.0.16/28",)),),
    services=(NetworkUser(service="shop_web", vip="10.64.0.1", tasks=2),),
)


@pytest.fixture
def made(world: World) -> World:
    """A stack's network, and one of nobody."""
    world.shop()
    world.networks = [USED, NetworkView(id="fedcba9876543210", name="spare", subnet="10.64.16.0/20")]
    return world


def test_create_takes_dockers_flags(world: World, cli: Cli) -> None:
    flags = ("--subnet", "10.20.0.0/20", "--gateway", "10.20.0.1", "--ip-range", "10.20.1.0/24")
    more = ("--aux-address", "nas=10.20.0.9", "--internal", "--attachable", "--label", "team=shop")
    answer = cli("network", "create", "-d", "bridge", *flags, *more, "-o", "encrypted", "backbone")
    assert (answer.code, answer.out.strip()) == (0, "network-1"), answer.err
    spec = from_pb(world.asked[0].spec)
    assert isinstance(spec, NetworkSpec) and spec.spans_nodes
    assert (spec.internal, spec.attachable, spec.encrypted, spec.labels) == (
        True,
        True,
        True,
        {"team": "shop"},
    )
    (pool,) = spec.pools
    assert (pool.subnet, pool.gateway, pool.ip_range) == ("10.20.0.0/20", "10.20.0.1", "10.20.1.0/24")
    assert pool.aux_addresses == {"nas": "10.20.0.9"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--ipv6",), "IPv4 addresses"),
        (("--ingress",), "published ports answer on every node"),
        (("--driver", "macvlan"), "compose file"),
        (("--subnet", "10.0.0.1/8"), "has host bits set"),
        (("--subnet", "10.1.0.0/20", "--subnet", "10.2.0.0/20"), "has one subnet"),
        (("--gateway", "10.1.0.1"), "need --subnet"),
        (("--aux-address", "nas", "--subnet", "10.1.0.0/20"), "KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_a_usage_error(world: World, cli: Cli, flags: tuple[str, ...], said: str) -> None:
    answer = cli("network", "create", *flags, "n")
    assert answer.code == 125 and said in answer.err
    assert not world.asked


def test_ls_has_dockers_columns_first(made: World, cli: Cli) -> None:
    heading, first, _ = cli("network", "ls").out.splitlines()
    assert heading.split() == [
        "NETWORK",
        "ID",
        "NAME",
        "DRIVER",
        "SCOPE",
        "SUBNET",
        "NODES",
        "SERVICES",
        "STACK",
    ]
    assert first.split() == [
        "0123456789ab", "shop_default", "overlay", "swarm", "10.64.0.0/20", "1", "1", "shop"
    ]  # fmt: skip
    assert cli("network", "ls", "-q", "-f", "name=spare").out.split() == ["fedcba987654"]


def test_inspect_shows_nodes_services_and_addresses(made: World, cli: Cli) -> None:
    (found,) = json.loads(cli("network", "inspect", "shop_default").out)
    assert found["IPAM"]["Config"] == [{"Subnet": "10.64.0.0/20"}]
    assert found["Peers"][0] == {
        "Name": "n1", "IP": "10.0.0.1", "Gateway": "10.64.0.17", "Blocks": ["10.64.0.16/28"]
    }  # fmt: skip
    assert found["Services"] == {"shop_web": {"VIP": "10.64.0.1", "Tasks": 2}}
    pretty = cli("network", "inspect", "--pretty", "shop_default").out
    assert "shop_web at 10.64.0.1, 2 tasks" in pretty and "n1 at 10.0.0.1" in pretty


def test_rm_removes_what_is_unused_and_tells_who_uses_the_other(made: World, cli: Cli) -> None:
    answer = cli("network", "rm", "shop_default", "spare")
    assert answer.code == 1 and answer.out.split() == ["spare"]
    assert "shop_web" in answer.err
    assert [each.name for each in made.networks] == ["shop_default"]
    assert cli("network", "rm", "-f", "gone").code == 0
    assert cli("network", "rm", "gone").code == 1


def test_a_service_shows_its_virtual_addresses(made: World, cli: Cli) -> None:
    joined = (NetworkAttachment(network="shop_default"),)
    made.specs["shop_web"] = ServiceSpec(name="web", container=ContainerSpec(image="a", networks=joined))
    (found,) = json.loads(cli("service", "inspect", "shop_web").out)
    assert found["Endpoint"]["VirtualIPs"] == [
        {"NetworkID": USED.id, "NetworkName": "shop_default", "Addr": "10.64.0.1/20"}
    ]
    assert "10.64.0.1 in shop_default" in cli("service", "inspect", "--pretty", "shop_web").out
