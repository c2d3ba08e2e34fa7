"""When a node counts as ready, suspect or down. Times are monotonic ms."""

from __future__ import annotations

from bayplan.model import Model, NodeStatus


class Timing(Model, frozen=True, kw_only=True):
    """The lease of a node. Defaults: the registry's promises (2 s beats, suspect at 4 s, out at 6 s)."""

    heartbeat_ms: int = 2_000
    suspect_ms: int = 4_000
    down_ms: int = 6_000
    #: After its own start a controller gives the agents this long to come back before any is down.
    grace_ms: int = 10_000


def judge(timing: Timing, heard_ms: int, connected: bool, ever: bool, now_ms: int) -> tuple[NodeStatus, int]:
    """A node's status, and when to ask again (if nothing is heard before).

    `heard_ms` is the last sign of life, or the controller's start if there was none (`ever` false).
    A broken stream makes a node suspect at once; only silence makes it down.
    """
    if not ever:
        lease_end = heard_ms + timing.grace_ms
        return (NodeStatus.UNKNOWN, lease_end) if now_ms < lease_end else (NodeStatus.DOWN, 0)
    if now_ms >= heard_ms + timing.down_ms:
        return NodeStatus.DOWN, 0
    if not connected or now_ms >= heard_ms + timing.suspect_ms:
        return NodeStatus.SUSPECT, heard_ms + timing.down_ms
    return NodeStatus.READY, heard_ms + timing.suspect_ms
