"""The keys of `x-bayplan`: what a service can ask of bayplan for which Compose has no word."""

from __future__ import annotations

import re

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
from bayplan.compose.report import FormError
from bayplan.limits import (
    AFFINITIES_MAX,
    PIDS_MAX,
    PORT_MAX,
    PRIORITY_MAX,
    PROBE_COUNT_MAX,
    PROBE_MS_MAX,
    PROBE_MS_MIN,
    PROBE_PATH_CHARS_MAX,
    TAG_CHARS_MAX,
    TAG_LABEL_PREFIX,
    TAGS_MAX,
    WEIGHT_LABEL,
    WEIGHT_MAX,
)
from bayplan.model import PRIORITY_USUAL, HomePolicy, ProbeKind, Strategy

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


def _probe_ms(field: Field) -> int:
    """A time between probes, or for one; in milliseconds."""
    found = read.duration(field)
    if not PROBE_MS_MIN <= found <= PROBE_MS_MAX:
        raise field.refuse(f"shall be from {PROBE_MS_MIN}ms to {PROBE_MS_MAX // 60_000}m")
    return found


_PATH = re.compile(r"/[!-~]*")


def _parse_path(value: str) -> str:
    """The path of a URL, with its query. Raises FormError."""
    if len(value) > PROBE_PATH_CHARS_MAX or not _PATH.fullmatch(value):
        raise FormError("a path begins with / and has no spaces", "write it like /health")
    return value


_COUNT = whole(1, PROBE_COUNT_MAX)
#: What only one kind of probe has.
_OF_KIND = {ProbeKind.HTTP: ("path", "host", "tls"), ProbeKind.GRPC: ("service",)}
PROBE: Keys = {
    "type": yes(choice({each.value: each for each in ProbeKind}), "`http`, `tcp` or `grpc` (grpc.health.v1)"),
    "port": yes(whole(1, PORT_MAX), "the container's; the first of `ports`, else of `expose`"),
    "path": yes(via(_parse_path), "http: an answer from 200 to 399 is good; `/`"),
    "host": yes(text, "http: the header Host; the container's address"),
    "tls": yes(flag, "http: as https; the certificate is not checked"),
    "service": yes(text, "grpc: the name to ask for; empty is the server as a whole"),
    "interval": yes(_probe_ms, "from 100ms; 2s"),
    "timeout": yes(_probe_ms, "from 100ms; 2s"),
    "rise": yes(_COUNT, "successes in a row that make it ready again; the first one of all is enough; 2"),
    "fall": yes(_COUNT, "failures in a row that make it unready; 3"),
    "start_period": yes(read.duration, "failures do not count for so long after the start; 0s"),
}
_PROBE = struct(typed.Probe, PROBE, "a probe")


def _probe(field: Field) -> typed.Probe:
    found = _PROBE(field)
    if found.type is None:
        raise field.refuse("does not say how", hint="add `type: http`, `tcp` or `grpc`")
    for kind, keys in _OF_KIND.items():
        for key in [each for each in keys if each in found.places and found.type is not kind]:
            raise field.refuse(f"has {key}, which is for type {kind.value}", hint=f"remove `{key}`")
    return found


RESERVATIONS: Keys = {
    "disk": yes(read.size, "where the engine keeps its data"),
    "pids": yes(whole(0, PIDS_MAX), "processes"),
}

_TAG = re.compile(r"[^\s=]+(=[^\n\r]*)?")


def _tag(field: Field) -> str:
    found = text(field)
    if not _TAG.fullmatch(found) or len(found) > TAG_CHARS_MAX:
        raise field.refuse("is no tag", hint=f"write NAME or NAME=VALUE, at most {TAG_CHARS_MAX} characters")
    return found


#: `x-bayplan` of a network.
SPAN: Keys = {
    "scope": yes(
        choice({"cluster": False, "node": True}),
        "`node`: a network of each node's own, by which tasks of different nodes do not meet; `cluster`",
    ),
    "encrypted": yes(flag, "what leaves a node is encrypted: its tasks run on nodes that have WireGuard"),
}
BAYPLAN: Keys = {
    "fence": yes(flag, "a node that is cut off stops its copy before another one may start elsewhere"),
    "drain": yes(
        read.duration,
        "how long a task with ports or a network serves on at most, when it is to stop and found no more; 1s",
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
    "tags": yes(
        few(TAGS_MAX, _tag),
        f"by which the registry finds it: NAME or NAME=VALUE; the same as labels `{TAG_LABEL_PREFIX}NAME`",
    ),
    "weight": yes(
        whole(0, WEIGHT_MAX),
        f"of each instance among those of the service, 0: nobody new; the same as the label `{WEIGHT_LABEL}`",
    ),
    "prefer": yes(
        choice({"local": True, "any": False}),
        "`local`: who asks on a node that has a ready instance is sent to that; `any`",
    ),
    "probe": yes(_probe, "how the agent asks from outside whether it is ready; it is never stopped for that"),
    "update": yes(struct(typed.Gate, UPDATE, "update")),
    "rollback": yes(struct(typed.Gate, ROLLBACK, "rollback")),
}
