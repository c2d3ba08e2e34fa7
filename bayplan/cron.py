"""When a schedule is due: five fields as in crontab(5), in a time zone. All times are Unix milliseconds.

Summer time is dealt with as Debian's cron does: a run of a fixed hour that does not exist comes right after
the gap, and one in the hour that is there twice comes once. Reads no clock; the zones are the machine's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from bayplan.model import Schedule
from bayplan.nearest import did_you_mean

#: Longest expression, in characters.
CRON_CHARS_MAX = 200
#: Longest name of a time zone, in characters.
ZONE_CHARS_MAX = 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")


def parse_cron(written: str) -> str:
    """The expression in its usual form. Raises ValueError without five good fields, or if it is never due."""
    fields = written.split() if len(written) <= CRON_CHARS_MAX else []
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{_shown(written)} has not the five fields of crontab ({', '.join(_FIELDS)}); "
            'write it like "*/5 * * * *"'
        )
    try:
        next(CronSim(written, _EPOCH))
    except StopIteration:
        raise ValueError(f"{_shown(written)} is never due") from None
    except (CronSimError, AssertionError) as error:
        raise ValueError(f"{_shown(written)} is no schedule: {_wrong(error)}") from None
    return " ".join(fields)


def parse_zone(written: str) -> str:
    """The name of a time zone. Raises ValueError, with the nearest name, when there is none."""
    try:
        zone(written)
    except ValueError:
        hint = did_you_mean(written[:ZONE_CHARS_MAX], available_timezones(), "write it like Europe/Berlin")
        raise ValueError(f"{_shown(written)} is no time zone; {hint}") from None
    return written


def zone(name: str) -> tzinfo:
    """A time zone by its name; empty is UTC. Raises ValueError."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name[: ZONE_CHARS_MAX + 1])
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name} is no time zone") from error


def next_due_ms(schedule: Schedule, after_ms: int) -> int:
    """The first due time after a moment."""
    for due in CronSim(schedule.cron, _at(schedule, after_ms)):
        if (due_ms := _unix_ms(due)) > after_ms:  # of the hour that is there twice it may tell the first
            return due_ms
    raise AssertionError(f"{schedule.cron} is never due: it was not checked")


def last_due_ms(schedule: Schedule, until_ms: int) -> int:
    """The last due time up to a moment, which counts."""
    for due in CronSim(schedule.cron, _at(schedule, until_ms + 1_000), reverse=True):
        if (due_ms := _unix_ms(due)) <= until_ms:
            return due_ms
    raise AssertionError(f"{schedule.cron} was never due: it was not checked")


def local_time(schedule: Schedule, unix_ms: int) -> str:
    """A moment in the schedule's time zone, for people: `2026-11-23 03:00 Europe/Berlin`."""
    return f"{_at(schedule, unix_ms):%Y-%m-%d %H:%M} {schedule.timezone or 'UTC'}"


def _at(schedule: Schedule, unix_ms: int) -> datetime:
    whole = _EPOCH + timedelta(seconds=unix_ms // 1_000)
    return whole.astimezone(zone(schedule.timezone))


def _unix_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _wrong(error: Exception) -> str:
    """`Bad day-of-month` in the words of `_FIELDS`; a failed assertion has no words."""
    return str(error).replace("Bad", "bad").replace("-", " ") or "a step within a step"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")
