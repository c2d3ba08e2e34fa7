"""When a node counts as ready, suspect or down, and when what is on it may be moved.

Pure: silences and numbers of nodes in, verdicts out. Times are monotonic ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.model import Model, NodeStatus

#: The brake: so many nodes, and more than one of so many, silent together are rather the controller's cut
#: than theirs (docs/promises.md).
BRAKE_NODES_MIN = 2
BRAKE_SHARE = 3
#: Nodes are held for no longer than this: as long as Kubernetes lets pods stay on a node it cannot reach
#: (https://kubernetes.io/docs/concepts/architecture/nodes/, tolerationSeconds=300).
HELD_MS_MAX = 300_000
#: A node that came back so often within this time comes and goes.
FLAPS_MIN = 2
FLAP_WINDOW_MS = 300_000
#: It counts as shaky for this long, twice as long when it goes on, up to the second (docs/promises.md:
#: a task moves once in 5 min for one cause).
SHAKY_MS_MIN = 300_000
SHAKY_MS_MAX = 1_800_000
#: A node whose engine has not answered for longer takes no new tasks (docs/promises.md: seen within 12 s).
ENGINE_SILENT_MS_MAX = 10_000
#: Beyond lease and grace: an agent that was just started waits 2 s for a controller before it fences, and an
#: engine takes a moment to stop a container.
FENCE_MARGIN_MS = 4_000
#: After a start, as long as nodes come back one after the other, those that have not come yet are waited for,
#: but no longer than this: 5,000 of them need some 30 s of one core to open their sessions.
COMING_MS_MAX = 60_000
#: Session and witness that break within this time broke together: their machine is gone.
TOGETHER_MS = 1_000


class Timing(Model, frozen=True, kw_only=True):
    """The lease of a node. Defaults: the registry's promises (2 s beats, suspect at 4 s, out at 6 s)."""

    heartbeat_ms: int = 2_000
    suspect_ms: int = 4_000
    down_ms: int = 6_000
    #: After its own start a controller gives the agents this long to come back before any is down.
    grace_ms: int = 10_000
    #: A machine whose session and witness broke together is down after this time.
    severed_ms: int = 1_000


class Signs(NamedTuple):
    """What a node gave to hear of itself.

    `heard_ms` is when the newest pulse that it answered was sent, or the controller's start if there was
    none (`ever` false). `severed_ms`: when session and witness had broken together; None: they did not.
    """

    heard_ms: int
    connected: bool = True
    ever: bool = True
    severed_ms: int | None = None


def judge(timing: Timing, signs: Signs, now_ms: int) -> tuple[NodeStatus, int]:
    """A node's status, and when to ask again (if nothing is heard before).

    A broken stream makes a node suspect at once; only silence makes it down, or that nothing of its machine
    is left.
    """
    if not signs.ever:
        lease_end = signs.heard_ms + timing.grace_ms
        return (NodeStatus.UNKNOWN, lease_end) if now_ms < lease_end else (NodeStatus.DOWN, 0)
    lease_end = signs.heard_ms + timing.down_ms
    if signs.severed_ms is not None:
        lease_end = min(lease_end, signs.severed_ms + timing.severed_ms)
    if now_ms >= lease_end:
        return NodeStatus.DOWN, 0
    if not signs.connected or now_ms >= signs.heard_ms + timing.suspect_ms:
        return NodeStatus.SUSPECT, lease_end
    return NodeStatus.READY, signs.heard_ms + timing.suspect_ms


def severed(session_lost_ms: int | None, witness_lost_ms: int | None, goodbye: bool) -> int | None:
    """When a machine was seen to go: the later of both breaks, if they belong together. An agent that said
    goodbye may have taken its witness with it, in order."""
    if session_lost_ms is None or witness_lost_ms is None or goodbye:
        return None
    if abs(session_lost_ms - witness_lost_ms) > TOGETHER_MS:
        return None
    return max(session_lost_ms, witness_lost_ms)


def brakes(silent: int, expected: int) -> bool:
    """Whether so many of the nodes that were expected to speak are silent together that none is given up."""
    return silent >= BRAKE_NODES_MIN and silent * BRAKE_SHARE > expected


def held_until(timing: Timing, down_ms: int, braked_ms: int | None) -> int:
    """Until when a node that is down is held; not after `down_ms` itself if it is not.

    `braked_ms` is when the brake was last on (None: not since the start). Once it is off, the last nodes
    get as long to come back as after a start of the controller.
    """
    if braked_ms is None:
        return down_ms
    return min(braked_ms + timing.grace_ms, down_ms + HELD_MS_MAX)


def shaky_for(returns_ms: Sequence[int], before_ms: int, until_ms: int, now_ms: int) -> int:
    """For how long a node that has just come back is shaky, in ms; 0: it is not.

    `before_ms` is for how long it was the last time, and `until_ms` until when: the doubling starts afresh
    once it has been steady for as long.
    """
    if len([at for at in returns_ms if now_ms - at < FLAP_WINDOW_MS]) < FLAPS_MIN:
        return 0
    goes_on = before_ms and now_ms < until_ms + before_ms
    return min(before_ms * 2, SHAKY_MS_MAX) if goes_on else SHAKY_MS_MIN


def fence_end(lease_ms: int, answered_ms: int, stop_ms: int) -> int:
    """When a fenced task has ended on a node from which nothing came after `answered_ms`.

    Its agent counts the lease from when an answer left that it knows to have come, so from no later than
    `answered_ms`; then the task has `stop_ms` to end.
    """
    return answered_ms + lease_ms + stop_ms + FENCE_MARGIN_MS
