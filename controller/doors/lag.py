"""How late the loop is: what everybody waits for who asks the controller anything at that moment.

A timer that is due every PERIOD_S, and by how much it is late; the worst of each second is kept for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

#: The timer's period. What holds the loop up for less is seen only in part, in seconds.
PERIOD_S = 0.005
#: Seconds of which the worst is kept.
KEPT_S_MAX = 600


class LoopLag:
    """Measures the loop that runs it. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._worst_ms: deque[float] = deque([0.0], KEPT_S_MAX)

    async def run(self) -> None:
        """Measure until cancelled."""
        self._second = int(self._clock())
        while True:
            due = self._clock() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self.note(due, self._clock())

    def note(self, due: float, came: float) -> None:
        """The timer was due then and came then; it counts for the second in which it came."""
        self._reach(int(came))
        self._worst_ms[-1] = max(self._worst_ms[-1], (came - due) * 1_000)

    def worst_ms(self) -> list[float]:
        """The worst of each second, the newest last, in ms. Of a second without any, while the loop was held
        up, it is 0: the hold-up counts where it ended."""
        self._reach(int(self._clock()))
        return list(self._worst_ms)

    def _reach(self, second: int) -> None:
        missing = min(second - self._second, KEPT_S_MAX)
        self._worst_ms.extend([0.0] * missing)
        self._second = second
