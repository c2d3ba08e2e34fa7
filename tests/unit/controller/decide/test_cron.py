"""Whether a scheduled job runs now: on time, late, while one goes on, and with a clock that is set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bayplan.model import Schedule
from controller.decide.cron import CLOCK_BACK_MS, ON_TIME_MS, Outcome, Verdict, judge

MINUTE, HOUR = 60_000, 3_600_000


def at(hour: int, minute: int = 0, ms: int = 0) -> int:
    return round(datetime(2026, 6, 1, hour, minute, tzinfo=UTC).timestamp() * 1_000) + ms


def verdict(now_ms: int, *, fired_ms: int, catch_up_ms: int = 0, busy: bool = False) -> Verdict:
    """The verdict on a job that is due at each full hour."""
    return judge(Schedule(cron="0 * * * *", catch_up_ms=catch_up_ms), fired_ms, now_ms, busy=busy)


def test_the_first_run_is_at_the_first_due_time_after_the_creation() -> None:
    assert verdict(at(12, 30), fired_ms=at(12, 30)) == Verdict(Outcome.NONE, at(12, 30), at(13))
    assert verdict(at(13), fired_ms=at(12, 30)) == Verdict(Outcome.STARTED, at(13), at(14))


def test_a_due_time_is_dealt_with_once() -> None:
    assert verdict(at(13, 0, 5), fired_ms=at(13)).outcome is Outcome.NONE


def test_a_run_that_is_due_while_one_goes_on_is_left_out() -> None:
    assert verdict(at(13), fired_ms=at(12), busy=True) == Verdict(Outcome.LEFT_OUT, at(13), at(14))


@pytest.mark.parametrize(
    ("late_ms", "catch_up_ms", "outcome"),
    [
        (ON_TIME_MS, 0, Outcome.STARTED),
        (ON_TIME_MS + 1, 0, Outcome.MISSED),
        (10 * MINUTE, 10 * MINUTE, Outcome.MADE_UP),
        (10 * MINUTE + 1, 10 * MINUTE, Outcome.MISSED),
    ],
)
def test_a_missed_run_is_made_up_for_if_it_was_due_lately(
    late_ms: int, catch_up_ms: int, outcome: Outcome
) -> None:
    found = verdict(at(13) + late_ms, fired_ms=at(12), catch_up_ms=catch_up_ms)
    assert found == Verdict(outcome, at(13), at(14))


def test_of_several_missed_runs_one_is_made_up_for() -> None:
    found = verdict(at(18, 5), fired_ms=at(12), catch_up_ms=10 * HOUR)
    assert found == Verdict(Outcome.MADE_UP, at(18), at(19))


def test_a_clock_that_is_set_back_a_little_repeats_no_run() -> None:
    assert verdict(at(12, 30), fired_ms=at(13)) == Verdict(Outcome.NONE, at(13), at(14))
    assert verdict(at(13), fired_ms=at(13)).outcome is Outcome.NONE


def test_a_clock_that_is_set_back_far_was_wrong_before() -> None:
    fired_ms = at(12, 30) + CLOCK_BACK_MS + 1
    assert verdict(at(12, 30), fired_ms=fired_ms) == Verdict(Outcome.NONE, at(12, 30), at(13))
