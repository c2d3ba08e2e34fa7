"""Whether a scheduled job runs now: what becomes of the newest due time that was not dealt with yet. Pure.

Times are Unix ms of the controller's clock, which may be set forth and back. As with cron(8), steps back of
less than three hours repeat no runs, and larger ones are taken as corrections.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from bayplan import cron
from bayplan.model import Schedule

#: A run that starts so late is on time: what a controller's restart and a step of its clock may take.
ON_TIME_MS = 60_000
#: A step back of the clock beyond which it counts as corrected.
CLOCK_BACK_MS = 3 * 3_600_000


class Outcome(Enum):
    """What becomes of a due time; NONE: there is none."""

    NONE = "none"
    STARTED = "started"
    MADE_UP = "made up for"
    LEFT_OUT = "left out"
    MISSED = "missed"


class Verdict(NamedTuple):
    """The outcome, the newest due time that is dealt with then, and the next one."""

    outcome: Outcome
    fired_ms: int
    next_ms: int

    @property
    def runs(self) -> bool:
        """Whether a run starts now."""
        return self.outcome in (Outcome.STARTED, Outcome.MADE_UP)


def judge(schedule: Schedule, fired_ms: int, now_ms: int, *, busy: bool) -> Verdict:
    """The verdict on a job of which the due times up to `fired_ms` are dealt with; at first that is its
    creation. `busy`: its run before is still going on."""
    if fired_ms > now_ms + CLOCK_BACK_MS:
        return Verdict(Outcome.NONE, now_ms, cron.next_due_ms(schedule, now_ms))
    due_ms = cron.last_due_ms(schedule, now_ms)
    if due_ms <= fired_ms:
        return Verdict(Outcome.NONE, fired_ms, cron.next_due_ms(schedule, max(fired_ms, now_ms)))
    return Verdict(_outcome(schedule, now_ms - due_ms, busy), due_ms, cron.next_due_ms(schedule, now_ms))


def _outcome(schedule: Schedule, late_ms: int, busy: bool) -> Outcome:
    if late_ms > max(ON_TIME_MS, schedule.catch_up_ms):
        return Outcome.MISSED
    if busy:
        return Outcome.LEFT_OUT
    return Outcome.STARTED if late_ms <= ON_TIME_MS else Outcome.MADE_UP
