"""Services, nodes and files for people: `Key:  value` lines, only what is there."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from bayplan.diff import affinity_text
from bayplan.model import (
    PRIORITY_USUAL,
    ContainerSpec,
    HealthCheck,
    HomePolicy,
    PortMode,
    PortSpec,
    Resources,
    ServiceSpec,
    UpdatePolicy,
)
from bayplan.render.amounts import cpus, rfc3339, size
from bayplan.render.docker_json import virtual_addresses
from bayplan.render.printable import one_line, printable
from bayplan.render.reservation import reserved
from bayplan.units import format_duration_ms
from bayplan.views import FileView, NetworkView, NodeView, ServiceView

#: Cells of the keys.
KEY_CELLS = 15

Fields = Iterable[tuple[str, str | Iterable[str]]]


def service_lines(view: ServiceView, spec: ServiceSpec, networks: Sequence[NetworkView] = ()) -> list[str]:
    container = spec.container
    return _lines(
        [
            ("ID", view.id),
            ("Name", view.name),
            ("Stack", view.stack),
            ("Version", f"{view.version}, registry revision {view.revision}"),
            ("Updated", rfc3339(view.updated_ms) if view.updated_ms else ""),
            ("Mode", view.mode.replace("_", "-")),
            ("Replicas", _replicas(view)),
            ("Waits for", view.waits_for),
            ("Rollout", view.rollout),
            ("Schedule", _schedule(spec)),
            ("Next run", rfc3339(view.next_run_ms) if view.next_run_ms else ""),
            ("Labels", _pairs(spec.labels)),
            *_container_fields(container),
            ("Virtual IPs", [f"{ip} in {each.name}" for each, ip in virtual_addresses(view, networks)]),
            ("Reserved", reserved(view.reservation)),
            ("Generic", [f"{name} {count}" for name, count in sorted(spec.generic.items())]),
            ("Limits", _amounts(container.limits)),
            ("Constraints", spec.constraints),
            ("Per node", f"at most {spec.max_replicas_per_node}" if spec.max_replicas_per_node else ""),
            ("Spread over", spec.preferences),
            ("Strategy", spec.strategy.value),
            ("Affinities", [affinity_text(each) for each in spec.affinities]),
            ("Priority", "" if spec.priority == PRIORITY_USUAL else str(spec.priority)),
            ("Volumes", _homes(spec)),
            ("After", [f"{each.service} ({each.condition})" for each in spec.depends_on]),
            ("Restart", _restart(spec)),
            ("Update", _update(spec)),
            ("Rollback", _policy(spec.rollback)),
            ("Draining", f"at most {format_duration_ms(spec.drain_ms)}" if container.is_called else ""),
            ("Fenced", "an isolated node stops its copy before another starts" if spec.fence else ""),
            ("Time to live", format_duration_ms(spec.ttl_ms) if spec.ttl_ms else ""),
        ]
    )


def node_lines(node: NodeView) -> list[str]:
    inventory = node.inventory
    heard = "never" if node.silent_ms < 0 else f"{format_duration_ms(node.silent_ms)} ago"
    return _lines(
        [
            ("ID", node.id),
            ("Name", node.name),
            ("Hostname", inventory.hostname),
            ("Status", f"{node.status}, last heard {heard}"),
            ("Availability", node.availability.value),
            ("Address", node.address),
            ("Joined", rfc3339(node.joined_ms) if node.joined_ms else ""),
            ("Labels", _pairs(node.labels)),
            ("Platform", f"{inventory.os}/{inventory.arch}"),
            ("Engine", f"Docker {inventory.engine_version}" if inventory.engine_version else ""),
            ("Agent", inventory.agent_version),
            ("Engine labels", _pairs(inventory.engine_labels)),
            ("Has", _amounts(inventory.capacity)),
            ("Generic", [f"{name} {count}" for name, count in sorted(inventory.generic.items())]),
            ("Reserved", _amounts(node.reserved)),
            ("Tasks", str(node.tasks)),
            ("Engine silent", format_duration_ms(node.engine_silent_ms) if node.engine_silent_ms else ""),
            ("Held", node.held),
            ("Link MTU", str(node.condition.link_mtu or "")),
            ("Faults", [fault.text for fault in node.condition.faults]),
            ("Spared for", format_duration_ms(node.shaky_ms) if node.shaky_ms else ""),
            ("Drain until", rfc3339(node.drain_until_ms) if node.drain_until_ms else ""),
        ]
    )


def file_lines(file: FileView) -> list[str]:
    """A config with its text; of a secret all but its content."""
    text = (file.content or b"").decode(errors="replace").splitlines()
    return _lines(
        [
            ("ID", file.digest),
            ("Name", file.name),
            ("Version", str(file.version)),
            ("Created", rfc3339(file.created_ms) if file.created_ms else ""),
            ("Updated", rfc3339(file.updated_ms) if file.updated_ms else ""),
            ("Stack", file.stack),
            ("Labels", _pairs(file.labels)),
            ("Used by", file.used_by),
            ("Size", size(file.size_bytes)),
        ]
    ) + (["Data:", *map(printable, text)] if text else [])


def _replicas(view: ServiceView) -> str:
    done = f", {view.completed} completed" if view.completed else ""
    return f"{view.desired} wanted, {view.running} running, {view.ready} ready{done}"


def _container_fields(container: ContainerSpec) -> Fields:
    return [
        ("Image", container.image),
        ("Entrypoint", shlex.join(container.entrypoint or ())),
        ("Command", shlex.join(container.command or ())),
        ("Environment", container.environment),
        ("User", container.user),
        ("Directory", container.working_dir),
        ("Ports", [_port(port) for port in container.ports]),
        ("Mounts", [f"{mount.source or mount.kind} -> {mount.target}" for mount in container.mounts]),
        ("Files", [f"{file.kind} {file.source} -> {file.target}" for file in container.files]),
        ("Networks", [network.network for network in container.networks]),
        ("Health check", _check(container.health_check)),
        ("Probe", container.probe.words if container.probe else ""),
        ("Stop grace", format_duration_ms(container.stop_grace_ms)),
    ]


def _port(port: PortSpec) -> str:
    where = "on every node" if port.mode is PortMode.INGRESS and port.published else "on the task's node"
    at = f"{port.host_ip}:" if port.host_ip else ""
    return f"{at}{port.published or '*'} -> {port.target}/{port.protocol} {where}"


def _check(check: HealthCheck | None) -> str:
    if check is None:
        return ""
    every = format_duration_ms(check.interval_ms)
    return f"{shlex.join(check.test)}, every {every}, {check.retries} failures make it unhealthy"


def _restart(spec: ServiceSpec) -> str:
    delay_ms, attempts = spec.restart.delay_ms, spec.restart.max_attempts
    after = f"after {format_duration_ms(delay_ms)}, doubling" if delay_ms else "at once, then backing off"
    most = f", at most {attempts} times" if attempts else ""
    window = (
        f" within {format_duration_ms(spec.restart.window_ms)}" if attempts and spec.restart.window_ms else ""
    )
    condition = spec.restart.condition.replace("_", "-")
    return condition if condition == "none" else f"{condition}, {after}{most}{window}"


def _update(spec: ServiceSpec) -> str:
    policy = spec.update
    canaries = f", {policy.canaries} canaries" if policy.canaries else ""
    deadline = f", within {format_duration_ms(policy.deadline_ms)} a step" if policy.deadline_ms else ""
    return f"{_policy(policy)}{canaries}{deadline}"


def _policy(policy: UpdatePolicy) -> str:
    parts = [f"{policy.parallelism or 'all'} at once", policy.order.replace("_", "-")]
    parts += [f"{format_duration_ms(policy.delay_ms)} between"] if policy.delay_ms else []
    parts += [f"watched for {format_duration_ms(policy.monitor_ms)}"] if policy.monitor_ms else []
    return ", ".join([*parts, f"on failure {policy.failure_action}"])


def _homes(spec: ServiceSpec) -> str:
    """Where its tasks may come to once its volumes have data; nothing that is usual."""
    return "its tasks stay where its volumes have data" if spec.homes is HomePolicy.STAY else ""


def _schedule(spec: ServiceSpec) -> str:
    if spec.schedule is None:
        return ""
    missed = (
        f", made up for within {format_duration_ms(spec.schedule.catch_up_ms)}"
        if spec.schedule.catch_up_ms
        else ""
    )
    return f"{spec.schedule.cron} ({spec.schedule.timezone or 'UTC'}){missed}"


def _amounts(resources: Resources) -> str:
    parts = [f"{cpus(resources.cpu_millis)} CPU"] if resources.cpu_millis else []
    parts += [size(resources.memory_bytes)] if resources.memory_bytes else []
    parts += [f"{size(resources.disk_bytes)} disk"] if resources.disk_bytes else []
    parts += [f"{resources.pids} pids"] if resources.pids else []
    return ", ".join(parts)


def _pairs(labels: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(labels.items())]


def _lines(fields: Fields) -> list[str]:
    """What is empty is left out; several values stand below each other."""
    lines = []
    for key, value in fields:
        values = [value] if isinstance(value, str) else list(value)
        for index, each in enumerate(filter(None, values)):
            lines.append(f"{'' if index else key + ':':<{KEY_CELLS}}{one_line(each)}")
    return lines
