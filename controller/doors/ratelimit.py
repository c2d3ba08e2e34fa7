"""How often one address may try something, for ports where strangers speak. Pure: time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import ip_address
from urllib.parse import unquote

#: One attempt a second in the long run, and this many at once: several machines may share an address.
PERIOD_MS = 1_000
BURST_ATTEMPTS = 10
#: Addresses remembered; the one idle for longest is forgotten first.
PEERS_MAX = 10_000
#: An IPv6 host has as many addresses as it likes within its /64, so that counts as one.
IPV6_PREFIX_BYTES = 8


class PeerLimiter:
    """A leaky bucket for each address (the generic cell rate algorithm: one number each)."""

    def __init__(self) -> None:
        self._free_at_ms: OrderedDict[str, int] = OrderedDict()

    def admit(self, peer: str, mono_ms: int) -> bool:
        """Whether gRPC's `peer` ("ipv4:10.0.0.1:5000") may try now; an attempt refused does not count."""
        key = _address_key(peer)
        free_at_ms = max(self._free_at_ms.get(key, 0), mono_ms)
        if free_at_ms - mono_ms > (BURST_ATTEMPTS - 1) * PERIOD_MS:
            return False
        self._free_at_ms[key] = free_at_ms + PERIOD_MS
        self._free_at_ms.move_to_end(key)
        if len(self._free_at_ms) > PEERS_MAX:
            self._free_at_ms.popitem(last=False)
        return True


def peer_host(peer: str) -> str:
    """The bare address in gRPC's `peer`: no scheme, no port, no brackets."""
    host = unquote(peer).partition(":")[2]
    return host.rpartition(":")[0].strip("[]") if peer.startswith(("ipv4:", "ipv6:")) else host


def _address_key(peer: str) -> str:
    host = peer_host(peer)
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else address.packed[:IPV6_PREFIX_BYTES].hex()
