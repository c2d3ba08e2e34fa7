"""How busy the controller is, and how long its agents shall wait between two reports because of that."""

from __future__ import annotations

import time
from collections.abc import Callable

#: An agent's report follows the one before no earlier than this; with nothing else to do, and with too much.
WINDOW_MS_MIN = 50
WINDOW_MS_MAX = 1_000
#: Reports a second that all agents together may come to when the controller is busy.
REPORTS_PER_S_MAX = 2_500
#: Shares of one core's time: up to the first it counts as idle, from the second on as busy.
IDLE_SHARE, BUSY_SHARE = 0.25, 0.75
#: The share is taken anew over so much time at least.
SAMPLE_S = 0.5


class Load:
    """Measures this process. The clocks count seconds; `cpu` those that were worked."""

    def __init__(
        self, wall: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._wall, self._cpu = wall, cpu
        self._wall_s, self._cpu_s = wall(), cpu()
        self._share = 0.0

    def window_ms(self, agents: int) -> int:
        """How long an agent waits after a report, with so many of them: more when there is much to do."""
        busy = min(1.0, max(0.0, (self._sampled() - IDLE_SHARE) / (BUSY_SHARE - IDLE_SHARE)))
        crowded_ms = min(WINDOW_MS_MAX, agents * 1000 / REPORTS_PER_S_MAX)
        return round(WINDOW_MS_MIN + busy * max(0, crowded_ms - WINDOW_MS_MIN))

    def _sampled(self) -> float:
        wall_s = self._wall()
        if wall_s - self._wall_s >= SAMPLE_S:
            cpu_s = self._cpu()  # asked no oftener: it is a system call
            self._share = (cpu_s - self._cpu_s) / (wall_s - self._wall_s)
            self._wall_s, self._cpu_s = wall_s, cpu_s
        return self._share
