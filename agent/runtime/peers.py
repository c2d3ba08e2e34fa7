"""The filter on the VXLAN port: of segments of ours only the peers' packets are let in, and those of
encrypted ones through the tunnel only, by which alone they leave. In nftables.

One table of its own, replaced whole in one transaction where it differs; its comment says what it was made
of. A table of the name that is someone else's is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from agent.labels import TABLE_MARK
from agent.runtime import tables
from agent.runtime.links import VXLAN_PORT
from agent.runtime.nft import Nft
from agent.runtime.wireguard import INNER
from bayplan.model import VNI_BASE

TABLE = "inet bayplan-peers"
_MARK = f"{TABLE_MARK} peers"
_DIGEST_CHARS = 16


class Secure(NamedTuple):
    """What goes through the tunnel only: the segments, and its link."""

    vnis: tuple[int, ...]
    link: str


class PeersFilter:
    """The table of this network namespace. Synchronous, for a thread. Raises NftError."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft

    def keep(self, peers: Iterable[str], secure: Secure | None = None) -> None:
        """Let in the packets of these addresses (IPv4), and of nobody else."""
        body = rules(sorted(peers), secure)
        comment = f"{_MARK} {hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARS]}"
        there = tables.comment_of(self._nft, TABLE)
        if there != comment:
            # Before a table is deleted it is made, so that its absence is no error.
            head = "" if there is None else f"delete table {TABLE}\n"
            self._nft.run(f'{head}table {TABLE} {{\n comment "{comment}"\n{body}}}\n')

    def remove(self) -> None:
        """Take the table away."""
        tables.remove(self._nft, [TABLE])


def rules(peers: Iterable[str], secure: Secure | None = None) -> str:
    """The inside of the table. Segments of ours begin with one byte, which is the first of the 24 bits that
    follow the UDP header (8 bytes) and VXLAN's flags (4 bytes). The tunnel itself sees to it that whoever
    comes through it is who he says."""
    listed = ", ".join(peers)
    elements = f"  elements = {{ {listed} }}\n" if listed else ""
    ours = f"udp dport {VXLAN_PORT} @th,96,8 {VNI_BASE >> 16:#x}"
    return (
        f" set peers {{\n  type ipv4_addr\n{elements} }}\n"
        " chain arrivals {\n"
        "  type filter hook prerouting priority raw; policy accept;\n"
        f"  {ours} ip saddr != @peers drop\n"
        f"{_arrivals(ours, secure)}"
        " }\n"
        f"{_departures(secure) if secure else ''}"
    )


def _arrivals(ours: str, secure: Secure | None) -> str:
    if secure is None:
        return f"  {ours} meta nfproto ipv6 drop\n"
    segments = ", ".join(f"{vni:#x}" for vni in secure.vnis)
    elsewhere = f'iifname != "{secure.link}" drop'
    return (
        f"  {ours} meta nfproto ipv6 {elsewhere}\n"
        f"  udp dport {VXLAN_PORT} @th,96,24 {{ {segments} }} {elsewhere}\n"
    )


def _departures(secure: Secure) -> str:
    """Where the link is missing, the host's other routes would take what is meant for it."""
    return (
        " chain departures {\n"
        "  type filter hook output priority filter; policy accept;\n"
        f'  ip6 daddr {INNER} oifname != "{secure.link}" drop\n'
        " }\n"
    )
