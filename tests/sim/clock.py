"""Virtual time: a heap of what is to happen, ordered by (time, sequence). Nothing else moves time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

#: What the machines' wall clocks show when the simulation begins, Unix ms.
WALL_START_MS = 1_700_000_000_000
#: A machine's clocks may be ahead of the world's time, and of its own before a boot, by this much.
CLOCK_AHEAD_MS_MAX = 10_000_000


class Clock:
    """`now_ms` is the world's time since its beginning; hosts have clocks of their own beside it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, when_ms: int, act: Callable[[], None]) -> None:
        """Let something happen at a time; what is past happens now."""
        self._sequence += 1
        heapq.heappush(self._heap, (when_ms if when_ms > self.now_ms else self.now_ms, self._sequence, act))

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Let something happen after a delay."""
        self.at(self.now_ms + delay_ms, act)

    def step(self, until_ms: int) -> bool:
        """Let the next thing happen, if it is due by then; else time itself moves there."""
        if not self._heap or self._heap[0][0] > until_ms:
            self.now_ms = max(self.now_ms, until_ms)
            return False
        self.now_ms, _, act = heapq.heappop(self._heap)
        self.events += 1
        act()
        return True
