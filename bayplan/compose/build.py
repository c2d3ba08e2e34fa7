"""From the typed file to the stack: names made full, paths absolute, defaults put in.

Checks what one service can be checked for by itself; what services have to do with each other is
`check`'s. Pure: the content of env files comes through a function that it is given.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from bayplan.compose import typed
from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env
from bayplan.compose.fields import Placed
from bayplan.compose.nodes import Source
from bayplan.compose.project import ProjectFiles
from bayplan.compose.report import Report, invalid, shown
from bayplan.model import (
    ContainerSpec,
    HealthCheck,
    LogConfig,
    Mount,
    MountKind,
    NetworkAttachment,
    Resources,
    RestartPolicy,
    ServiceSpec,
    UpdatePolicy,
)
from bayplan.nearest import did_you_mean
from bayplan.units import format_bytes, format_cpus

#: Most env files of one service.
ENV_FILES_MAX = 32

_DEFAULT_NETWORK = "default"


class Project(NamedTuple):
    """What a service is built in; `folder` is absolute."""

    stack: str
    folder: Path
    environment: Mapping[str, str]
    files: ProjectFiles
    networks: Mapping[str, Placed[typed.Network]]
    volumes: Mapping[str, Placed[typed.Volume]]
    report: Report


def build_service(project: Project, name: str, placed: Placed[typed.Service]) -> ServiceSpec:
    """The service as the cluster runs it; what is wrong goes to the project's report."""
    service = placed.value
    deploy = service.deploy
    _check_image(project.report, name, placed)
    limits, reservations = _resources(project.report, name, service)
    return ServiceSpec(
        name=name,
        container=_container(project, name, service, limits),
        replicas=_replicas(project.report, name, service),
        reservations=reservations,
        constraints=deploy.placement.constraints,
        max_replicas_per_node=deploy.placement.max_replicas_per_node,
        restart=_restart(project.report, name, service),
        update=_update(deploy.update_config),
        labels=deploy.labels,
        places=_places(placed),
    )


def _check_image(report: Report, name: str, placed: Placed[typed.Service]) -> None:
    service = placed.value
    if "image" in service.places:
        return
    if "build" in service.places:
        report.add(
            invalid(
                service.places["build"],
                f"services.{name} has `build` but no `image`: nothing is built here",
                hint="build it with `docker build -t NAME:TAG`, push it, and write `image: NAME:TAG`",
            )
        )
    else:
        report.add(invalid(placed.place, f"services.{name} has no image", hint="add `image: NAME:TAG`"))


def _container(project: Project, name: str, service: typed.Service, limits: Resources) -> ContainerSpec:
    check = service.healthcheck
    disabled = check is not None and (check.disable or check.test[:1] == ("NONE",))
    grace_ms = service.stop_grace_period
    return ContainerSpec(
        image=service.image,
        entrypoint=service.entrypoint,
        command=service.command,
        environment=_environment(project, service),
        labels=service.labels,
        user=service.user,
        working_dir=service.working_dir,
        hostname=service.hostname,
        init=service.init,
        tty=service.tty,
        stdin_open=service.stdin_open,
        read_only=service.read_only,
        stop_signal=service.stop_signal,
        stop_grace_ms=ContainerSpec(image="").stop_grace_ms if grace_ms is None else grace_ms,
        health_check=_health_check(check) if check is not None and not disabled else None,
        health_check_disabled=disabled,
        mounts=_mounts(project, name, service),
        ports=tuple(port.value for port in service.ports),
        networks=_networks(project, name, service),
        log=LogConfig(driver=service.logging.driver, options=service.logging.options),
        limits=limits,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        extra_hosts=service.extra_hosts,
        expose=service.expose,
    )


def _health_check(check: typed.HealthCheck) -> HealthCheck:
    usual = HealthCheck(test=check.test)
    # 0 means "the default", as for the engine.
    return HealthCheck(
        test=check.test,
        interval_ms=check.interval or usual.interval_ms,
        timeout_ms=check.timeout or usual.timeout_ms,
        start_period_ms=check.start_period or usual.start_period_ms,
        retries=check.retries or usual.retries,
    )


def _environment(project: Project, service: typed.Service) -> tuple[str, ...]:
    values: dict[str, str | None] = {}
    if len(service.env_file) > ENV_FILES_MAX:
        place = service.places["env_file"]
        project.report.add(invalid(place, f"env_file names more than {ENV_FILES_MAX} files"))
    for file in service.env_file[:ENV_FILES_MAX]:
        with project.report.collect():
            source = _read_env_file(project, file)
            values.update(parse_env(source, project.environment, project.report))
    for name, value in service.environment.items():
        values[name] = project.environment.get(name, values.get(name)) if value is None else value
    return tuple(sorted(name if value is None else f"{name}={value}" for name, value in values.items()))


def _read_env_file(project: Project, file: Placed[str]) -> Source:
    path = PurePosixPath(posixpath.normpath(project.folder / file.value))
    if not path.is_relative_to(project.folder):
        hint = "files that a compose file names must be in its folder or below"
        raise invalid(file.place, f"env_file {shown(file.value)} is outside the project folder", hint=hint)
    try:
        return Source(file.value, project.files.read(Path(path), ENV_FILE_BYTES_MAX))
    except OSError as error:
        reason = error.strerror or str(error)
        raise invalid(
            file.place, f"env_file {shown(file.value)} cannot be read: {reason} ({path})"
        ) from error


def _mounts(project: Project, name: str, service: typed.Service) -> tuple[Mount, ...]:
    by_target: dict[str, Placed[Mount]] = {}
    for placed in (*service.volumes, *service.tmpfs):
        first = by_target.setdefault(placed.value.target, placed)
        with project.report.collect():
            if first is not placed:
                raise invalid(
                    placed.place,
                    f"services.{name} mounts {shown(placed.value.target)} twice",
                    f"the first time at {first.place}",
                    hint="remove one of the two",
                )
            source = _mount_source(project, placed)
            by_target[placed.value.target] = Placed(
                placed.place, msgspec.structs.replace(placed.value, source=source)
            )
    return tuple(mount.value for mount in by_target.values())


def _mount_source(project: Project, placed: Placed[Mount]) -> str:
    mount = placed.value
    if mount.kind is MountKind.VOLUME and mount.source:
        return _volume_name(project, placed)
    if mount.kind is not MountKind.BIND:
        return ""
    if mount.source.startswith("~"):
        home, rest = project.environment.get("HOME", ""), mount.source[1:]
        if rest[:1] not in ("", "/") or not home:
            hint = "write the whole path"
            raise invalid(placed.place, f"the home folder of {shown(mount.source)} is not known", hint=hint)
        return posixpath.normpath(home + rest)
    return posixpath.normpath(project.folder / mount.source)


def _volume_name(project: Project, placed: Placed[Mount]) -> str:
    name = placed.value.source
    volume = project.volumes.get(name)
    if volume is None:
        otherwise = f"add it to the top-level `volumes:`, or write ./{name} for a folder"
        hint = did_you_mean(name, project.volumes, otherwise)
        raise invalid(placed.place, f"the volume {shown(name)} is not in the file's volumes", hint=hint)
    return volume.value.name or name if volume.value.external else f"{project.stack}_{name}"


def _networks(project: Project, name: str, service: typed.Service) -> tuple[NetworkAttachment, ...]:
    attachments: list[NetworkAttachment] = []
    wanted = service.networks or {_DEFAULT_NETWORK: Placed("", typed.Attachment())}
    names = (name, service.container_name) if service.container_name else (name,)
    for network, placed in wanted.items():
        with project.report.collect():
            if network not in project.networks and network != _DEFAULT_NETWORK:
                hint = did_you_mean(network, project.networks, "add it to the top-level `networks:`")
                raise invalid(
                    placed.place, f"the network {shown(network)} is not in the file's networks", hint=hint
                )
            aliases = tuple(dict.fromkeys((*names, *placed.value.aliases)))
            attachments.append(NetworkAttachment(network=f"{project.stack}_{network}", aliases=aliases))
    return tuple(attachments)


def _resources(report: Report, name: str, service: typed.Service) -> tuple[Resources, Resources]:
    limits, reservations = service.deploy.resources.limits, service.deploy.resources.reservations
    given = (
        ("mem_limit", service.mem_limit, "deploy.resources.limits.memory", limits.memory),
        ("cpus", service.cpus, "deploy.resources.limits.cpus", limits.cpus),
        (
            "mem_reservation",
            service.mem_reservation,
            "deploy.resources.reservations.memory",
            reservations.memory,
        ),
    )
    memory, cpus, reserved = (_one_of(report, name, service, *pair) or 0 for pair in given)
    limit = Resources(cpu_millis=cpus, memory_bytes=memory)
    reservation = Resources(cpu_millis=reservations.cpus or 0, memory_bytes=reserved)
    place = _resources_place(service)
    for what, most, least, show in (
        ("CPU", limit.cpu_millis, reservation.cpu_millis, format_cpus),
        ("memory", limit.memory_bytes, reservation.memory_bytes, format_bytes),
    ):
        if 0 < most < least:
            problem = f"services.{name} reserves more {what} than its limit: {show(least)} of {show(most)}"
            report.add(invalid(place, problem, hint="lower the reservation or raise the limit"))
    return limit, reservation


def _resources_place(service: typed.Service) -> str:
    older = (service.places.get(key, "") for key in ("mem_limit", "cpus", "mem_reservation"))
    return service.deploy.places.get("resources", "") or next(filter(None, older), "")


def _replicas(report: Report, name: str, service: typed.Service) -> int:
    replicas = _one_of(
        report, name, service, "scale", service.scale, "deploy.replicas", service.deploy.replicas
    )
    return 1 if replicas is None else replicas


def _one_of(
    report: Report,
    name: str,
    service: typed.Service,
    old: str,
    older: int | None,
    new: str,
    newer: int | None,
) -> int | None:
    """The value of a key that has an older form beside it; both may be given only if they are equal."""
    if older is not None and newer is not None and older != newer:
        hint = f"remove {old}"
        report.add(
            invalid(
                service.places[old], f"services.{name} has both {old} and {new}, and they differ", hint=hint
            )
        )
    return older if newer is None else newer


def _restart(report: Report, name: str, service: typed.Service) -> RestartPolicy:
    usual = RestartPolicy()
    policy = service.deploy.restart_policy
    if policy is None:
        return service.restart or usual
    if service.restart is not None:
        report.warn(service.places["restart"], f"services.{name}.restart gives way to deploy.restart_policy")
    return RestartPolicy(
        condition=policy.condition or usual.condition,
        delay_ms=usual.delay_ms if policy.delay is None else policy.delay,
        max_attempts=policy.max_attempts or usual.max_attempts,
        window_ms=policy.window or usual.window_ms,
    )


def _update(update: typed.Update) -> UpdatePolicy:
    usual = UpdatePolicy()
    return UpdatePolicy(
        parallelism=usual.parallelism if update.parallelism is None else update.parallelism,
        delay_ms=update.delay or usual.delay_ms,
    )


def _places(placed: Placed[typed.Service]) -> dict[str, str]:
    service = placed.value
    deploy = service.deploy
    places = {
        "service": placed.place,
        "image": service.places.get("image"),
        "ports": service.places.get("ports"),
        "resources": _resources_place(service) or placed.place,
        "constraints": deploy.placement.places.get("constraints"),
        "volumes": service.places.get("volumes"),
        "replicas": deploy.places.get("replicas") or service.places.get("scale"),
        "healthcheck": service.places.get("healthcheck"),
    }
    return {field: place for field, place in places.items() if place}
