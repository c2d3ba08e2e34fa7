"""The filter on the VXLAN port: of segments of ours only the peers' packets are let in. In nftables.

One table of its own, replaced whole in one transaction where it differs; its comment says what it was made
of. A table of the name that is someone else's is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from agent.labels import TABLE_MARK
from agent.runtime import tables
from agent.runtime.links import VXLAN_PORT
from agent.runtime.nft import Nft
from bayplan.model import VNI_BASE

TABLE = "inet bayplan-peers"
_MARK = f"{TABLE_MARK} peers"
_DIGEST_CHARS = 16


class PeersFilter:
    """The table of this network namespace. Synchronous, for a thread. Raises NftError."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft

    def keep(self, peers: Iterable[str]) -> None:
        """Let in the packets of these addresses (IPv4), and of nobody else."""
        body = rules(sorted(peers))
        comment = f"{_MARK} {hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARS]}"
        there = tables.comment_of(self._nft, TABLE)
        if there != comment:
            # Before a table is deleted it is made, so that its absence is no error.
            head = "" if there is None else f"delete table {TABLE}\n"
            self._nft.run(f'{head}table {TABLE} {{\n comment "{comment}"\n{body}}}\n')

    def remove(self) -> None:
        """Take the table away."""
        tables.remove(self._nft, [TABLE])


def rules(peers: Iterable[str]) -> str:
    """The inside of the table. Segments of ours begin with one byte, which is the first of the 24 bits that
    follow the UDP header (8 bytes) and VXLAN's flags (4 bytes)."""
    listed = ", ".join(peers)
    elements = f"  elements = {{ {listed} }}\n" if listed else ""
    return (
        f" set peers {{\n  type ipv4_addr\n{elements} }}\n"
        " chain arrivals {\n"
        "  type filter hook prerouting priority raw; policy accept;\n"
        f"  udp dport {VXLAN_PORT} @th,96,8 {VNI_BASE >> 16:#x} ip saddr != @peers drop\n"
        f"  udp dport {VXLAN_PORT} @th,96,8 {VNI_BASE >> 16:#x} meta nfproto ipv6 drop\n"
        " }\n"
    )
