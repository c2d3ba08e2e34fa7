"""The flags that describe a service: their words are Docker's where Docker has them, and what each edits.

One table for `service create`, `service update` and `run`, in the order in which they are applied: what is
taken away goes before what is added. Knows nothing of the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.cli import edits
from bayplan.cli.edits import Edit, appends, drops, drops_named, health, maps, puts, sets, unmaps, whole
from bayplan.limits import PIDS_MAX, PRIORITY_MAX, REPLICAS_MAX
from bayplan.model import (
    PRIORITY_USUAL,
    FailureAction,
    FileKind,
    HomePolicy,
    RestartCondition,
    ServiceMode,
    Strategy,
    UpdateOrder,
)
from bayplan.units import parse_bytes, parse_cpus
from bayplan.units import parse_duration_ms as ms

#: The commands that offer a flag.
CREATE, UPDATE, RUN = "create", "update", "run"
#: Docker's words for the modes.
MODES = {mode.replace("_", "-"): mode for mode in ServiceMode}
_ORDERS = {order.replace("_", "-"): order for order in UpdateOrder}
_ACTIONS = {action.value: action for action in FailureAction}
_CONDITIONS = {condition.replace("_", "-"): condition for condition in RestartCondition}
_STRATEGIES = {each.value: each for each in Strategy}
_HOMES = {each.value: each for each in HomePolicy}
_SECRET, _CONFIG = FileKind.SECRET, FileKind.CONFIG


class Flag(NamedTuple):
    """A flag: its words with what it takes (nothing: it is a switch), its help, and what it does."""

    form: str
    help: str
    edit: Edit
    commands: Sequence[str] = (CREATE, UPDATE)
    many: bool = False

    @property
    def words(self) -> list[str]:
        """As they are typed, short ones first."""
        return [word for word in self.form.split() if word.startswith("-")]

    @property
    def metavar(self) -> str:
        """What it takes; empty for a switch."""
        return " ".join(word for word in self.form.split() if not word.startswith("-"))

    @property
    def key(self) -> str:
        """The name under which its texts are kept."""
        return max(self.words, key=len).lstrip("-").replace("-", "_")


def _policy(name: str, whose: str) -> list[tuple[str, str, Edit]]:
    """The flags of `update` and of `rollback`, whose policies are alike."""
    order, action = edits.one_of(_ORDERS), edits.one_of(_ACTIONS)
    return [
        (
            f"--{name}-parallelism N",
            f"Tasks {whose} at once; 0 is all.",
            sets(f"{name}.parallelism", whole(0)),
        ),
        (f"--{name}-delay DURATION", "Time between two such groups.", sets(f"{name}.delay_ms", ms)),
        (f"--{name}-order ORDER", "auto, stop-first or start-first.", sets(f"{name}.order", order)),
        (f"--{name}-monitor DURATION", "What fails so soon is a failure.", sets(f"{name}.monitor_ms", ms)),
        (
            f"--{name}-max-failure-ratio SHARE",
            "Failures put up with, 0 to 1.",
            sets(f"{name}.max_failure_ratio", edits.share),
        ),
        (
            f"--{name}-failure-action ACTION",
            "pause, continue or rollback.",
            sets(f"{name}.failure_action", action),
        ),
    ]


_REMOVALS: list[tuple[str, str, Edit]] = [
    ("--env-rm NAME", "Remove a variable.", drops_named("container.environment", edits.variable)),
    ("--publish-rm PORT", "Publish a target port no more.", edits.port_removals),
    ("--mount-rm TARGET", "Remove a mount.", drops_named("container.mounts", edits.target_of)),
    ("--network-rm NETWORK", "Leave a network.", drops_named("container.networks", edits.network_of)),
    ("--secret-rm SECRET", "Mount a secret no more.", edits.file_removals(_SECRET)),
    ("--config-rm CONFIG", "Mount a config no more.", edits.file_removals(_CONFIG)),
    ("--label-rm KEY", "Remove a label of the service.", unmaps("labels")),
    ("--container-label-rm KEY", "Remove a label of its containers.", unmaps("container.labels")),
    ("--constraint-rm TEXT", "Remove a constraint.", drops("constraints", edits.constraint)),
    ("--placement-pref-rm TEXT", "Remove a preference.", drops("preferences", edits.preference)),
    ("--affinity-rm SERVICE", "No more near its tasks.", edits.affinity_removals(anti=False)),
    ("--anti-affinity-rm SERVICE", "No more away from its tasks.", edits.affinity_removals(anti=True)),
    ("--generic-resource-rm NAME", "Set aside no such goods.", unmaps("generic")),
    ("--host-rm HOST:IP", "Remove an entry of /etc/hosts.", drops("container.extra_hosts", edits.host)),
    ("--dns-rm IP", "Ask a name server no more.", drops("container.dns")),
    ("--sysctl-rm NAME", "Leave a kernel parameter as it is.", unmaps("container.sysctls")),
]
_UPDATES: list[tuple[str, str, Edit]] = [
    ("--image IMAGE", "Another image.", edits.image),
    ("--args COMMAND", "The command, as one text.", sets("container.command", edits.command)),
    ("--no-auto-promote", "Canaries wait for `rollout promote`.", puts("update.auto_promote", False)),
    ("--no-fence", "Others may start while a cut-off copy runs.", puts("fence", False)),
    ("--no-schedule", "The job runs once, now.", puts("schedule", None)),
    ("--force", "New tasks though nothing else changes.", edits.again),
]
_ADDITIONS: list[tuple[str, str, Edit]] = [
    ("-e --env --env-add NAME=VALUE", "A variable; NAME alone takes this shell's.", edits.environment),
    ("-p --publish --publish-add PORT", "Publish on every node, as 8080:80.", edits.ports),
    ("--mount --mount-add MOUNT", "type=volume|bind|tmpfs,source=...,target=...", edits.mounts),
    ("-v --volume MOUNT", "NAME:/path or /folder:/path[:ro].", edits.short_mounts),
    ("--network --network-add NETWORK", "Join it instead of the stack's own.", edits.networks),
    ("--secret --secret-add SECRET", "NAME, or source=NAME,target=PATH.", edits.files(_SECRET)),
    ("--config --config-add CONFIG", "NAME, or source=NAME,target=PATH.", edits.files(_CONFIG)),
    ("-l --label --label-add KEY=VALUE", "A label of the service.", maps("labels")),
    ("--container-label --container-label-add KEY=VALUE", "Of its containers.", maps("container.labels")),
    (
        "--constraint --constraint-add TEXT",
        "Only nodes such as node.labels.zone==a.",
        appends("constraints", edits.constraint),
    ),
    (
        "--placement-pref --placement-pref-add TEXT",
        "Spread tasks: spread=node.labels.zone.",
        appends("preferences", edits.preference),
    ),
    (
        "--affinity --affinity-add SERVICE",
        "Near its tasks; or service=NAME,topology=KEY,required.",
        edits.affinities(anti=False),
    ),
    (
        "--anti-affinity --anti-affinity-add SERVICE",
        "Away from them, as above; its own name: apart.",
        edits.affinities(anti=True),
    ),
    (
        "--generic-resource --generic-resource-add NAME=N",
        "Goods set aside for a task, as gpu=1.",
        edits.counts("generic"),
    ),
    ("--host --host-add HOST:IP", "An entry of /etc/hosts.", appends("container.extra_hosts", edits.host)),
    ("--dns --dns-add IP", "A name server.", appends("container.dns")),
    ("--sysctl --sysctl-add NAME=VALUE", "A kernel parameter of the container.", maps("container.sysctls")),
    ("--group --group-add GROUP", "One more group of its processes.", appends("container.group_add")),
    ("--log-opt NAME=VALUE", "An option of the log driver.", maps("container.log.options")),
    ("--cap-add CAP", "A capability to give, as NET_ADMIN.", appends("container.cap_add", edits.capability)),
    ("--cap-drop CAP", "A capability to take.", appends("container.cap_drop", edits.capability)),
]
_CONTAINER: list[tuple[str, str, Edit]] = [
    ("--entrypoint COMMAND", "The entrypoint, as one text.", sets("container.entrypoint", edits.command)),
    ("--limit-cpu CPUS", "CPU that a task may use, as 0.5.", sets("container.limits.cpu_millis", parse_cpus)),
    ("--limit-memory SIZE", "Memory, as 512M.", sets("container.limits.memory_bytes", parse_bytes)),
    ("--limit-pids N", "Processes; 0 is the node's usual limit.", sets("container.pids_limit", whole(0))),
    ("--reserve-cpu CPUS", "CPU set aside for a task.", sets("reservations.cpu_millis", parse_cpus)),
    ("--reserve-memory SIZE", "Memory set aside.", sets("reservations.memory_bytes", parse_bytes)),
    ("--reserve-disk SIZE", "Disk set aside, as 10G.", sets("reservations.disk_bytes", parse_bytes)),
    ("--reserve-pids N", "Processes set aside.", sets("reservations.pids", whole(0, PIDS_MAX))),
    (
        "--priority N",
        f"0 to {PRIORITY_MAX}: who comes first; {PRIORITY_USUAL} is usual.",
        sets("priority", whole(0, PRIORITY_MAX)),
    ),
    ("--stop-grace-period DURATION", "From the signal to the kill.", sets("container.stop_grace_ms", ms)),
    ("--stop-signal SIGNAL", "The signal that asks it to stop.", sets("container.stop_signal")),
    ("-u --user USER", "The user of its processes.", sets("container.user")),
    ("-w --workdir DIR", "The folder in which it starts.", sets("container.working_dir")),
    ("--hostname NAME", "The containers' name for themselves.", sets("container.hostname")),
    ("--log-driver NAME", "Where its output goes.", sets("container.log.driver")),
    ("-t --tty", "Give it a terminal.", puts("container.tty", True)),
    ("--init", "Run an init that reaps processes.", puts("container.init", True)),
    ("--read-only", "The container's own files cannot be written.", puts("container.read_only", True)),
]
_SERVICE: list[tuple[str, str, Edit]] = [
    ("--replicas N", "How many tasks.", edits.replicas),
    (
        "--replicas-max-per-node N",
        "On one node; 0: any number.",
        sets("max_replicas_per_node", whole(0, REPLICAS_MAX)),
    ),
    (
        "--strategy WORD",
        "pack (on few nodes) or spread (evenly).",
        sets("strategy", edits.one_of(_STRATEGIES)),
    ),
    (
        "--volume-homes WORD",
        "To its volumes' node: prefer (if it can) or stay.",
        sets("homes", edits.one_of(_HOMES)),
    ),
    ("--health-cmd COMMAND", "Command that checks a task's health.", health("test", edits.shell)),
    ("--health-interval DURATION", "Time between two checks.", health("interval_ms", ms)),
    ("--health-timeout DURATION", "How long one check may take.", health("timeout_ms", ms)),
    ("--health-retries N", "Failures that make a task unhealthy.", health("retries", whole(1))),
    ("--health-start-period DURATION", "Failures do not count so long.", health("start_period_ms", ms)),
    ("--health-start-interval DURATION", "Between checks until then.", health("start_interval_ms", ms)),
    ("--no-healthcheck", "No health check, not even the image's.", edits.no_health),
    (
        "--restart-condition WORD",
        "any, on-failure, none.",
        sets("restart.condition", edits.one_of(_CONDITIONS)),
    ),
    ("--restart-delay DURATION", "The first; further ones double up to 5m.", sets("restart.delay_ms", ms)),
    ("--restart-max-attempts N", "At most; 0: without end.", sets("restart.max_attempts", whole(0))),
    ("--restart-window DURATION", "In which those are counted.", sets("restart.window_ms", ms)),
    *_policy("update", "updated"),
    ("--canaries N", "New tasks beside the old until promoted.", sets("update.canaries", whole(0))),
    ("--auto-promote", "Healthy canaries are promoted unasked.", puts("update.auto_promote", True)),
    ("--deadline DURATION", "Without progress so long it failed; 0: never.", sets("update.deadline_ms", ms)),
    *_policy("rollback", "taken back"),
    ("--fence", "A cut-off copy stops before another starts.", puts("fence", True)),
    ("--drain DURATION", "How long a task serves on, no longer found.", sets("drain_ms", ms)),
    ("--schedule CRON", 'When a job runs: "*/15 * * * *", @daily.', edits.schedule("cron")),
    ("--timezone ZONE", "The schedule's, as Europe/Berlin.", edits.schedule("timezone")),
    ("--catch-up DURATION", "Make up for a run missed so recently.", edits.schedule("catch_up_ms", ms)),
    ("--ttl DURATION", "Remove a finished job after so long.", sets("ttl_ms", ms)),
]

FLAGS: tuple[Flag, ...] = (
    *(Flag(*row, commands=(UPDATE,), many=True) for row in _REMOVALS),
    *(Flag(*row, commands=(UPDATE,)) for row in _UPDATES),
    *(Flag(*row, commands=(CREATE, UPDATE, RUN), many=True) for row in _ADDITIONS),
    *(Flag(*row, commands=(CREATE, UPDATE, RUN)) for row in _CONTAINER),
    *(Flag(*row) for row in _SERVICE),
)
