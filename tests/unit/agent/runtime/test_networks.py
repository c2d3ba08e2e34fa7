"""Definitions of networks."""

from __future__ import annotations

from agent.runtime.networks import definition_digest, network_request
from bayplan.model import IpamPool, NetworkSpec


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
