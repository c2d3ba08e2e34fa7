"""Networks that cannot be made as they are defined are refused with the way out."""

import pytest

from bayplan.errors import ProblemError
from bayplan.model import IpamPool, NetworkSpec
from controller.decide.network_check import check

SUBNET = "10.20.0.0/20"


def test_a_sound_network_is_taken() -> None:
    pool = IpamPool(
        subnet=SUBNET, gateway="10.20.0.1", ip_range="10.20.1.0/24", aux_addresses={"nas": "10.20.0.9"}
    )
    check("back-bone.1", NetworkSpec(pools=(pool,), internal=True))
    check("plain", NetworkSpec())


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("", NetworkSpec(), "has no good name"),
        ("-a", NetworkSpec(), "has no good name"),
        ("a" * 129, NetworkSpec(), "has no good name"),
        ("bridge", NetworkSpec(), "name of the engine's own"),
        ("n", NetworkSpec(ipv6=True), "IPv4 addresses only"),
        ("n", NetworkSpec(ipam_driver="d"), "has an address driver"),
        ("n", NetworkSpec(driver="macvlan"), "spans no nodes"),
        ("n", NetworkSpec(external=True), "spans no nodes"),
        ("n", NetworkSpec(pools=(IpamPool(subnet=SUBNET),) * 2), "several subnets"),
        ("n", NetworkSpec(pools=(IpamPool(subnet="fd00::/64"),)), "has the subnet 'fd00::/64'"),
        ("n", NetworkSpec(pools=(IpamPool(gateway="10.20.0.1"),)), "has addresses without a subnet"),
        ("n", NetworkSpec(pools=(IpamPool(subnet=SUBNET, gateway="10.9.0.1"),)), "has gateway '10.9.0.1'"),
        ("n", NetworkSpec(pools=(IpamPool(subnet=SUBNET, ip_range="10.0.0.0/8"),)), "has the range"),
        ("n", NetworkSpec(pools=(IpamPool(subnet=SUBNET, aux_addresses={"a": "x"}),)), "has a 'x'"),
        ("n", NetworkSpec(labels={str(each): "" for each in range(257)}), "more than 256 labels"),
    ],
)
def test_what_cannot_be_is_named(name: str, spec: NetworkSpec, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        check(name, spec)
    assert said in caught.value.problems[0].summary and caught.value.problems[0].hint
