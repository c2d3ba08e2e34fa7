"""From a typed service to the container that runs it."""

from __future__ import annotations

import json

from msgspec.structs import replace

from bayplan.compose import resources, typed
from bayplan.compose.envfiles import environment, labels, read_source, variables
from bayplan.compose.fields import Placed
from bayplan.compose.networks import networks
from bayplan.compose.report import invalid, shown
from bayplan.compose.scope import Project
from bayplan.compose.volumes import mounts
from bayplan.model import ContainerSpec, HealthCheck, Hook, LogConfig, PortSpec, Probe, Resources

_OF_IMAGE = HealthCheck(test=(), interval_ms=0, timeout_ms=0, retries=0)
_STOP_GRACE_MS = ContainerSpec(image="").stop_grace_ms


def container(
    project: Project, name: str, service: typed.Service, image: str, limits: Resources
) -> ContainerSpec:
    """The container of one task; errors go to the report."""
    spec = _program(project, service, image)
    spec = _with_places(project, name, service, spec)
    spec = _with_amounts(project, name, service, spec, limits)
    return _with_rights(project, service, spec)


def _program(project: Project, service: typed.Service, image: str) -> ContainerSpec:
    """What runs, as whom, and how it is watched and stopped."""
    check = service.healthcheck
    disabled = check is not None and (check.disable or check.test[:1] == ("NONE",))
    grace_ms = service.stop_grace_period
    return ContainerSpec(
        image=image,
        platform=service.platform,
        pull_policy=service.pull_policy,
        entrypoint=service.entrypoint,
        command=service.command,
        environment=environment(project, service),
        labels=labels(project, service),
        annotations=service.annotations,
        user=service.user,
        group_add=service.group_add,
        working_dir=service.working_dir,
        init=service.init,
        tty=service.tty,
        stdin_open=service.stdin_open,
        stop_signal=service.stop_signal,
        stop_grace_ms=_STOP_GRACE_MS if grace_ms is None else grace_ms,
        health_check=None if check is None or disabled else _health_check(check),
        health_check_disabled=disabled,
        post_start=_hooks(project, service.post_start),
        pre_stop=_hooks(project, service.pre_stop),
        log=LogConfig(driver=service.logging.driver, options=service.logging.options),
        runtime=service.runtime,
        isolation=service.isolation,
    )


def _with_places(project: Project, name: str, service: typed.Service, spec: ContainerSpec) -> ContainerSpec:
    """Its files and its networks."""
    mounted, files = mounts(project, name, service)
    attachments, mode = networks(project, name, service)
    ports, expose = _ports(project, name, service, mode)
    _check_modes(project, name, service, mode)
    declared = (*ports, *expose)
    return replace(
        spec,
        read_only=service.read_only,
        mounts=mounted,
        files=files,
        storage_options=service.storage_opt,
        hostname=service.hostname,
        domainname=service.domainname,
        networks=attachments,
        network_mode=mode,
        mac_address=service.mac_address,
        ports=ports,
        expose=expose,
        dns=service.dns,
        dns_search=service.dns_search,
        dns_options=service.dns_opt,
        extra_hosts=service.extra_hosts,
        probe=_probe(project, name, service, declared[0].target if declared else 0, mode),
    )


def _probe(project: Project, name: str, service: typed.Service, port: int, mode: str) -> Probe | None:
    """What was written, at the first declared port where it names none."""
    check = service.bayplan.probe
    if check is None or check.type is None:
        return None
    place, path = service.bayplan.places["probe"], f"services.{name}.x-bayplan.probe"
    if not (check.port or port):
        hint = "add `port: NUMBER`, or declare one in `ports` or `expose`"
        project.report.add(invalid(place, f"{path} does not say at which port", hint=hint))
        return None
    if mode == "none":
        hint = "remove the probe, or write a `healthcheck`, which runs within"
        project.report.add(
            invalid(place, f"{path}: nothing reaches a container without a network", hint=hint)
        )
    given = {"path": check.path, "interval_ms": check.interval, "timeout_ms": check.timeout}
    given |= {"rise": check.rise, "fall": check.fall}
    return Probe(
        kind=check.type,
        port=check.port or port,
        host=check.host,
        tls=check.tls,
        service=check.service,
        start_period_ms=check.start_period,
        **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]  # by name
    )


def _with_amounts(
    project: Project, name: str, service: typed.Service, spec: ContainerSpec, limits: Resources
) -> ContainerSpec:
    """What it may use of its node."""
    report = project.report
    return replace(
        spec,
        limits=limits,
        pids_limit=resources.pids_limit(report, name, service),
        cpu=resources.cpu_tuning(report, name, service, limits),
        memory=resources.memory_tuning(report, name, service, limits),
        block_io=service.blkio_config,
        ulimits=service.ulimits,
        devices=service.devices,
        device_cgroup_rules=service.device_cgroup_rules,
        device_requests=resources.device_requests(service),
        cgroup_parent=service.cgroup_parent,
    )


def _with_rights(project: Project, service: typed.Service, spec: ContainerSpec) -> ContainerSpec:
    """How far it is kept apart from its node."""
    return replace(
        spec,
        sysctls=service.sysctls,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        security_options=_security_options(project, service),
        privileged=service.privileged,
        ipc_mode=service.ipc,
        pid_mode=service.pid,
        uts_mode=service.uts,
        userns_mode=service.userns_mode,
        cgroup_mode=service.cgroup,
    )


def _health_check(check: typed.HealthCheck) -> HealthCheck | None:
    """What was written; None for a check that says nothing, which leaves the image's own as it is."""
    if not set(check.places) - {"disable"}:
        return None
    # 0 means "the default", as for the engine: the specification's, or what the image's own check says.
    usual = HealthCheck(test=check.test) if check.test else _OF_IMAGE
    return HealthCheck(
        test=check.test,
        interval_ms=check.interval or usual.interval_ms,
        timeout_ms=check.timeout or usual.timeout_ms,
        start_period_ms=check.start_period or usual.start_period_ms,
        start_interval_ms=check.start_interval or usual.start_interval_ms,
        retries=check.retries or usual.retries,
    )


def _hooks(project: Project, hooks: tuple[typed.Hook, ...]) -> tuple[Hook, ...]:
    return tuple(
        Hook(
            command=hook.command,
            user=hook.user,
            privileged=hook.privileged,
            working_dir=hook.working_dir,
            environment=variables(project, hook.environment),
        )
        for hook in hooks
    )


def _ports(
    project: Project, name: str, service: typed.Service, mode: str
) -> tuple[tuple[PortSpec, ...], tuple[PortSpec, ...]]:
    """The published ports and the others. In the mode `host` all are the node's own and none is mapped."""
    published = tuple(port.value for port in service.ports)
    if not mode or not published:
        return published, service.expose
    what = "the container's own ports are the node's" if mode == "host" else "the container has no network"
    project.report.warn(service.places["ports"], f"has no effect: {what}", f"services.{name}.ports")
    bare = (PortSpec(target=port.target, protocol=port.protocol) for port in published)
    return (), tuple(dict.fromkeys((*service.expose, *bare)))


def _check_modes(project: Project, name: str, service: typed.Service, mode: str) -> None:
    """What an engine refuses to set for a container that shares that namespace with its node."""
    if service.network_mode and service.networks:
        problem = f"services.{name} has both network_mode and networks"
        project.report.add(invalid(service.places["network_mode"], problem, hint="keep one of them"))
    shared = (
        ("mac_address", service.mac_address and mode, f"network_mode {mode}"),
        ("hostname", service.hostname and service.uts, f"uts {service.uts}"),
    )
    for key, clash, namespace in shared:
        if clash:
            problem = f"services.{name} has {key} with {namespace}, where it cannot be set"
            project.report.add(invalid(service.places[key], problem, hint=f"remove {key}"))


def _security_options(project: Project, service: typed.Service) -> tuple[str, ...]:
    options: list[str] = []
    for placed in service.security_opt:
        with project.report.collect():
            options.append(_seccomp(project, placed) if _names_profile(placed.value) else placed.value)
    return tuple(options)


def _names_profile(option: str) -> bool:
    name, _, value = option.partition("=")
    return name == "seccomp" and value not in ("", "unconfined", "builtin") and not value.startswith("{")


def _seccomp(project: Project, placed: Placed[str]) -> str:
    """The option with the profile itself, which is what an engine takes."""
    path = placed.value.partition("=")[2]
    source = read_source(project, "the seccomp profile", Placed(placed.place, path))
    try:
        profile = json.dumps(json.loads(source.text), separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise invalid(placed.place, f"the seccomp profile {shown(path)} is not JSON") from error
    return f"seccomp={profile}"
