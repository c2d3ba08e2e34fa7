"""Services, nodes and files as Docker's inspect shows them: the same keys, times in nanoseconds."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from bayplan.model import (
    Affinity,
    ContainerSpec,
    FileKind,
    FileMount,
    HealthCheck,
    Mount,
    NodeFault,
    Resources,
    ServiceMode,
    ServiceSpec,
    UpdatePolicy,
)
from bayplan.render.amounts import rfc3339
from bayplan.views import FileView, NetworkView, NodeView, ServiceView

_NS_PER_MS = 1_000_000
_NANO_PER_MILLI = 1_000_000


def service_json(
    view: ServiceView, spec: ServiceSpec, networks: Sequence[NetworkView] = ()
) -> dict[str, Any]:
    """One element of `docker service inspect`."""
    return {
        "ID": view.id,
        "Version": {"Index": view.version},
        "UpdatedAt": rfc3339(view.updated_ms),
        "Spec": {
            "Name": view.name,
            "Labels": spec.labels,
            "TaskTemplate": _task_template(spec),
            "Mode": _mode(view),
            "UpdateConfig": _update(spec.update),
            "RollbackConfig": _update(spec.rollback),
            "EndpointSpec": {"Mode": spec.endpoint_mode, "Ports": _ports(spec.container)},
        },
        "Endpoint": {
            "Spec": {"Mode": spec.endpoint_mode or "vip"},
            "Ports": _ports(spec.container),
            "VirtualIPs": [
                {"NetworkID": each.id, "NetworkName": each.name, "Addr": _with_prefix(each, address)}
                for each, address in virtual_addresses(view, networks)
            ],
        },
        "ServiceStatus": {
            "RunningTasks": view.running,
            "DesiredTasks": view.desired,
            "ReadyTasks": view.ready,
            "CurrentTasks": view.current,
            "CompletedTasks": view.completed,
        },
        "UpdateStatus": {"Message": view.rollout},
        "Schedule": _schedule(view, spec),
        "Fence": spec.fence,
        "Strategy": spec.strategy.value,
        "Affinities": [_affinity(each) for each in spec.affinities],
        "Priority": spec.priority,
        "VolumeHomes": spec.homes.value,
        "Drain": spec.drain_ms * _NS_PER_MS,
        "TTL": spec.ttl_ms * _NS_PER_MS,
        "WaitsFor": view.waits_for,
        "Reserved": {
            **_resources(view.reservation.resources),
            "CPUOrigin": view.reservation.cpu_origin.value,
            "MemoryOrigin": view.reservation.memory_origin.value,
        },
        "Stack": view.stack,
        "RegistryRevision": view.revision,
    }


def node_json(node: NodeView) -> dict[str, Any]:
    """One element of `docker node inspect`."""
    inventory = node.inventory
    return {
        "ID": node.id,
        "CreatedAt": rfc3339(node.joined_ms),
        "Spec": {"Name": node.name, "Labels": node.labels, "Availability": node.availability.value},
        "Description": {
            "Hostname": inventory.hostname,
            "Platform": {"Architecture": inventory.arch, "OS": inventory.os},
            "Resources": _resources(inventory.capacity) | _generic(inventory.generic),
            "Engine": {"EngineVersion": inventory.engine_version, "Labels": inventory.engine_labels},
            "AgentVersion": inventory.agent_version,
        },
        "Status": {
            "State": node.status.value,
            "Addr": node.address,
            "SilentMs": node.silent_ms,
            "EngineSilentMs": node.engine_silent_ms,
            "Held": node.held,
            "LinkMtu": node.condition.link_mtu,
            "Faults": [_fault(fault) for fault in node.condition.faults],
            "ShakyMs": node.shaky_ms,
            "DrainUntil": rfc3339(node.drain_until_ms),
        },
        "Reserved": _resources(node.reserved),
        "Tasks": node.tasks,
    }


def _fault(fault: NodeFault) -> dict[str, str]:
    return {"Kind": fault.kind.value, "Subject": fault.subject, "Text": fault.text, "Hint": fault.hint}


def file_json(file: FileView) -> dict[str, Any]:
    """One element of `docker config inspect` or `docker secret inspect`; only a config has Data."""
    spec: dict[str, Any] = {"Name": file.name, "Labels": file.labels}
    if file.content is not None:
        spec["Data"] = base64.b64encode(file.content).decode()
    return {
        "ID": file.digest,
        "Version": {"Index": file.version},
        "CreatedAt": rfc3339(file.created_ms),
        "UpdatedAt": rfc3339(file.updated_ms),
        "Spec": spec,
        "Size": file.size_bytes,
        "Stack": file.stack,
        "UsedBy": list(file.used_by),
    }


def _mode(view: ServiceView) -> dict[str, Any]:
    if view.mode is ServiceMode.GLOBAL:
        return {"Global": {}}
    if view.mode is ServiceMode.GLOBAL_JOB:
        return {"GlobalJob": {}}
    if view.mode is ServiceMode.REPLICATED_JOB:
        return {"ReplicatedJob": {"MaxConcurrent": view.desired, "TotalCompletions": view.desired}}
    return {"Replicated": {"Replicas": view.desired}}


def _update(policy: UpdatePolicy) -> dict[str, Any]:
    return {
        "Parallelism": policy.parallelism,
        "Delay": policy.delay_ms * _NS_PER_MS,
        "FailureAction": policy.failure_action.value,
        "Monitor": policy.monitor_ms * _NS_PER_MS,
        "MaxFailureRatio": policy.max_failure_ratio,
        "Order": policy.order.replace("_", "-"),
        "Deadline": policy.deadline_ms * _NS_PER_MS,
        "Canaries": policy.canaries,
        "AutoPromote": policy.auto_promote,
    }


def _schedule(view: ServiceView, spec: ServiceSpec) -> dict[str, Any] | None:
    """When a job runs; None for what is no scheduled job."""
    if spec.schedule is None:
        return None
    return {
        "Cron": spec.schedule.cron,
        "TimeZone": spec.schedule.timezone or "UTC",
        "CatchUp": spec.schedule.catch_up_ms * _NS_PER_MS,
        "NextRun": rfc3339(view.next_run_ms),
    }


def _task_template(spec: ServiceSpec) -> dict[str, Any]:
    container = spec.container
    return {
        "ContainerSpec": _container(container),
        "Resources": {
            "Limits": _resources(container.limits),
            "Reservations": _resources(spec.reservations) | _generic(spec.generic),
        },
        "RestartPolicy": {
            "Condition": spec.restart.condition.replace("_", "-"),
            "Delay": spec.restart.delay_ms * _NS_PER_MS,
            "MaxAttempts": spec.restart.max_attempts,
            "Window": spec.restart.window_ms * _NS_PER_MS,
        },
        "Placement": {
            "Constraints": list(spec.constraints),
            "Preferences": [{"Spread": {"SpreadDescriptor": each}} for each in spec.preferences],
            "MaxReplicas": spec.max_replicas_per_node,
        },
        "Networks": [
            {"Target": network.network, "Aliases": list(network.aliases)} for network in container.networks
        ],
        "LogDriver": {"Name": container.log.driver, "Options": container.log.options},
    }


def _container(container: ContainerSpec) -> dict[str, Any]:
    """Docker's names: Command is the entrypoint, Args the command; null is the image's own."""
    return {
        "Image": container.image,
        "Labels": container.labels,
        "Command": None if container.entrypoint is None else list(container.entrypoint),
        "Args": None if container.command is None else list(container.command),
        "Hostname": container.hostname,
        "Env": list(container.environment),
        "Dir": container.working_dir,
        "User": container.user,
        "Init": container.init,
        "TTY": container.tty,
        "OpenStdin": container.stdin_open,
        "ReadOnly": container.read_only,
        "StopSignal": container.stop_signal,
        "StopGracePeriod": container.stop_grace_ms * _NS_PER_MS,
        "Mounts": [_mount(mount) for mount in container.mounts],
        "Healthcheck": _health_check(container),
        "CapabilityAdd": list(container.cap_add),
        "CapabilityDrop": list(container.cap_drop),
        "Hosts": list(container.extra_hosts),
        "DNSConfig": {
            "Nameservers": list(container.dns),
            "Search": list(container.dns_search),
            "Options": list(container.dns_options),
        },
        "Sysctls": container.sysctls,
        "Ulimits": [
            {"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in container.ulimits
        ],
        "Privileged": container.privileged,
        "Configs": [_file(file) for file in container.files if file.kind is FileKind.CONFIG],
        "Secrets": [_file(file) for file in container.files if file.kind is FileKind.SECRET],
    }


def _file(file: FileMount) -> dict[str, Any]:
    name = f"{file.kind.capitalize()}Name"
    target = {"Name": file.target, "UID": str(file.uid), "GID": str(file.gid), "Mode": file.mode}
    return {"File": target, f"{file.kind.capitalize()}ID": file.digest, name: file.source}


def _health_check(container: ContainerSpec) -> dict[str, Any] | None:
    check: HealthCheck | None = container.health_check
    if container.health_check_disabled:
        return {"Test": ["NONE"]}
    if check is None:
        return None
    return {
        "Test": list(check.test),
        "Interval": check.interval_ms * _NS_PER_MS,
        "Timeout": check.timeout_ms * _NS_PER_MS,
        "StartPeriod": check.start_period_ms * _NS_PER_MS,
        "Retries": check.retries,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Type": mount.kind.value,
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.tmpfs_size_bytes or mount.tmpfs_mode or mount.tmpfs_options:
        shown["TmpfsOptions"] = {
            "SizeBytes": mount.tmpfs_size_bytes,
            "Mode": mount.tmpfs_mode,
            "Options": [option.split("=", 1) for option in mount.tmpfs_options],
        }
    return shown


def _ports(container: ContainerSpec) -> list[dict[str, Any]]:
    return [
        {
            "Protocol": port.protocol.value,
            "TargetPort": port.target,
            "PublishedPort": port.published,
            "PublishMode": port.mode.value,
            "HostIP": port.host_ip,
        }
        for port in container.ports
    ]


def virtual_addresses(view: ServiceView, networks: Sequence[NetworkView]) -> list[tuple[NetworkView, str]]:
    """The networks in which a service has a virtual address, with that."""
    return [
        (each, user.vip)
        for each in networks
        for user in each.services
        if user.service == view.name and user.vip
    ]


def _with_prefix(network: NetworkView, address: str) -> str:
    return f"{address}/{network.subnet.rpartition('/')[2]}"


def _affinity(affinity: Affinity) -> dict[str, Any]:
    return {
        "Service": affinity.service,
        "Topology": affinity.topology or "node",
        "Anti": affinity.anti,
        "Required": affinity.required,
    }


def _generic(counts: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Countable goods, where there are some."""
    goods = [
        {"DiscreteResourceSpec": {"Kind": kind, "Value": count}} for kind, count in sorted(counts.items())
    ]
    return {"GenericResources": goods} if goods else {}


def _resources(resources: Resources) -> dict[str, Any]:
    """Docker's two amounts, and of ours those that are there."""
    own = {"DiskBytes": resources.disk_bytes, "Pids": resources.pids}
    return {
        "NanoCPUs": resources.cpu_millis * _NANO_PER_MILLI,
        "MemoryBytes": resources.memory_bytes,
        **{key: amount for key, amount in own.items() if amount},
    }
