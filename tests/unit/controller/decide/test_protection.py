"""Mass failure and flapping: when those that fail are given all the same, and when they are held back."""

from __future__ import annotations

import pytest

from controller.decide.damping import HELD_MS_MAX, HELD_MS_MIN, held_until
from controller.decide.protection import PROTECTED_MS_MAX, TOGETHER_MS, look, wake_ms
from controller.observations import UNPROTECTED, Protection


def seen(*looks: tuple[int, int, int]) -> Protection:
    """Protection after looks of (monotonic ms, ready, failing)."""
    now = UNPROTECTED
    for now_ms, ready, failing in looks:
        now = look(now, ready, failing, now_ms)
    return now


@pytest.mark.parametrize(
    ("looks", "on"),
    [
        ([(0, 4, 0), (1_000, 1, 3)], True),
        ([(0, 4, 0), (1_000, 0, 4)], True),
        ([(0, 4, 0), (1_000, 2, 2)], False),  # half are left
        ([(0, 1, 0), (1_000, 0, 1)], False),  # one is no mass
        ([(0, 0, 4)], False),  # they never were ready
        ([(0, 4, 0), (1_000, 1, 0)], False),  # they were stopped
        ([(0, 4, 0), (1_000, 3, 1), (TOGETHER_MS + 2_000, 1, 3)], False),  # one after the other
        ([(0, 4, 0), (9_000_000, 1, 3)], True),  # after a long time of quiet
    ],
)
def test_protection_begins_when_most_fail_at_once(looks: list[tuple[int, int, int]], on: bool) -> None:
    assert seen(*looks).on is on


def test_protection_ends_when_half_are_there_again() -> None:
    assert not seen((0, 4, 0), (1_000, 0, 4), (2_000, 2, 2)).on


def test_protection_ends_by_itself_and_does_not_begin_again_for_the_same() -> None:
    failing = seen((0, 4, 0), (1_000, 0, 4))
    assert wake_ms(failing) == 1_000 + PROTECTED_MS_MAX
    over = look(failing, 0, 4, 1_000 + PROTECTED_MS_MAX)
    assert not over.on
    assert not look(over, 0, 4, 2_000 + PROTECTED_MS_MAX).on


def test_protection_goes_with_those_that_are_stopped() -> None:
    assert not seen((0, 4, 0), (1_000, 1, 3), (2_000, 1, 1)).on


@pytest.mark.parametrize(
    ("falls_ms", "until_ms"),
    [
        ([], 0),
        ([1_000, 2_000], 0),
        ([1_000, 2_000, 3_000], 3_000 + HELD_MS_MIN),
        ([1_000, 2_000, 3_000, 4_000], 4_000 + 2 * HELD_MS_MIN),
        ([1_000] * 9, 1_000 + HELD_MS_MAX),
        ([-200_000, -190_000, 3_000], 0),
    ],
)
def test_who_falls_again_and_again_is_held_back(falls_ms: list[int], until_ms: int) -> None:
    assert held_until(falls_ms, 5_000) == until_ms
