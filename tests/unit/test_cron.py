"""Schedules: which expressions are good, and when they are due, also where summer time begins and ends."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bayplan import cron
from bayplan.model import Schedule

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """Unix ms of a local time."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return round(local.timestamp() * 1_000)


def dues(expression: str, after: str, count: int, zone: str = BERLIN) -> list[str]:
    """The next due times in local time, each asked for from the one before."""
    schedule, found, moment = Schedule(cron=expression, timezone=zone), [], at(after, zone)
    for _ in range(count):
        moment = cron.next_due_ms(schedule, moment)
        found.append(datetime.fromtimestamp(moment / 1_000, ZoneInfo(zone)).isoformat())
    return found


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("* * * *", "has not the five fields of crontab"),
        ("0 * * * * *", "has not the five fields of crontab"),
        ("@daily", "has not the five fields of crontab"),
        ("*" * 300, "has not the five fields of crontab"),
        ("61 * * * *", "is no schedule: bad minute"),
        ("0 0 30 2 *", "is no schedule: bad day of month"),
        ("0 0 */31 2 MON#5", "is never due"),
        ("* * * * X", "is no schedule: bad day of week"),
    ],
)
def test_a_bad_expression_is_refused_with_its_field(written: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        cron.parse_cron(written)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "Europe", "/etc/passwd", "../x", "a\0b", "x" * 1_000])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        cron.parse_zone(name)


def test_a_schedule_is_due_in_its_own_time_zone() -> None:
    assert dues("0 3 * * *", "2026-06-01T12:00", 1, BERLIN) == ["2026-06-02T03:00:00+02:00"]
    assert dues("0 3 * * *", "2026-06-01T12:00", 1, "UTC") == ["2026-06-02T03:00:00+00:00"]


def test_the_moment_of_a_due_time_is_not_after_itself() -> None:
    assert dues("*/5 * * * *", "2026-06-01T12:05", 2, "UTC") == [
        "2026-06-01T12:10:00+00:00",
        "2026-06-01T12:15:00+00:00",
    ]


def test_an_hour_that_does_not_exist_is_made_up_for_after_the_gap() -> None:
    assert dues("30 2 * * *", "2026-03-28T12:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_in_the_hour_that_is_there_twice_a_daily_run_comes_once() -> None:
    first = cron.next_due_ms(Schedule(cron="30 2 * * *", timezone=BERLIN), at("2026-10-25T00:00", BERLIN))
    assert first == at("2026-10-25T02:30", BERLIN)
    in_the_second = at("2026-10-25T02:10", BERLIN, fold=1)
    after = cron.next_due_ms(Schedule(cron="30 2 * * *", timezone=BERLIN), in_the_second)
    assert after == at("2026-10-26T02:30", BERLIN)


def test_the_last_due_time_is_the_newest_that_is_not_later() -> None:
    schedule = Schedule(cron="*/10 * * * *")
    assert cron.last_due_ms(schedule, at("2026-06-01T12:10")) == at("2026-06-01T12:10")
    assert cron.last_due_ms(schedule, at("2026-06-01T12:10") - 1) == at("2026-06-01T12:00")
    assert cron.last_due_ms(schedule, at("2026-06-01T12:19:59")) == at("2026-06-01T12:10")
