"""What engines of which API version can do, and how a request is put to an older one. Pure.

An engine ignores fields that it does not know. So that nothing is dropped in silence each field that is
newer than the oldest engine we know (20.10, API 1.41) has a row here: it is refused, or what happens
instead is said. Versions: Docker's "Engine API version history".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from bayplan.model import ContainerSpec, NetworkSpec

Api = tuple[int, int]

#: Since then a create takes all endpoints, each with its own hardware address; before, one endpoint.
MANY_ENDPOINTS_API: Api = (1, 44)
_SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls"
_INTERFACE_OPTION = "com.docker.network.endpoint.ifname"


class EngineVersion(NamedTuple):
    """The newest API that an engine speaks, and its own version as people know it."""

    api: Api
    text: str


class Ability(NamedTuple):
    """A field, by its compose key, that engines know from a version on.

    `used` tells whether a spec asks for it. `instead` is what becomes of it on an older engine; where it
    is empty the container is refused.
    """

    field: str
    api: Api
    docker: str
    used: Callable[[ContainerSpec], bool]
    instead: str = ""


def _start_interval(spec: ContainerSpec) -> bool:
    return spec.health_check is not None and spec.health_check.start_interval_ms > 0


def _further_mac_address(spec: ContainerSpec) -> bool:
    first = min(spec.networks, key=lambda each: -each.priority, default=None)
    return any(each.mac_address for each in spec.networks if each is not first)


def _gateway_choice(spec: ContainerSpec) -> bool:
    return len(spec.networks) > 1 and any(each.gateway_priority for each in spec.networks)


def _endpoint_option(option: str) -> Callable[[ContainerSpec], bool]:
    return lambda spec: any(option in each.driver_options for each in spec.networks)


def _needs_ipv6_pool(spec: NetworkSpec) -> bool:
    return spec.ipv6 and not spec.external and not any(":" in pool.subnet for pool in spec.pools)


#: Every field that some engine from 20.10 on does not know.
ABILITIES = (
    Ability("annotations", (1, 43), "24.0", lambda spec: bool(spec.annotations), "they are left out"),
    Ability(
        "healthcheck.start_interval",
        (1, 44),
        "25.0",
        _start_interval,
        "the check runs every `interval` from the start",
    ),
    Ability("networks.mac_address of a second network", (1, 44), "25.0", _further_mac_address),
    Ability("volumes.subpath", (1, 45), "26.0", lambda spec: any(each.subpath for each in spec.mounts)),
    Ability(
        "networks.enable_ipv6 without an IPv6 subnet",
        (1, 46),
        "27.0",
        lambda spec: any(_needs_ipv6_pool(each.spec) for each in spec.networks),
    ),
    Ability(f"networks.driver_opts.{_SYSCTLS_OPTION}", (1, 46), "27.0", _endpoint_option(_SYSCTLS_OPTION)),
    Ability("networks.gw_priority", (1, 48), "28.0", _gateway_choice),
    Ability(
        f"networks.interface_name ({_INTERFACE_OPTION})",
        (1, 49),
        "28.1",
        _endpoint_option(_INTERFACE_OPTION),
    ),
)


def version_of(shown: Mapping[str, Any]) -> EngineVersion:
    """From `GET /version`. Raises ValueError."""
    major, minor = str(shown["ApiVersion"]).split(".")
    return EngineVersion((int(major), int(minor)), str(shown["Version"]).partition("+")[0])


def lacking(spec: ContainerSpec, api: Api) -> Iterator[Ability]:
    """What the spec asks for and an engine of this version does not know."""
    return (ability for ability in ABILITIES if api < ability.api and ability.used(spec))


def shortfall(ability: Ability, version: EngineVersion) -> str:
    """In words."""
    text = f"{ability.field} needs Docker {ability.docker}; this node has {version.text}"
    return f"{text}: {ability.instead}" if ability.instead else text


def request_for(api: Api, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The create request as this engine takes it, and the endpoints that have to be connected after it."""
    body = dict(config)
    endpoints = config.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    if api >= MANY_ENDPOINTS_API or not endpoints:
        return body, {}
    (network, first), *later = endpoints.items()
    if mac_address := first.get("MacAddress"):
        body["MacAddress"] = mac_address
    body["NetworkingConfig"] = {"EndpointsConfig": {network: first}}
    return body, dict(later)
