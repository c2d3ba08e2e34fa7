"""Which other nodes' packets reach this one: over which networks each says so, and when one counts as silent.

Each node sends two signs over as few networks as have all of its peers, one as large as packets may be. Who
hears none of a peer for three of its periods says so; who lacks only the large ones, too. Pure; times are
monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agent.events import Sign
from bayplan.model import NodeFault, NodeFaultKind, Overlay

#: How often signs are sent, in seconds: so often that no more than so many peers a second are sent to, and at
#: least once in the longest time.
PERIOD_S_MIN, PERIOD_S_MAX = 5.0, 60.0
PEERS_A_SECOND_MAX = 50
#: So many signs in a row must be missing.
MISSES = 3
#: A peer that was never heard has this long: its part of a network may be in the making, and its period the
#: longest.
FIRST_S_MAX = 90.0


class Heard(NamedTuple):
    """Since when a peer is waited for, when signs of both sizes came last, and how often it sends."""

    since_s: float
    small_s: float | None = None
    large_s: float | None = None
    period_s: float = PERIOD_S_MIN


def period_s(overlays: Iterable[Overlay]) -> float:
    """How often to send."""
    peers = {peer for overlay in overlays for peer in overlay.peers}
    return min(max(PERIOD_S_MIN, len(peers) / PEERS_A_SECOND_MAX), PERIOD_S_MAX)


def cover(overlays: Iterable[Overlay]) -> list[Overlay]:
    """As few networks as are easily found that have all peers together: each time the one with most."""
    left = sorted(overlays, key=lambda overlay: overlay.network)
    lacking = {peer for overlay in left for peer in overlay.peers}
    found = []
    while lacking:
        best = max(left, key=lambda overlay: len(lacking.intersection(overlay.peers)))
        found.append(best)
        lacking.difference_update(best.peers)
    return found


def followed(heard: Mapping[str, Heard], overlays: Iterable[Overlay], now_s: float) -> dict[str, Heard]:
    """The peers as they are now: those that are new are waited for from now on."""
    peers = {peer for overlay in overlays for peer in overlay.peers}
    return {peer: heard.get(peer) or Heard(now_s) for peer in sorted(peers)}


def took(before: Heard, sign: Sign, now_s: float) -> Heard:
    """A sign of a peer has come."""
    sends_s = min(max(PERIOD_S_MIN, sign.period_s), PERIOD_S_MAX)
    if sign.large:
        return before._replace(large_s=now_s, period_s=sends_s)
    return before._replace(small_s=now_s, period_s=sends_s)


def faults(heard: Mapping[str, Heard], now_s: float) -> Sequence[NodeFault]:
    """The peers of which nothing comes, or nothing large, by address."""
    found = []
    for peer, each in sorted(heard.items()):
        if _missing(each, each.small_s, now_s) and _missing(each, each.large_s, now_s):
            text = (
                f"nothing comes from {peer} over networks: UDP 4789 is blocked on the way, or on one of both"
            )
            hint = (
                "let UDP 4789 through (encrypted networks: 51820), both ways: `nft list ruleset` on both, "
                "and firewalls between them"
            )
            found.append(NodeFault(kind=NodeFaultKind.PEER, subject=peer, text=text, hint=hint))
        elif _missing(each, each.large_s, now_s):
            text = f"small packets come from {peer}, large ones are lost on the way"
            hint = (
                "a link on the way has a smaller MTU than theirs: `ping -M do -s 1472` from one to the other"
            )
            found.append(NodeFault(kind=NodeFaultKind.MTU, subject=peer, text=text, hint=hint))
    return found


def _missing(each: Heard, last_s: float | None, now_s: float) -> bool:
    if last_s is None:
        return now_s - each.since_s > FIRST_S_MAX
    return now_s - last_s > MISSES * each.period_s
