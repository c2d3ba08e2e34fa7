"""A container spec as the engine's create request (API 1.41 and later).

Pure. What it leaves to the runtime: networks beyond the first are connected before the start,
because this API takes one endpoint in a create.
"""

from __future__ import annotations

from typing import Any

from agent.events import NodeRef
from agent.labels import (
    LABEL_CLUSTER,
    LABEL_NODE,
    LABEL_SERVICE,
    LABEL_SLOT,
    LABEL_STACK,
    LABEL_TASK,
    LABEL_VERSION,
    PREDEFINED_NETWORKS,
)
from bayplan.model import (
    Assignment,
    ContainerSpec,
    HealthCheck,
    Mount,
    MountKind,
    PortSpec,
)

#: The default log driver keeps 30 MB a container.
DEFAULT_LOG_DRIVER = "json-file"
DEFAULT_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

_NS_PER_MS = 1_000_000
_NANO_CPUS_PER_MILLI = 1_000_000


def create_config(identity: NodeRef, assignment: Assignment, spec: ContainerSpec) -> dict[str, Any]:
    """The body of `POST /containers/create`. Fields that the user did not set are left to the image."""
    config: dict[str, Any] = {
        "Image": spec.image,
        "Env": list(spec.environment),
        "Labels": {**spec.labels, **our_labels(identity, assignment)},
        "ExposedPorts": {_port_key(port): {} for port in (*spec.ports, *spec.expose)},
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StopTimeout": -(-spec.stop_grace_ms // 1000),
        "HostConfig": _host_config(spec),
    }
    optional: dict[str, Any] = {
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "Hostname": spec.hostname,
        "StopSignal": spec.stop_signal,
        "Healthcheck": _health_check(spec),
    }
    config |= {key: value for key, value in optional.items() if value}
    # None is the image's own, an empty list is none: the engine takes [""] for the latter.
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint) or [""]
    if spec.networks and spec.networks[0].network not in PREDEFINED_NETWORKS:
        first = spec.networks[0]
        config["NetworkingConfig"] = {"EndpointsConfig": {first.network: {"Aliases": list(first.aliases)}}}
    return config


def our_labels(identity: NodeRef, assignment: Assignment) -> dict[str, str]:
    """The labels that make a container ours and tell which task it is."""
    return {
        LABEL_NODE: identity.node_id,
        LABEL_CLUSTER: identity.cluster_id,
        LABEL_TASK: assignment.task_id,
        LABEL_SERVICE: assignment.service,
        LABEL_STACK: assignment.stack,
        LABEL_SLOT: str(assignment.slot),
        LABEL_VERSION: str(assignment.version),
    }


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},  # restarts are decided above the engine
        "PortBindings": _port_bindings(spec.ports),
        "Mounts": [_mount(mount) for mount in spec.mounts],
        "LogConfig": _log_config(spec),
        "ReadonlyRootfs": spec.read_only,
        "Init": spec.init,
    }
    optional: dict[str, Any] = {
        "NanoCpus": spec.limits.cpu_millis * _NANO_CPUS_PER_MILLI,
        "Memory": spec.limits.memory_bytes,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "ExtraHosts": list(spec.extra_hosts),
        "NetworkMode": spec.networks[0].network if spec.networks else "",
    }
    return host | {key: value for key, value in optional.items() if value}


def _port_key(port: PortSpec) -> str:
    return f"{port.target}/{port.protocol}"


def _port_bindings(ports: tuple[PortSpec, ...]) -> dict[str, list[dict[str, str]]]:
    """Host port 0 is "" here: the engine chooses."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        binding = {"HostIp": port.host_ip, "HostPort": str(port.published or "")}
        bindings.setdefault(_port_key(port), []).append(binding)
    return bindings


def _mount(mount: Mount) -> dict[str, Any]:
    """A mount of the Mounts API, which refuses a missing bind source instead of making a directory."""
    made: dict[str, Any] = {
        "Type": str(mount.kind),
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.kind is MountKind.TMPFS:
        options = {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode}
        made["TmpfsOptions"] = {key: value for key, value in options.items() if value}
    return made


def _log_config(spec: ContainerSpec) -> dict[str, Any]:
    """The user's driver, or a rotated json-file; the user's options win over the default ones."""
    driver = spec.log.driver or DEFAULT_LOG_DRIVER
    options = dict(spec.log.options)
    if driver == DEFAULT_LOG_DRIVER:
        options = DEFAULT_LOG_OPTIONS | options
    return {"Type": driver, "Config": options}


def _health_check(spec: ContainerSpec) -> dict[str, Any] | None:
    """None leaves the image's own check on."""
    if spec.health_check_disabled:
        return {"Test": ["NONE"]}
    return _probe(spec.health_check) if spec.health_check else None


def _probe(check: HealthCheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": check.interval_ms * _NS_PER_MS,
        "Timeout": check.timeout_ms * _NS_PER_MS,
        "StartPeriod": check.start_period_ms * _NS_PER_MS,
        "Retries": check.retries,
    }
