"""The filter on the VXLAN port: of segments of ours only the peers' packets are let in. In nftables.

One table of its own, replaced whole in one transaction where it differs; its comment says what it was made
of. A table of the name that is someone else's is never touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from agent.runtime.links import VXLAN_PORT
from agent.runtime.nft import Nft, NftError
from bayplan.model import VNI_BASE

TABLE = "inet bayplan-peers"
_MARK = "bayplan peers"
_COMMENT = re.compile(r'^\s*comment "([^"]*)"', re.M)
_DIGEST_CHARS = 16


class PeersFilter:
    """The table of this network namespace. Synchronous, for a thread. Raises NftError."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft

    def keep(self, peers: Iterable[str]) -> None:
        """Let in the packets of these addresses (IPv4), and of nobody else."""
        body = rules(sorted(peers))
        comment = f"{_MARK} {hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARS]}"
        there = self._comment()
        if there != comment:
            # Before a table is deleted it is made, so that its absence is no error.
            head = "" if there is None else f"delete table {TABLE}\n"
            self._nft.run(f'{head}table {TABLE} {{\n comment "{comment}"\n{body}}}\n')

    def remove(self) -> None:
        """Take the table away."""
        if self._comment() is not None:
            self._nft.run(f"delete table {TABLE}\n")

    def _comment(self) -> str | None:
        """Of the table that is there; None: there is none."""
        if TABLE not in {line.removeprefix("table ") for line in self._nft.run("list tables").splitlines()}:
            return None
        found = _COMMENT.search(self._nft.run(f"list table {TABLE}"))
        if found is None or not found[1].startswith(_MARK):
            raise NftError(
                f"a table {TABLE} that is not bayplan's is in the way",
                f"see `nft list table {TABLE}`, and rename or delete it",
            )
        return found[1]


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
