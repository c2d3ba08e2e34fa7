"""The keys of `deploy`: how many, where, with how much, and how a new version comes in."""

from __future__ import annotations

from bayplan.compose import decoders as read
from bayplan.compose import typed
from bayplan.compose.devices import device_request, generic_resources
from bayplan.compose.fields import (
    Field,
    Keys,
    Typed,
    choice,
    each,
    few,
    labels,
    mapped,
    struct,
    via,
    whole,
    yes,
)
from bayplan.compose.names import parse_attribute, parse_constraint
from bayplan.limits import CONSTRAINTS_MAX, PREFERENCES_MAX, REPLICAS_MAX
from bayplan.model import FailureAction, RestartCondition, ServiceMode, UpdateOrder


class _Preference(Typed, frozen=True, kw_only=True):
    spread: str = ""


PREFERENCE: Keys = {"spread": yes(via(parse_attribute), "`node.labels.NAME`, or another attribute of nodes")}
_PREFERENCE = struct(_Preference, PREFERENCE, "a preference")


def _preference(field: Field) -> str:
    preference = _PREFERENCE(field)
    if "spread" not in preference.places:
        raise field.refuse("is not a preference", hint="write `spread: node.labels.NAME`")
    return preference.spread


LIMITS: Keys = {
    "cpus": yes(read.cpus),
    "memory": yes(read.memory_limit),
    "pids": yes(read.pids, "4096 on the node where none is given; -1 is without limit"),
}
RESERVATIONS: Keys = {
    "cpus": yes(read.cpus),
    "memory": yes(read.size),
    "devices": yes(each(device_request), "those of the capability `gpu` are counted on the nodes too"),
    "generic_resources": yes(generic_resources),
}
RESOURCES: Keys = {
    "limits": yes(struct(typed.Amounts, LIMITS, "limits")),
    "reservations": yes(struct(typed.Amounts, RESERVATIONS, "reservations")),
}
RESTART_POLICY: Keys = {
    "condition": mapped(
        choice(
            {
                "any": RestartCondition.ANY,
                "on-failure": RestartCondition.ON_FAILURE,
                "none": RestartCondition.NONE,
                **dict.fromkeys(("always", "unless-stopped"), RestartCondition.ANY),
                "no": RestartCondition.NONE,
            }
        ),
        "`any`, `on-failure` or `none`; the words of `restart` are taken too",
    ),
    "delay": mapped(read.duration, "the first delay; further ones double up to 5 minutes"),
    "max_attempts": yes(read.count),
    "window": yes(read.duration),
}
_ROLLOUT: Keys = {
    "parallelism": yes(read.count, "0 is all at once"),
    "delay": yes(read.duration),
    "order": yes(
        choice({"stop-first": UpdateOrder.STOP_FIRST, "start-first": UpdateOrder.START_FIRST}),
        "where none is given: start-first if two tasks of a slot can be side by side, else stop-first",
    ),
    "monitor": yes(read.duration),
    "max_failure_ratio": yes(read.ratio),
}
_ACTIONS = {"pause": FailureAction.PAUSE, "continue": FailureAction.CONTINUE}
UPDATE_CONFIG: Keys = {
    **_ROLLOUT,
    "failure_action": mapped(
        choice({**_ACTIONS, "rollback": FailureAction.ROLLBACK}),
        "`rollback` where none is given (Docker's default is `pause`)",
    ),
}
ROLLBACK_CONFIG: Keys = {**_ROLLOUT, "failure_action": yes(choice(_ACTIONS))}
PLACEMENT: Keys = {
    "constraints": yes(few(CONSTRAINTS_MAX, via(parse_constraint)), f"at most {CONSTRAINTS_MAX}"),
    "preferences": yes(few(PREFERENCES_MAX, _preference), f"at most {PREFERENCES_MAX}"),
    "max_replicas_per_node": yes(whole(0, REPLICAS_MAX)),
}
DEPLOY: Keys = {
    "mode": yes(
        choice(
            {
                "replicated": ServiceMode.REPLICATED,
                "global": ServiceMode.GLOBAL,
                "replicated-job": ServiceMode.REPLICATED_JOB,
                "global-job": ServiceMode.GLOBAL_JOB,
            }
        )
    ),
    "replicas": yes(whole(0, REPLICAS_MAX)),
    "labels": yes(labels, "labels of the service"),
    "endpoint_mode": mapped(
        choice({"vip": "vip", "dnsrr": "dnsrr"}), "kept; in both, a name has the addresses of the tasks"
    ),
    "resources": yes(struct(typed.Resources, RESOURCES, "deploy.resources")),
    "restart_policy": yes(struct(typed.Restart, RESTART_POLICY, "a restart policy")),
    "update_config": yes(struct(typed.Update, UPDATE_CONFIG, "update_config")),
    "rollback_config": yes(struct(typed.Update, ROLLBACK_CONFIG, "rollback_config")),
    "placement": yes(struct(typed.Placement, PLACEMENT, "a placement")),
}
