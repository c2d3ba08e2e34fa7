"""A service's spec as an entry of `services` in a compose file: its container, its order, `deploy`."""

from __future__ import annotations

from decimal import Decimal

from bayplan.compose.devices import GPU, gpu_count
from bayplan.model import (
    ContainerSpec,
    Dependency,
    DependencyCondition,
    DeviceRequest,
    Probe,
    RestartCondition,
    RestartPolicy,
    Schedule,
    ServiceMode,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.render.compose_container import Entries, container, duration_unless, written
from bayplan.render.compose_names import Names
from bayplan.units import exact_bytes

_MODES = {
    ServiceMode.REPLICATED: None,
    ServiceMode.GLOBAL: "global",
    ServiceMode.REPLICATED_JOB: "replicated-job",
    ServiceMode.GLOBAL_JOB: "global-job",
}
_CONDITIONS = {
    DependencyCondition.STARTED: "service_started",
    DependencyCondition.HEALTHY: "service_healthy",
    DependencyCondition.COMPLETED: "service_completed_successfully",
}
_RESTARTS = {
    RestartCondition.ANY: "any",
    RestartCondition.ON_FAILURE: "on-failure",
    RestartCondition.NONE: "none",
}
_ORDERS = {
    UpdateOrder.AUTO: None,
    UpdateOrder.STOP_FIRST: "stop-first",
    UpdateOrder.START_FIRST: "start-first",
}
_USUAL = ServiceSpec(name="", container=ContainerSpec(image=""))


def service(spec: ServiceSpec, names: Names) -> Entries:
    """The whole entry, in the order in which people write it."""
    entries = container(spec.container, spec.name, names)
    entries["depends_on"] = _depends_on(spec.depends_on)
    entries["deploy"] = _deploy(spec)
    entries["x-bayplan"] = _own(spec)
    return written(entries) or {}


def _depends_on(dependencies: tuple[Dependency, ...]) -> list[str] | Entries | None:
    if all(each == Dependency(service=each.service, required=True) for each in dependencies):
        return [each.service for each in dependencies] or None
    return {
        each.service: written(
            {
                "condition": _CONDITIONS[each.condition],
                "restart": each.restart or None,
                "required": None if each.required else False,
            }
        )
        for each in dependencies
    }


def _deploy(spec: ServiceSpec) -> Entries | None:
    return written(
        {
            "mode": _MODES[spec.mode],
            "replicas": None if spec.replicas == 1 else spec.replicas,
            "labels": spec.labels or None,
            "endpoint_mode": spec.endpoint_mode or None,
            "resources": _resources(spec),
            "placement": _placement(spec),
            "restart_policy": _restart(spec.restart, always=spec.mode is not ServiceMode.REPLICATED),
            "update_config": _update(spec.update),
            "rollback_config": _update(spec.rollback),
        }
    )


def _resources(spec: ServiceSpec) -> Entries | None:
    limits, reserved = spec.container.limits, spec.reservations
    return written(
        {
            "limits": written({"cpus": _cpus(limits.cpu_millis), "memory": _bytes(limits.memory_bytes)}),
            "reservations": written(
                {
                    "cpus": _cpus(reserved.cpu_millis),
                    "memory": _bytes(reserved.memory_bytes),
                    "devices": [_request(each) for each in spec.container.device_requests] or None,
                    "generic_resources": _generic(spec),
                }
            ),
        }
    )


def _generic(spec: ServiceSpec) -> list[Entries] | None:
    """The countable goods, without the GPUs that are counted from the devices asked for."""
    counted = {GPU: gpu_count(spec.container.device_requests)}
    goods = {kind: value - counted.get(kind, 0) for kind, value in spec.generic.items()}
    return [
        {"discrete_resource_spec": {"kind": kind, "value": value}}
        for kind, value in goods.items()
        if value > 0
    ] or None


def _request(request: DeviceRequest) -> Entries | None:
    return written(
        {
            "capabilities": list(request.capabilities),
            "driver": request.driver or None,
            "count": "all" if request.count < 0 else request.count or None,
            "device_ids": list(request.device_ids) or None,
            "options": request.options or None,
        }
    )


def _placement(spec: ServiceSpec) -> Entries | None:
    return written(
        {
            "constraints": list(spec.constraints) or None,
            "preferences": [{"spread": each} for each in spec.preferences] or None,
            "max_replicas_per_node": spec.max_replicas_per_node or None,
        }
    )


def _restart(policy: RestartPolicy, *, always: bool) -> Entries | None:
    """The policy; the condition always where the mode has another default."""
    usual = RestartPolicy()
    same = policy.condition is usual.condition and not always
    return written(
        {
            "condition": None if same else _RESTARTS[policy.condition],
            "delay": duration_unless(policy.delay_ms, usual.delay_ms),
            "max_attempts": policy.max_attempts or None,
            "window": duration_unless(policy.window_ms, usual.window_ms),
        }
    )


def _update(policy: UpdatePolicy) -> Entries | None:
    usual = UpdatePolicy()
    return written(
        {
            "parallelism": None if policy.parallelism == usual.parallelism else policy.parallelism,
            "delay": duration_unless(policy.delay_ms, usual.delay_ms),
            "order": _ORDERS[policy.order],
            "monitor": duration_unless(policy.monitor_ms, usual.monitor_ms),
            "max_failure_ratio": policy.max_failure_ratio or None,
            "failure_action": None
            if policy.failure_action is usual.failure_action
            else str(policy.failure_action),
        }
    )


def _own(spec: ServiceSpec) -> Entries | None:
    """What Compose has no word for."""
    return written(
        {
            "fence": spec.fence or None,
            "drain": duration_unless(spec.drain_ms, _USUAL.drain_ms),
            "schedule": _schedule(spec.schedule) if spec.schedule else None,
            "ttl": duration_unless(spec.ttl_ms, 0),
            "prefer": "local" if spec.local_first else None,
            "strategy": None if spec.strategy is _USUAL.strategy else str(spec.strategy),
            "affinity": _affinities(spec, anti=False),
            "anti_affinity": _affinities(spec, anti=True),
            "priority": None if spec.priority == _USUAL.priority else spec.priority,
            "reservations": written(
                {"disk": _bytes(spec.reservations.disk_bytes), "pids": spec.reservations.pids or None}
            ),
            "volumes": None if spec.homes is _USUAL.homes else str(spec.homes),
            "probe": _probe(spec.container.probe),
            "update": written({**_deadline(spec.update), **_canaries(spec.update)}),
            "rollback": written(_deadline(spec.rollback)),
        }
    )


def _probe(probe: Probe | None) -> Entries | None:
    if probe is None:
        return None
    usual = Probe(kind=probe.kind, port=probe.port)
    return written(
        {
            "type": str(probe.kind),
            "port": probe.port,
            "path": None if probe.path == usual.path else probe.path,
            "host": probe.host or None,
            "tls": probe.tls or None,
            "service": probe.service or None,
            "interval": duration_unless(probe.interval_ms, usual.interval_ms),
            "timeout": duration_unless(probe.timeout_ms, usual.timeout_ms),
            "rise": None if probe.rise == usual.rise else probe.rise,
            "fall": None if probe.fall == usual.fall else probe.fall,
            "start_period": duration_unless(probe.start_period_ms, 0),
        }
    )


def _affinities(spec: ServiceSpec, *, anti: bool) -> list[str | Entries | None] | None:
    """Those of one kind: a name where that is all, else the long form."""
    return [
        written(
            {
                "service": each.service,
                "topology": each.topology or None,
                "required": each.required or None,
            }
        )
        if each.topology or each.required
        else each.service
        for each in spec.affinities
        if each.anti is anti
    ] or None


def _schedule(schedule: Schedule) -> Entries | None:
    return written(
        {
            "cron": schedule.cron,
            "timezone": schedule.timezone or None,
            "catch_up": duration_unless(schedule.catch_up_ms, 0),
        }
    )


def _deadline(policy: UpdatePolicy) -> Entries:
    return {"deadline": duration_unless(policy.deadline_ms, _USUAL.update.deadline_ms)}


def _canaries(policy: UpdatePolicy) -> Entries:
    return {"canaries": policy.canaries or None, "auto_promote": policy.auto_promote or None}


def _cpus(millis: int) -> str | None:
    return f"{Decimal(millis) / 1000:f}" if millis else None


def _bytes(amount: int) -> str | None:
    return exact_bytes(amount) if amount else None
