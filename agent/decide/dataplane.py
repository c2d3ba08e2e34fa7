"""What of the directory concerns this node's data plane: virtual addresses and published ports.

Pure: a listing and the networks that are up here, a `Front` out. It knows no nftables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from bayplan.directory import Entry, Listing, Published, Standing
from bayplan.model.base import Protocol

#: Values of `host_ip` that mean all of a node's addresses.
EVERYWHERE = ("", "0.0.0.0")


class Segment(NamedTuple):
    """A network over several nodes that is up on this one. `bridge` is the name of its device."""

    network: str
    bridge: str
    internal: bool = False


class Backend(NamedTuple):
    """Who gets new connections. `port` 0: the one that was asked for. `weight` >= 1, against the others'."""

    address: str
    port: int = 0
    weight: int = 1


class VirtualAddress(NamedTuple):
    """A service's address on a network, for those on this node; without `backends` all are rejected."""

    bridge: str
    address: str
    backends: tuple[Backend, ...] = ()


class IngressPort(NamedTuple):
    """A port at which this node answers, on all its addresses where `host_ip` is empty.

    `backends`: local instances by their own address, others by their node's. `inside`, where there are
    local ones: the same for callers in containers, whom the engine keeps off other networks' containers;
    all are given by their nodes'. `relays` are those of both that are on other nodes.
    """

    protocol: Protocol
    port: int
    host_ip: str = ""
    backends: tuple[Backend, ...] = ()
    inside: tuple[Backend, ...] = ()
    relays: tuple[Backend, ...] = ()

    @property
    def listeners(self) -> tuple[str, ...]:
        """Addresses at which rules do not do: the agent answers there itself, and so has the port. Loopback
        and IPv6; TCP only."""
        if self.protocol is not Protocol.TCP:
            return ()
        if not self.host_ip:
            return "127.0.0.1", "::"
        return () if self.is_of_rules or not self.backends else (self.host_ip,)

    @property
    def is_of_rules(self) -> bool:
        """Else the agent alone answers."""
        return not self.host_ip or (is_ipv4(self.host_ip) and not _is_loopback(self.host_ip))


class Front(NamedTuple):
    """One service as this node's data plane shows it. `local`: addresses of its instances here, which may
    get themselves."""

    addresses: tuple[VirtualAddress, ...] = ()
    ports: tuple[IngressPort, ...] = ()
    local: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where the data plane is: the node, and by name the networks that are up on it."""

    node_id: str
    segments: Mapping[str, Segment]


def front_of(listing: Listing, place: Place) -> Front:
    """What this node shows of a service."""
    if not listing.facade.vips and not listing.facade.published:
        return Front()
    chosen = _chosen(listing, place.node_id)
    addresses = [
        VirtualAddress(segment.bridge, address, _on_network(chosen, segment.network))
        for network, address in sorted(listing.facade.vips.items())
        if (segment := place.segments.get(network)) and is_ipv4(address)
    ]
    ports = [_ingress(each, chosen, place) for each in listing.facade.published]
    here = [entry for entry in chosen if entry.node_id == place.node_id]
    local = {address for entry in here for address in entry.networks.values() if is_ipv4(address)}
    return Front(tuple(addresses), tuple(ports), tuple(sorted(local)) if addresses or ports else ())


def is_ipv4(address: str) -> bool:
    """What others report becomes part of a text of rules: only what is an address may."""
    try:
        IPv4Address(address)
    except AddressValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return address == "::1" or (is_ipv4(address) and IPv4Address(address).is_loopback)


def _chosen(listing: Listing, node_id: str) -> Sequence[Entry]:
    """Those who get new connections: suspect ones only if there are no others, only local ones if the
    service asks for it and has any."""
    given = listing.given()
    chosen = [each for each in given if each.standing is not Standing.SUSPECT] or given
    if listing.facade.local_first:
        return [each for each in chosen if each.node_id == node_id] or chosen
    return chosen


def _on_network(entries: Sequence[Entry], network: str) -> tuple[Backend, ...]:
    found = [(entry.networks.get(network, ""), entry.weight) for entry in entries]
    return tuple([Backend(address, weight=weight) for address, weight in found if is_ipv4(address)])


def _ingress(published: Published, entries: Sequence[Entry], place: Place) -> IngressPort:
    backends: list[Backend] = []
    inside: list[Backend] = []
    relays: list[Backend] = []
    for entry in entries:
        own = at_container(entry, published, place) if entry.node_id == place.node_id else None
        relay = at_node(entry, published)
        backends += [each for each in (own or relay,) if each]
        inside += [each for each in (relay or own,) if each]
        if relay and entry.node_id != place.node_id:
            relays.append(relay)
    host_ip = "" if published.host_ip in EVERYWHERE else published.host_ip
    return IngressPort(
        published.protocol,
        published.published,
        host_ip,
        tuple(backends),
        tuple(inside) if inside != backends else (),
        tuple(relays),
    )


def at_node(entry: Entry, published: Published) -> Backend | None:
    """An instance as its node's engine publishes it; None: it does not, or on loopback only."""
    if _is_loopback(published.host_ip):
        return None
    if not is_ipv4(entry.address):
        return None
    asked = published.target, published.protocol
    for port in entry.ports:
        bound = port.published and (port.target, port.protocol) == asked
        if bound and (number := entry.number_of(port)):
            return Backend(entry.address, number, entry.weight)
    return None


def at_container(entry: Entry, published: Published, place: Place) -> Backend | None:
    """A local instance at its own address. The engine lets outsiders through to a container's first network
    by name that is not internal."""
    internal = {segment.network for segment in place.segments.values() if segment.internal}
    for network, address in sorted(entry.networks.items()):
        if network not in internal and is_ipv4(address):
            return Backend(address, published.target, entry.weight)
    return None
