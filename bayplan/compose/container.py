"""From a typed service to the container that runs it."""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.envfiles import environment
from bayplan.compose.networks import networks
from bayplan.compose.scope import Project
from bayplan.compose.volumes import mounts
from bayplan.model import ContainerSpec, HealthCheck, LogConfig, Resources


def container(project: Project, name: str, service: typed.Service, limits: Resources) -> ContainerSpec:
    check = service.healthcheck
    disabled = check is not None and (check.disable or check.test[:1] == ("NONE",))
    grace_ms = service.stop_grace_period
    mounted, files = mounts(project, name, service)
    return ContainerSpec(
        image=service.image,
        entrypoint=service.entrypoint,
        command=service.command,
        environment=environment(project, service),
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
        mounts=mounted,
        files=files,
        ports=tuple(port.value for port in service.ports),
        networks=networks(project, name, service),
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
