"""A container spec as the engine's create request (newest API; the runtime speaks with older engines).

Pure. Mounts, networks, and what a container may use have modules of their own beside this one.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from agent.decide import host_config
from agent.decide.goods import goods_environment, with_own_devices
from agent.decide.mounts import binds, mount_requests, tmpfs
from agent.decide.networking import endpoints, network_mode
from agent.decide.templates import expand
from agent.events import NodeRef
from agent.labels import (
    LABEL_CLUSTER,
    LABEL_NODE,
    LABEL_SERVICE,
    LABEL_SLOT,
    LABEL_STACK,
    LABEL_TASK,
    LABEL_VERSION,
)
from bayplan.model import Assignment, ContainerSpec, HealthCheck, PortMode, PortSpec

#: The default log driver keeps 30 MB a container.
DEFAULT_LOG_DRIVER = "json-file"
DEFAULT_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

_NS_PER_MS = 1_000_000


def create_config(identity: NodeRef, assignment: Assignment, spec: ContainerSpec) -> dict[str, Any]:
    """The body of `POST /containers/create`. Fields that the user did not set are left to the image.

    Raises SpecError.
    """
    spec = with_own_devices(expand(spec, identity, assignment), assignment)
    labels = our_labels(identity, assignment)
    config: dict[str, Any] = {
        "Image": spec.image,
        "Env": [*spec.environment, *goods_environment(assignment)],
        "Labels": {**spec.labels, **labels},
        "ExposedPorts": {_port_key(port): {} for port in (*spec.ports, *spec.expose)},
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StopTimeout": -(-spec.stop_grace_ms // 1000),
        "HostConfig": _host_config(spec, labels),
    }
    config |= host_config.given(
        {
            "User": spec.user,
            "WorkingDir": spec.working_dir,
            "Hostname": spec.hostname,
            "Domainname": spec.domainname,
            "StopSignal": spec.stop_signal,
            "Healthcheck": _health_check(spec),
        }
    )
    # None is the image's own, an empty list is none: the engine takes [""] for the latter.
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint) or [""]
    if joined := endpoints(spec):
        config["NetworkingConfig"] = {"EndpointsConfig": joined}
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


def _host_config(spec: ContainerSpec, labels: dict[str, str]) -> dict[str, Any]:
    volume_labels = {key: labels[key] for key in (LABEL_NODE, LABEL_CLUSTER, LABEL_STACK)}
    return {
        "RestartPolicy": {"Name": "no"},  # restarts are decided above the engine
        "PortBindings": _port_bindings(spec.ports),
        "Mounts": mount_requests(spec.mounts, volume_labels),
        "LogConfig": _log_config(spec),
        "ReadonlyRootfs": spec.read_only,
        "Init": spec.init,
        **host_config.given(
            {"Binds": binds(spec.mounts), "Tmpfs": tmpfs(spec.mounts), "NetworkMode": network_mode(spec)}
        ),
        **host_config.names(spec),
        **host_config.amounts(spec),
        **host_config.isolation(spec),
    }


def _port_key(port: PortSpec) -> str:
    return f"{port.target}/{port.protocol}"


def _port_bindings(ports: tuple[PortSpec, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        bindings.setdefault(_port_key(port), []).append(_port_binding(port))
    return bindings


def _port_binding(port: PortSpec) -> dict[str, str]:
    """Host port 0 is "" here: the engine chooses. So it does for a port at which every node answers, by
    which the other nodes reach the container; what is for loopback only stays there."""
    everywhere = port.published and port.mode is PortMode.INGRESS
    reached = everywhere and not (port.host_ip and ip_address(port.host_ip).is_loopback)
    return {
        "HostIp": "" if reached else port.host_ip,
        "HostPort": "" if everywhere else str(port.published or ""),
    }


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
    probe: dict[str, Any] = {
        "Test": list(check.test),
        "Interval": check.interval_ms * _NS_PER_MS,
        "Timeout": check.timeout_ms * _NS_PER_MS,
        "StartPeriod": check.start_period_ms * _NS_PER_MS,
        "Retries": check.retries,
    }
    return probe | host_config.given({"StartInterval": check.start_interval_ms * _NS_PER_MS})
