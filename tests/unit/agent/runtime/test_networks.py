"""Definitions of networks."""

from __future__ import annotations

from msgspec.structs import replace

from agent.runtime.networks import definition_digest, network_request, overlay_request
from bayplan.model import IpamPool, NetworkSpec, Overlay


def test_a_network_is_a_bridge_of_the_node_unless_a_driver_of_it_is_named() -> None:
    assert network_request("n", NetworkSpec(), {})["Driver"] == "bridge"
    assert network_request("n", NetworkSpec(driver="overlay"), {})["Driver"] == "bridge"
    assert network_request("n", NetworkSpec(driver="macvlan"), {})["Driver"] == "macvlan"
    assert "IPAM" not in network_request("n", NetworkSpec(), {})


def test_the_whole_definition_is_in_the_request() -> None:
    pool = IpamPool(subnet="10.9.0.0/24", gateway="10.9.0.1", aux_addresses={"h": "10.9.0.7"})
    spec = NetworkSpec(
        driver_options={"o": "1"},
        internal=True,
        attachable=True,
        ipv6=True,
        ipam_options={"p": "2"},
        pools=(pool,),
        labels={"mine": "yes", "bayplan.node": "forged"},
    )
    assert network_request("n", spec, {"bayplan.node": "n1"}) == {
        "Name": "n",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Options": {"o": "1"},
        "Internal": True,
        "Attachable": True,
        "EnableIPv6": True,
        "Labels": {"mine": "yes", "bayplan.node": "n1"},
        "IPAM": {
            "Driver": "default",
            "Options": {"p": "2"},
            "Config": [
                {"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1", "AuxiliaryAddresses": {"h": "10.9.0.7"}}
            ],
        },
    }


def test_a_digest_is_of_the_definition_not_of_its_order() -> None:
    one, two = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert definition_digest(NetworkSpec(labels=one)) == definition_digest(NetworkSpec(labels=two))
    assert definition_digest(NetworkSpec(internal=True)) != definition_digest(NetworkSpec())


NET = Overlay(
    network="shop_net",
    vni=0xBA0001,
    subnet="10.64.0.0/20",
    gateway="10.64.0.1",
    blocks=("10.64.0.0/28", "10.64.0.64/28"),
    peers=("10.0.0.2",),
)


def test_an_overlays_part_is_a_bridge_of_its_segment_with_room_for_what_vxlan_adds() -> None:
    assert overlay_request(NET, 1450) == {
        "Name": "shop_net",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Options": {
            "com.docker.network.bridge.name": "bp-ba0001",
            "com.docker.network.driver.mtu": "1450",
        },
        "Internal": False,
        "Attachable": False,
        "Labels": {},
        "IPAM": {
            "Driver": "default",
            "Config": [{"Subnet": "10.64.0.0/20", "Gateway": "10.64.0.1", "IPRange": "10.64.0.0/28"}],
        },
    }


def test_what_changes_while_an_overlay_lives_is_not_in_its_definition() -> None:
    changed = replace(NET, peers=("10.0.0.3",), blocks=NET.blocks[:1], reserved=("10.64.0.9",))
    assert overlay_request(changed, 1450) == overlay_request(NET, 1450)


def test_users_may_make_an_overlays_packets_smaller_and_set_what_is_the_bridges() -> None:
    def options(**given: str) -> dict[str, str]:
        named = {f"com.docker.network.{key.replace('__', '.')}": value for key, value in given.items()}
        made: dict[str, str] = overlay_request(replace(NET, driver_options=named), 1450)["Options"]
        return made

    assert options(driver__mtu="1300")["com.docker.network.driver.mtu"] == "1300"
    assert options(driver__mtu="9000")["com.docker.network.driver.mtu"] == "1450"
    assert options(driver__mtu="big")["com.docker.network.driver.mtu"] == "1450"
    assert options(bridge__name="mine")["com.docker.network.bridge.name"] == "bp-ba0001"
    assert options(bridge__enable_icc="false")["com.docker.network.bridge.enable_icc"] == "false"
    assert "com.docker.network.driver.overlay.vxlanid_list" not in options(driver__overlay__vxlanid_list="7")
