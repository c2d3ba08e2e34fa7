"""A container's place in networks."""

from __future__ import annotations

from typing import Any

from bayplan.model import NetworkAttachment
from tests.unit.agent.decide.world import config


def joined(*networks: NetworkAttachment, **fields: Any) -> tuple[str, dict[str, Any]]:
    """The mode, and the endpoints in their order."""
    made = config(networks=networks, **fields)
    mode = made["HostConfig"].get("NetworkMode", "")
    return mode, made.get("NetworkingConfig", {}).get("EndpointsConfig", {})


def test_the_highest_priority_is_joined_first_and_equals_stay_in_order() -> None:
    mode, endpoints = joined(
        NetworkAttachment(network="a", aliases=("web",)),
        NetworkAttachment(network="b", priority=5),
        NetworkAttachment(network="c"),
    )
    assert mode == "b"
    assert list(endpoints.items()) == [("b", {}), ("a", {"Aliases": ["web"]}), ("c", {})]


def test_an_endpoint_has_all_that_was_asked_of_it() -> None:
    _, endpoints = joined(
        NetworkAttachment(
            network="a",
            ipv4_address="10.1.0.5",
            ipv6_address="fd00::5",
            link_local_addresses=("169.254.1.1",),
            mac_address="02:42:00:00:00:05",
            gateway_priority=3,
            driver_options={"k": "v"},
        )
    )
    assert endpoints["a"] == {
        "IPAMConfig": {
            "IPv4Address": "10.1.0.5",
            "IPv6Address": "fd00::5",
            "LinkLocalIPs": ["169.254.1.1"],
        },
        "MacAddress": "02:42:00:00:00:05",
        "GwPriority": 3,
        "DriverOpts": {"k": "v"},
    }


def test_the_containers_hardware_address_is_that_of_its_first_endpoint() -> None:
    networks = (NetworkAttachment(network="a"), NetworkAttachment(network="b", priority=1))
    assert joined(*networks, mac_address="02:42::1")[1] == {"b": {"MacAddress": "02:42::1"}, "a": {}}
    assert joined(mac_address="02:42::1") == ("bridge", {"bridge": {"MacAddress": "02:42::1"}})


def test_a_network_mode_leaves_no_endpoints() -> None:
    assert joined(NetworkAttachment(network="a"), network_mode="host") == ("host", {})


def test_predefined_networks_take_no_aliases() -> None:
    assert joined(NetworkAttachment(network="bridge", aliases=("web",))) == ("bridge", {})
    _, endpoints = joined(
        NetworkAttachment(network="a"), NetworkAttachment(network="bridge", aliases=("web",))
    )
    assert endpoints == {"a": {}, "bridge": {}}
