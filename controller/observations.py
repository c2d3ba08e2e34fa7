"""What is observed and kept in memory only: nodes' lives, slots' pasts, rollouts' headway, exposures.

The core writes it as agents report; after a restart it is observed anew. Nothing here decides.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from bayplan.model import NodeCondition, NodeStatus

#: Pulses without an answer whose time is kept; a lease ends long before.
PULSES_KEPT_MAX = 100
#: Returns of a node that are kept, to see whether it comes and goes.
RETURNS_KEPT_MAX = 10
#: Ends of tasks kept in a slot, for the restart policy's max_attempts within its window.
SLOT_ENDS_KEPT_MAX = 100


@dataclass
class Life:
    """What is known of a node's life; times are monotonic ms, and the controller's start at first.

    `heard_ms`: when the newest pulse that it answered was sent. `answered_ms`: when that answer came.
    `ever`: it has been heard since the start. `revision` counts the assignments sent.
    """

    status: NodeStatus = NodeStatus.UNKNOWN
    session_id: str = ""
    boot_id: str = ""
    heard_ms: int = 0
    answered_ms: int = 0
    ever: bool = False
    revision: int = 0
    #: Pulses of this session: the last one sent, the newest answered, and when each since then was sent.
    pulse: int = 0
    pulse_answered: int = 0
    pulses: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=PULSES_KEPT_MAX))
    engine_silent_ms: int = 0
    #: What is the matter with it, as its agent said last.
    condition: NodeCondition = field(default_factory=NodeCondition)
    #: Its agent ended in order: that is no sign of a lost machine.
    goodbye: bool = False
    #: Connections of its witness, and when the session and the last of them broke.
    witnesses: set[str] = field(default_factory=set)
    session_lost_ms: int | None = None
    witness_lost_ms: int | None = None
    #: Since when it is down, and why its tasks are not moved though it is.
    down_ms: int = 0
    held: str = ""
    #: When it came back from being down, lately; whether it counts as shaky, until when, and for how long.
    returns_ms: deque[int] = field(default_factory=lambda: deque(maxlen=RETURNS_KEPT_MAX))
    shaky: bool = False
    shaky_until_ms: int = 0
    shaky_for_ms: int = 0

    @property
    def connected(self) -> bool:
        """Whether a session is open."""
        return bool(self.session_id)

    @property
    def lost(self) -> bool:
        """Whether it is given up: its tasks may run elsewhere."""
        return self.status is NodeStatus.DOWN and not self.held

    def shift(self, by_ms: int) -> None:
        """Take time out of what is measured: this process stood still."""
        self.heard_ms += by_ms
        self.answered_ms += by_ms
        moved = [(number, at + by_ms) for number, at in self.pulses]
        self.pulses.clear()
        self.pulses.extend(moved)


class Headway(NamedTuple):
    """How many slots a rollout has brought to this version at most, and since when it has been no more
    (monotonic ms); begun anew when its state changes."""

    version: int
    done: int
    since_ms: int


@dataclass
class SlotHistory:
    """How a slot's tasks ended lately; times are monotonic ms."""

    failures: int = 0
    not_before_ms: int = 0
    ended_ms: deque[int] = field(default_factory=lambda: deque(maxlen=SLOT_ENDS_KEPT_MAX))


class Protection(NamedTuple):
    """How many instances of a service were ready when it was last well; since when fewer are, because they
    fail; since when those that fail are given (None: they are not). Times are monotonic ms."""

    usual: int = 0
    falling_ms: int | None = None
    since_ms: int | None = None

    @property
    def on(self) -> bool:
        """Whether those that fail are given."""
        return self.since_ms is not None


UNPROTECTED = Protection()


@dataclass
class Exposure:
    """Which view of a service the registry shows, a digest of what could be connected to in it (empty: not
    shown yet; see `controller.instances`), and whether those that fail are given as well."""

    revision: int = 0
    routable: bytes = b""
    protection: Protection = UNPROTECTED
