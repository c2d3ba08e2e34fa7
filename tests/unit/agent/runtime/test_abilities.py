"""What engines of an age can do."""

from __future__ import annotations

from typing import Any

import pytest

from agent.runtime.abilities import (
    ABILITIES,
    EngineVersion,
    lacking,
    request_for,
    shortfall,
    version_of,
)
from bayplan.model import (
    ContainerSpec,
    HealthCheck,
    IpamPool,
    Mount,
    MountKind,
    NetworkAttachment,
    NetworkSpec,
)

OLD = version_of({"ApiVersion": "1.41", "Version": "20.10.24+dfsg1"})


def attached(**fields: Any) -> NetworkAttachment:
    return NetworkAttachment(**({"network": "a"} | fields))


WISHES = (
    {"annotations": {"k": "v"}},
    {"health_check": HealthCheck(test=("CMD", "true"), start_interval_ms=1)},
    {"networks": (attached(), attached(network="b", mac_address="02:42::1"))},
    {"mounts": (Mount(kind=MountKind.VOLUME, target="/d", source="v", subpath="a"),)},
    {"networks": (attached(spec=NetworkSpec(ipv6=True)),)},
    {"networks": (attached(driver_options={"com.docker.network.endpoint.sysctls": "x"}),)},
    {"networks": (attached(), attached(network="b", gateway_priority=1))},
    {"networks": (attached(driver_options={"com.docker.network.endpoint.ifname": "x"}),)},
)


@pytest.mark.parametrize(("wish", "ability"), [*zip(WISHES, ABILITIES, strict=True)])
def test_each_field_is_missed_by_engines_before_its_version_and_by_no_other(wish: Any, ability: Any) -> None:
    spec = ContainerSpec(image="web:1", **wish)
    major, minor = ability.api
    assert list(lacking(spec, (major, minor - 1))) == [ability]
    assert list(lacking(spec, ability.api)) == []
    assert list(lacking(ContainerSpec(image="web:1"), (1, 41))) == []


def test_what_needs_no_newer_engine_is_not_missed() -> None:
    pool = IpamPool(subnet="fd00::/64")
    networks = (
        attached(mac_address="02:42::1", gateway_priority=1, spec=NetworkSpec(ipv6=True, pools=(pool,))),
    )
    assert list(lacking(ContainerSpec(image="web:1", networks=networks), OLD.api)) == []


def test_a_shortfall_names_both_versions() -> None:
    assert EngineVersion((1, 41), "20.10.24") == OLD
    said = {shortfall(ability, OLD) for ability in ABILITIES}
    assert "volumes.subpath needs Docker 26.0; this node has 20.10.24" in said
    assert (
        "healthcheck.start_interval needs Docker 25.0; this node has 20.10.24: "
        "the check runs every `interval` from the start"
    ) in said


def test_an_old_engine_gets_one_endpoint_and_the_address_where_it_looks_for_it() -> None:
    endpoints = {"a": {"MacAddress": "02:42::1"}, "b": {"Aliases": ["web"]}}
    config = {"Image": "web:1", "NetworkingConfig": {"EndpointsConfig": endpoints}}
    body, later = request_for((1, 43), config)
    assert body["MacAddress"] == "02:42::1"
    assert list(body["NetworkingConfig"]["EndpointsConfig"]) == ["a"]
    assert later == {"b": {"Aliases": ["web"]}}
    assert request_for((1, 44), config) == (config, {})
