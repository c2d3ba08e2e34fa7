"""A container's place in networks: its mode, and its endpoint on each of them.

All endpoints are in the request, in the order in which they are to be joined; the runtime splits them
where the engine takes one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from agent.labels import PREDEFINED_NETWORKS
from bayplan.model import ContainerSpec, NetworkAttachment


def network_mode(spec: ContainerSpec) -> str:
    """Empty is the engine's default network."""
    joined = in_order(spec.networks)
    default = "bridge" if spec.mac_address else ""
    return spec.network_mode or (joined[0].network if joined else default)


def endpoints(spec: ContainerSpec) -> dict[str, dict[str, Any]]:
    """The endpoint of each network, the first to be joined first.

    A hardware address of the container is that of its first endpoint, as in Docker Compose.
    """
    if spec.network_mode:
        return {}
    joined = in_order(spec.networks)
    made = {attachment.network: _endpoint(attachment) for attachment in joined}
    if spec.mac_address:
        made.setdefault(network_mode(spec), {}).setdefault("MacAddress", spec.mac_address)
    if len(made) == 1:  # nothing to say about a predefined network: the mode is enough
        made = {name: each for name, each in made.items() if each or name not in PREDEFINED_NETWORKS}
    return made


def placed(spec: ContainerSpec, addresses: Mapping[str, str]) -> ContainerSpec:
    """The spec with these addresses, by network, for its attachments."""
    if not addresses:
        return spec
    networks = [
        replace(each, ipv4_address=addresses.get(each.network, each.ipv4_address)) for each in spec.networks
    ]
    return replace(spec, networks=tuple(networks))


def in_order(networks: tuple[NetworkAttachment, ...]) -> list[NetworkAttachment]:
    """By priority, the highest first; equals as they were written."""
    return sorted(networks, key=lambda each: -each.priority)


def _endpoint(attachment: NetworkAttachment) -> dict[str, Any]:
    predefined = attachment.network in PREDEFINED_NETWORKS  # the engine refuses aliases on them
    made: dict[str, Any] = {
        "Aliases": [] if predefined else list(attachment.aliases),
        "IPAMConfig": _addresses(attachment),
        "MacAddress": attachment.mac_address,
        "GwPriority": attachment.gateway_priority,
        "DriverOpts": attachment.driver_options,
    }
    return {key: value for key, value in made.items() if value}


def _addresses(attachment: NetworkAttachment) -> dict[str, Any]:
    made = {
        "IPv4Address": attachment.ipv4_address,
        "IPv6Address": attachment.ipv6_address,
        "LinkLocalIPs": list(attachment.link_local_addresses),
    }
    return {key: value for key, value in made.items() if value}
