"""Protection against mass failure: where most of a service fail their checks at once, they are given all the
same, since it may be the check that is wrong. It is visible, and ends by itself. Pure.
"""

from __future__ import annotations

from controller.observations import Protection

#: So many fail at least: one alone is no mass.
FAILING_MIN = 2
#: What fails within this time fails at once, in ms: several intervals of usual checks.
TOGETHER_MS = 120_000
#: Protection lasts this long at most, in ms: what still fails then does not work.
PROTECTED_MS_MAX = 300_000


def wake_ms(now: Protection) -> int | None:
    """When to look again (monotonic ms)."""
    return None if now.since_ms is None else now.since_ms + PROTECTED_MS_MAX


def look(before: Protection, ready: int, failing: int, now_ms: int) -> Protection:
    """Protection as it is with so many ready and so many that fail their checks. It begins when fewer than
    half of what was ready is left, and ends when half is there again, or after PROTECTED_MS_MAX."""
    usual = min(before.usual, ready + failing)  # those that are no more do not fail
    if ready >= usual:
        return Protection(ready)
    if before.since_ms is not None:
        ends = 2 * ready >= usual or now_ms >= before.since_ms + PROTECTED_MS_MAX
        return Protection(ready) if ends else before._replace(usual=usual)
    falling_ms = now_ms if before.falling_ms is None else before.falling_ms
    if now_ms >= falling_ms + TOGETHER_MS:
        return Protection(ready)
    begins = failing >= FAILING_MIN and 2 * ready < usual
    return Protection(usual, falling_ms, now_ms if begins else None)
