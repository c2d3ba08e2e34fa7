"""The keys of `x-bayplan`: what a service can ask of bayplan for which Compose has no word."""

from __future__ import annotations

from bayplan import cron
from bayplan.compose import decoders as read
from bayplan.compose import typed
from bayplan.compose.fields import (
    Decoder,
    Field,
    Keys,
    Placed,
    choice,
    few,
    flag,
    placed,
    struct,
    text,
    via,
    whole,
    yes,
)
from bayplan.compose.names import parse_attribute, parse_reference
from bayplan.compose.nodes import List, Scalar
from bayplan.limits import AFFINITIES_MAX, PIDS_MAX, PRIORITY_MAX
from bayplan.model import PRIORITY_USUAL, HomePolicy, Strategy

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


_MOST = f"at most {AFFINITIES_MAX}"
_PRIORITY = (
    f"who comes first where there is not room for all; {PRIORITY_USUAL}. In a cluster made with "
    "`bayplan init --preemption` a task that finds no room stops the fewest tasks whose priority is lower by "
    "10 or more, but none of jobs, of fenced or global services, or that stay with their volumes"
)
#: What stands for the node itself where an attribute of nodes is asked for.
NODE = "node"


def _topology(field: Field) -> str:
    return "" if text(field) == NODE else via(parse_attribute)(field)


AFFINITY: Keys = {
    "service": yes(via(parse_reference), "a service of the file, or another one's full name"),
    "topology": yes(_topology, "whose value counts: `node` if none is given, `node.labels.zone`, ..."),
    "required": yes(flag, "otherwise it is preferred"),
}
_AFFINITY = struct(typed.Affinity, AFFINITY, "an affinity")


def _affinity(field: Field) -> typed.Affinity:
    """A service's name alone, or the long form."""
    if isinstance(field.node, Scalar):
        return typed.Affinity(service=via(parse_reference)(field))
    found = _AFFINITY(field)
    if "service" not in found.places:
        raise field.refuse("does not say to which service", hint="add `service: NAME`")
    return found


_affinity_list: Decoder[tuple[Placed[typed.Affinity], ...]] = few(AFFINITIES_MAX, placed(_affinity))


def _affinities(field: Field) -> tuple[Placed[typed.Affinity], ...]:
    """One, or a list."""
    return _affinity_list(field) if isinstance(field.node, List) else (placed(_affinity)(field),)


RESERVATIONS: Keys = {
    "disk": yes(read.size, "where the engine keeps its data"),
    "pids": yes(whole(0, PIDS_MAX), "processes"),
}

BAYPLAN: Keys = {
    "fence": yes(flag, "a node that is cut off stops its copy before another one may start elsewhere"),
    "drain": yes(
        read.duration,
        "how long a task that will stop serves on, at most, once it is found no more; 1s",
    ),
    "schedule": yes(_schedule, "a job's; a run that is due while the one before goes on is left out"),
    "ttl": yes(read.duration, "a job's that has no schedule: it is removed so long after it has finished"),
    "strategy": yes(
        choice({"pack": Strategy.PACK, "binpack": Strategy.PACK, "spread": Strategy.SPREAD}),
        "`pack` (few nodes, at most a third of the service on one) or `spread` (evenly over nodes); `pack`",
    ),
    "affinity": yes(_affinities, f"near to tasks of these services; names, or the long form; {_MOST}"),
    "anti_affinity": yes(_affinities, "away from them; a required one holds for the other service too"),
    "priority": yes(whole(0, PRIORITY_MAX), _PRIORITY),
    "reservations": yes(struct(typed.Aside, RESERVATIONS, "reservations")),
    "volumes": yes(
        choice({each.value: each for each in HomePolicy}),
        "`prefer` or `stay`: a task comes back to the node where its named volumes have data, if it can, or "
        "waits for it; `prefer`",
    ),
    "update": yes(struct(typed.Gate, UPDATE, "update")),
    "rollback": yes(struct(typed.Gate, ROLLBACK, "rollback")),
}
