"""How late the loop is, second by second."""

from __future__ import annotations

import asyncio
import time

from controller.doors.lag import KEPT_S_MAX, LoopLag


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_worst_of_each_second_is_kept() -> None:
    clock = Clock()
    lag = LoopLag(clock)
    lag.note(0.100, 0.102)
    lag.note(0.200, 0.207)
    lag.note(0.300, 0.301)
    clock.now = 1.5
    lag.note(1.400, 1.410)
    assert [round(ms) for ms in lag.worst_ms()] == [7, 10]


def test_a_hold_up_counts_in_the_second_in_which_it_ends() -> None:
    clock = Clock()
    lag = LoopLag(clock)
    clock.now = 3.2
    lag.note(0.200, 3.200)
    assert [round(ms) for ms in lag.worst_ms()] == [0, 0, 0, 3_000]


def test_only_the_newest_seconds_are_kept() -> None:
    clock = Clock()
    lag = LoopLag(clock)
    clock.now = 5.0 * KEPT_S_MAX
    assert lag.worst_ms() == [0.0] * KEPT_S_MAX


async def test_what_holds_the_loop_up_is_seen() -> None:
    lag = LoopLag()
    measuring = asyncio.create_task(lag.run())
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # noqa: ASYNC251 - this is the hold-up
    await asyncio.sleep(0.05)
    measuring.cancel()
    assert max(lag.worst_ms()) >= 150
