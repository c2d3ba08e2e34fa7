"""Services and nodes as Docker's inspect shows them: the same keys, times in nanoseconds."""

from __future__ import annotations

from typing import Any

from bayplan.model import ContainerSpec, HealthCheck, Mount, Resources, ServiceSpec
from bayplan.render.amounts import rfc3339
from bayplan.views import NodeView, ServiceView

_NS_PER_MS = 1_000_000
_NANO_PER_MILLI = 1_000_000


def service_json(view: ServiceView, spec: ServiceSpec) -> dict[str, Any]:
    """One element of `docker service inspect`."""
    return {
        "ID": view.id,
        "Version": {"Index": view.version},
        "UpdatedAt": rfc3339(view.updated_ms),
        "Spec": {
            "Name": view.name,
            "Labels": spec.labels,
            "TaskTemplate": _task_template(spec),
            "Mode": {"Replicated": {"Replicas": view.desired}},
            "UpdateConfig": {
                "Parallelism": spec.update.parallelism,
                "Delay": spec.update.delay_ms * _NS_PER_MS,
            },
            "EndpointSpec": {"Ports": _ports(spec.container)},
        },
        "ServiceStatus": {
            "RunningTasks": view.running,
            "DesiredTasks": view.desired,
            "ReadyTasks": view.ready,
            "CurrentTasks": view.current,
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
            "Resources": _resources(inventory.capacity),
            "Engine": {"EngineVersion": inventory.engine_version},
            "AgentVersion": inventory.agent_version,
        },
        "Status": {"State": node.status.value, "Addr": node.address, "SilentMs": node.silent_ms},
        "Reserved": _resources(node.reserved),
        "Tasks": node.tasks,
    }


def _task_template(spec: ServiceSpec) -> dict[str, Any]:
    container = spec.container
    return {
        "ContainerSpec": _container(container),
        "Resources": {
            "Limits": _resources(container.limits),
            "Reservations": _resources(spec.reservations),
        },
        "RestartPolicy": {
            "Condition": spec.restart.condition.replace("_", "-"),
            "Delay": spec.restart.delay_ms * _NS_PER_MS,
            "MaxAttempts": spec.restart.max_attempts,
            "Window": spec.restart.window_ms * _NS_PER_MS,
        },
        "Placement": {"Constraints": list(spec.constraints), "MaxReplicas": spec.max_replicas_per_node},
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
    }


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
    if mount.tmpfs_size_bytes or mount.tmpfs_mode:
        shown["TmpfsOptions"] = {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode}
    return shown


def _ports(container: ContainerSpec) -> list[dict[str, Any]]:
    return [
        {
            "Protocol": port.protocol.value,
            "TargetPort": port.target,
            "PublishedPort": port.published,
            "PublishMode": "host",
            "HostIP": port.host_ip,
        }
        for port in container.ports
    ]


def _resources(resources: Resources) -> dict[str, int]:
    return {
        "NanoCPUs": resources.cpu_millis * _NANO_PER_MILLI,
        "MemoryBytes": resources.memory_bytes,
    }
