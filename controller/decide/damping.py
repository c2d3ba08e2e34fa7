"""Damping: an instance that falls again and again is given only once it has been steady for a while. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: So many falls (ready, then not) within the window are flapping, in ms.
FALLS_MIN, WINDOW_MS = 3, 120_000
#: For how long one that flaps is held back after its last fall, in ms: doubled with each further fall.
HELD_MS_MIN, HELD_MS_MAX = 10_000, 60_000


def held_until(falls_ms: Sequence[int], now_ms: int) -> int:
    """Until when an instance is held back (monotonic ms); 0: it is not. `falls_ms`: when it fell."""
    lately = [at for at in falls_ms if now_ms - at < WINDOW_MS]
    if len(lately) < FALLS_MIN:
        return 0
    return lately[-1] + min(HELD_MS_MAX, HELD_MS_MIN << (len(lately) - FALLS_MIN))
