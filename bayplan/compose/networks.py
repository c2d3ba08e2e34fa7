"""The networks of a service: how each is made, and the names that others find the service by.

Links are aliases of the other service, in the networks that both are in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import Report, invalid, shown
from bayplan.compose.scope import Project
from bayplan.model import NetworkAttachment, NetworkSpec, ServiceSpec
from bayplan.nearest import did_you_mean

_DEFAULT_NETWORK = "default"
# Networks that an engine has by itself: who is in one of them is in no other.
_MODES = ("host", "none")


class Joined(NamedTuple):
    """A service's networks, or the mode (`host`, `none`) of one that is in none."""

    attachments: tuple[NetworkAttachment, ...]
    mode: str


def networks(project: Project, name: str, service: typed.Service) -> Joined:
    """The memberships in the order of the file; the default network where there are none.

    Errors go to the report.
    """
    if service.network_mode:
        return Joined((), service.network_mode)
    attachments: list[NetworkAttachment] = []
    names = (name, service.container_name) if service.container_name else (name,)
    for key, placed in _wanted(service).items():
        with project.report.collect():
            network = _network(project, key, placed.place)
            full_name = _full_name(project, key, network)
            mode = full_name if network.external is not None else network.driver
            if mode in _MODES:
                return Joined((), _alone(name, service, placed.place, mode))
            attachments.append(_attachment(full_name, names, network, placed))
    return Joined(tuple(attachments), "")


def _wanted(service: typed.Service) -> Mapping[str, Placed[typed.Attachment]]:
    return service.networks or {_DEFAULT_NETWORK: Placed("", typed.Attachment())}


def _network(project: Project, key: str, place: str) -> typed.Network:
    found = project.networks.get(key)
    if found is not None:
        return found.value
    if key != _DEFAULT_NETWORK:
        hint = did_you_mean(key, project.networks, "add it to the top-level `networks:`")
        raise invalid(place, f"the network {shown(key)} is not in the file's networks", hint=hint)
    return typed.Network()


def _full_name(project: Project, key: str, network: typed.Network) -> str:
    if network.external is not None:
        return network.name or network.external or key
    return network.name or f"{project.stack}_{key}"


def _alone(name: str, service: typed.Service, place: str, mode: str) -> str:
    """The mode, if it is all that the service asks for."""
    if len(service.networks) > 1:
        hint = "keep that network alone, or remove it"
        raise invalid(place, f"services.{name} is in the network {mode} and in others", hint=hint)
    return mode


def _attachment(
    full_name: str, names: tuple[str, ...], network: typed.Network, placed: Placed[typed.Attachment]
) -> NetworkAttachment:
    wish = placed.value
    if network.external is None:
        _check_address(wish.ipv4_address, network, placed.place, full_name)
        _check_address(wish.ipv6_address, network, placed.place, full_name)
    spec = network_spec(network)
    return NetworkAttachment(
        network=full_name,
        aliases=tuple(dict.fromkeys((*names, *wish.aliases))),
        ipv4_address=wish.ipv4_address,
        ipv6_address="" if spec.spans_nodes else wish.ipv6_address,
        link_local_addresses=wish.link_local_ips,
        mac_address=wish.mac_address,
        priority=wish.priority,
        gateway_priority=wish.gw_priority,
        driver_options=wish.driver_opts,
        spec=spec,
    )


def _check_address(address: str, network: typed.Network, place: str, full_name: str) -> None:
    """An engine gives fixed addresses only out of subnets that were written."""
    subnets = [pool.subnet for pool in network.ipam.config if pool.subnet]
    if address and not any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in subnets):
        raise invalid(
            place,
            f"the address {address} is in no subnet of the network {full_name}",
            *([f"its subnets: {', '.join(subnets)}"] if subnets else ["the file gives it no subnet"]),
            hint="write one under its `ipam: {config: [{subnet: ...}]}`",
        )


def network_spec(network: typed.Network) -> NetworkSpec:
    """How a network is made; `bridge` is written in files for one host, and means no driver in particular."""
    if network.external is not None:
        return NetworkSpec(external=True)
    ipam = network.ipam
    spec = NetworkSpec(
        driver="" if network.driver in ("bridge", "overlay") else network.driver,
        driver_options=network.driver_opts,
        internal=network.internal,
        attachable=network.attachable,
        ipv6=network.enable_ipv6,
        ipam_driver="" if ipam.driver == "default" else ipam.driver,
        ipam_options=ipam.options,
        pools=ipam.config,
        labels=network.labels,
        node_local=network.bayplan.scope,
        encrypted=network.bayplan.encrypted,
    )
    if not spec.spans_nodes:
        return spec
    # The reader was told that these have IPv4 addresses only.
    return replace(spec, ipv6=False, pools=tuple(pool for pool in spec.pools if ":" not in pool.subnet))


def with_links(
    project: Project, written: Mapping[str, Placed[typed.Service]], services: Mapping[str, ServiceSpec]
) -> dict[str, ServiceSpec]:
    """The services with the aliases that links of others give them. Errors go to the report."""
    given: dict[str, dict[str, list[str]]] = {}  # service -> network -> aliases
    givers: dict[tuple[str, str], str] = {}
    for name in services:
        for link in written[name].value.links:
            with project.report.collect():
                other, alias = link.value.service, link.value.alias
                for network in _shared_networks(project.report, name, link, services):
                    if alias and alias != other:
                        _check_giver(givers, network, link, services)
                        given.setdefault(other, {}).setdefault(network, []).append(alias)
    return {name: _known_as(spec, given.get(name, {})) for name, spec in services.items()}


def _shared_networks(
    report: Report, name: str, link: Placed[typed.Link], services: Mapping[str, ServiceSpec]
) -> set[str]:
    other = link.value.service
    if other not in services:
        hint = did_you_mean(other, services, "add that service, or remove the link")
        problem = f"services.{name} links to {shown(other)}, which is not in the file"
        raise invalid(link.place, problem, hint=hint)
    ours, theirs = (
        {each.network for each in services[service].container.networks} for service in (name, other)
    )
    if not ours & theirs:
        problem = f"services.{name} links to {shown(other)} without effect: they have no network in common"
        report.warn(link.place, problem)
    return ours & theirs


def _check_giver(
    givers: dict[tuple[str, str], str],
    network: str,
    link: Placed[typed.Link],
    services: Mapping[str, ServiceSpec],
) -> None:
    """An alias is seen by the whole network: it cannot mean one service here and another one there."""
    alias, service = link.value.alias, link.value.service
    holder = givers.setdefault((network, alias), service)
    in_network = alias in services and any(
        each.network == network for each in services[alias].container.networks
    )
    if holder != service or in_network:
        raise invalid(
            link.place,
            f"the link makes {alias} a name of {service} in the network {network}",
            f"it is a name of {alias if in_network else holder} there",
            hint="use another alias, or a network of their own",
        )


def _known_as(service: ServiceSpec, given: Mapping[str, list[str]]) -> ServiceSpec:
    if not given:
        return service
    attachments = tuple(
        replace(each, aliases=tuple(dict.fromkeys((*each.aliases, *given.get(each.network, ())))))
        for each in service.container.networks
    )
    return replace(service, container=replace(service.container, networks=attachments))
