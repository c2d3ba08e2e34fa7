"""The keys of `x-bayplan`: what a service can ask of bayplan for which Compose has no word."""

from __future__ import annotations

from bayplan import cron
from bayplan.compose import decoders as read
from bayplan.compose import typed
from bayplan.compose.fields import Field, Keys, flag, struct, via, yes

SCHEDULE: Keys = {
    "cron": yes(via(cron.parse_cron), 'five fields, as in crontab: `"*/5 * * * *"`'),
    "timezone": yes(via(cron.parse_zone), "such as `Europe/Berlin`; UTC where none is given"),
    "catch_up": yes(
        read.duration, "a run that was missed is made up for, once, if it was due at most so long ago"
    ),
}
_DEADLINE = yes(read.duration, "without any progress for so long it has failed; 5m, and 0 is never")
UPDATE: Keys = {
    "deadline": _DEADLINE,
    "canaries": yes(read.count, "so many new tasks run beside the old ones until they are promoted"),
    "auto_promote": yes(flag, "once all canaries are ready, and were for the monitor time"),
}
ROLLBACK: Keys = {"deadline": _DEADLINE}

_SCHEDULE = struct(typed.Cron, SCHEDULE, "a schedule")


def _schedule(field: Field) -> typed.Cron:
    found = _SCHEDULE(field)
    if "cron" not in found.places:
        raise field.refuse("does not say when", hint='add `cron: "*/5 * * * *"`')
    return found


BAYPLAN: Keys = {
    "fence": yes(flag, "a node that is cut off stops its copy before another one may start elsewhere"),
    "drain": yes(
        read.duration,
        "how long a task that will stop serves on, at most, once it is found no more; 1s",
    ),
    "schedule": yes(_schedule, "a job's; a run that is due while the one before goes on is left out"),
    "ttl": yes(read.duration, "a job's that has no schedule: it is removed so long after it has finished"),
    "update": yes(struct(typed.Gate, UPDATE, "update")),
    "rollback": yes(struct(typed.Gate, ROLLBACK, "rollback")),
}
