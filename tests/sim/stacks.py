"""Stacks and services in few words."""

from __future__ import annotations

from typing import Any

from bayplan.model import (
    ContainerSpec,
    FileKind,
    FileMount,
    HealthCheck,
    NetworkAttachment,
    PortSpec,
    Resources,
    ServiceSpec,
    StackFile,
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
    secret: str = "",
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
        files=(_mount(secret),) if secret else (),
        networks=(NetworkAttachment(network=network),) if network else (),
    )
    reservations = Resources(cpu_millis=int(cpu * 1000), memory_bytes=1 << 20)
    return ServiceSpec(name=name, container=container, replicas=replicas, reservations=reservations, **fields)


def stack(name: str, *services: ServiceSpec) -> StackSpec:
    """A stack of services, with the secrets that they mount."""
    made = services or (service(),)
    names = sorted({mount.source for each in made for mount in each.container.files})
    files = [StackFile(kind=FileKind.SECRET, name=each, content=each.encode()) for each in names]
    return StackSpec(name=name, services=made, files=tuple(files))


def _mount(secret: str) -> FileMount:
    return FileMount(kind=FileKind.SECRET, source=secret, target=f"/run/secrets/{secret}")
