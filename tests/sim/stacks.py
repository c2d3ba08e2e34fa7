"""Stacks and services in few words."""

from __future__ import annotations

from typing import Any

from bayplan.model import (
    ContainerSpec,
    HealthCheck,
    NetworkAttachment,
    PortSpec,
    Resources,
    ServiceSpec,
    StackSpec,
)


def service(
    name: str = "web",
    replicas: int = 1,
    image: str = "app",
    *,
    cpu: float = 0.1,
    port: int = 0,
    health: bool = False,
    network: str = "",
    version: str = "",
    **fields: Any,
) -> ServiceSpec:
    """A service; another `version` is another spec, `port` a fixed port of its nodes."""
    container = ContainerSpec(
        image=image,
        command=(version,) if version else None,
        stop_grace_ms=4_000 if image == "slow" else 10_000,
        ports=(PortSpec(target=80, published=port),) if port else (),
        expose=() if port else (PortSpec(target=80),),
        health_check=HealthCheck(test=("CMD", "true"), interval_ms=1_000, retries=3) if health else None,
        networks=(NetworkAttachment(network=network),) if network else (),
    )
    reservations = Resources(cpu_millis=int(cpu * 1000), memory_bytes=1 << 20)
    return ServiceSpec(name=name, container=container, replicas=replicas, reservations=reservations, **fields)


def stack(name: str, *services: ServiceSpec) -> StackSpec:
    """A stack of services."""
    return StackSpec(name=name, services=services or (service(),))
