"""Which address a new task gets on a network: out of the blocks that are this node's own. Pure.

The address that has been free for longest comes first, and one that has just become free is left alone for a
while: names and connections of the task before may still point at it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network
from typing import NamedTuple

from bayplan.addressing import usable
from bayplan.model import ContainerSpec, NetworkAttachment, Overlay

#: An address that became free is given to nobody for this long: directories and caches of answers let go
#: of it within 2 s, and this is twice that and some more.
QUARANTINE_MS = 5_000
#: When an address became free that has not been used as far as is known: before any other.
_NEVER_USED_MS = -(2**62)


class Uses(NamedTuple):
    """What is known of the addresses of a network: those in use, and when others became free (monotonic ms).

    `unknown_ms`: when all others may have become free, where an agent before this one gave them.
    """

    held: Collection[str] = ()
    freed: Mapping[str, int] = {}
    unknown_ms: int = _NEVER_USED_MS


class Choice(NamedTuple):
    """An address; or none, and the moment at which one comes out of quarantine (None: all are in use)."""

    address: str = ""
    look_at: int | None = None


def choose(overlay: Overlay, uses: Uses, now_ms: int) -> Choice:
    """The address for a new task at `now_ms` (monotonic)."""
    free = [address for address in pool(overlay) if address not in uses.held]
    if not free:
        return Choice()
    # Of those that have been free equally long the first, for min() keeps the order.
    address = min(free, key=lambda each: uses.freed.get(each, uses.unknown_ms))
    from_ms = uses.freed.get(address, uses.unknown_ms) + QUARANTINE_MS
    return Choice(address) if from_ms <= now_ms else Choice(look_at=from_ms)


def pool(overlay: Overlay) -> Iterator[str]:
    """All addresses that tasks of this node may have, in order."""
    subnet = IPv4Network(overlay.subnet)
    kept = {overlay.gateway, *overlay.reserved}
    for block in overlay.blocks:
        yield from (text for each in usable(subnet, IPv4Network(block)) if (text := str(each)) not in kept)


def overlays_of(spec: ContainerSpec | None, overlays: Mapping[str, Overlay]) -> list[NetworkAttachment]:
    """The attachments of a container to networks that span nodes, the first to be joined first."""
    if spec is None or spec.network_mode or not overlays:
        return []
    found = [attachment for attachment in spec.networks if attachment.network in overlays]
    return sorted(found, key=lambda each: -each.priority)
