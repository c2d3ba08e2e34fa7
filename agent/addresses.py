"""Under which address this host is reached."""

from __future__ import annotations

import socket
from ipaddress import AddressValueError, IPv4Address


def local_address(peer: str) -> str:
    """The address of this host on the way to a peer, host:port; empty when there is no way."""
    host, _, port = peer.rpartition(":")
    try:
        target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(target[0], socket.SOCK_DGRAM) as probe:
            probe.connect(target[4])  # sends nothing: asks the routing table
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""


def underlay_address(advertised: str, peer: str) -> str:
    """The address at which other nodes' packets arrive: the advertised one, else that on the way to a peer,
    host:port."""
    try:
        return str(IPv4Address(advertised))
    except AddressValueError:
        return local_address(peer)
