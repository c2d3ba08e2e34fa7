"""From the typed file to the services of the stack: names made full, paths absolute, defaults put in.

Checks what one service can be checked for by itself; what services have to do with each other is
`check`'s and `order`'s. Pure: the content of files comes through the project's files.
"""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.container import container
from bayplan.compose.fields import Placed
from bayplan.compose.images import image_of
from bayplan.compose.networks import with_links
from bayplan.compose.order import dependencies, with_completion
from bayplan.compose.report import Report, invalid
from bayplan.compose.resources import generic, replicas, resources, resources_place
from bayplan.compose.scope import Project
from bayplan.limits import TAG_LABEL_PREFIX, WEIGHT_LABEL
from bayplan.model import (
    Affinity,
    ContainerSpec,
    RestartCondition,
    RestartPolicy,
    Schedule,
    ServiceMode,
    ServiceSpec,
    UpdatePolicy,
)

_JOBS = (ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB)
_USUAL = ServiceSpec(name="", container=ContainerSpec(image=""))


def build_services(project: Project) -> tuple[ServiceSpec, ...]:
    """All services as the cluster runs them; what is wrong goes to the project's report."""
    specs = {name: _service(project, name, placed) for name, placed in project.services.items()}
    specs = with_links(project, project.services, specs)
    return tuple(with_completion(project.services, specs, project.report).values())


def _service(project: Project, name: str, placed: Placed[typed.Service]) -> ServiceSpec:
    service = placed.value
    report, deploy = project.report, service.deploy
    limits, reservations = resources(report, name, service)
    own = service.bayplan
    _check_own(report, name, service)
    return ServiceSpec(
        name=name,
        container=container(project, name, service, image_of(project, name, placed), limits),
        mode=deploy.mode or ServiceMode.REPLICATED,
        replicas=replicas(report, name, service),
        reservations=reservations,
        generic=generic(service),
        constraints=deploy.placement.constraints,
        preferences=deploy.placement.preferences,
        max_replicas_per_node=deploy.placement.max_replicas_per_node,
        restart=_restart(report, name, service),
        update=_rollout(deploy.update_config, own.update),
        rollback=_rollout(deploy.rollback_config, own.rollback),
        endpoint_mode=deploy.endpoint_mode,
        depends_on=dependencies(name, project.services),
        labels={**_registry_labels(own), **deploy.labels},
        places=_places(placed),
        fence=own.fence,
        drain_ms=_USUAL.drain_ms if own.drain is None else own.drain,
        schedule=_schedule(own.schedule),
        ttl_ms=own.ttl,
        strategy=own.strategy,
        affinities=_affinities(own),
        priority=own.priority,
        homes=own.volumes,
        local_first=own.prefer,
    )


def _registry_labels(own: typed.Bayplan) -> dict[str, str]:
    """What the registry shows of a service, as labels of it."""
    tags = (tag.partition("=") for tag in own.tags)
    labels = {f"{TAG_LABEL_PREFIX}{name}": value for name, _, value in tags}
    return labels if own.weight is None else {**labels, WEIGHT_LABEL: str(own.weight)}


def _affinities(own: typed.Bayplan) -> tuple[Affinity, ...]:
    written = [(each.value, False) for each in own.affinity]
    written += [(each.value, True) for each in own.anti_affinity]
    return tuple(
        Affinity(service=each.service, topology=each.topology, anti=anti, required=each.required)
        for each, anti in written
    )


def _schedule(written: typed.Cron | None) -> Schedule | None:
    if written is None or not written.cron:
        return None
    return Schedule(cron=written.cron, timezone=written.timezone, catch_up_ms=written.catch_up)


def _check_own(report: Report, name: str, service: typed.Service) -> None:
    """Keys of `x-bayplan` that the service's mode has no use for."""
    own, job = service.bayplan, service.deploy.mode in _JOBS
    for key in () if job else ("schedule", "ttl"):
        if key in own.places:
            problem = f"services.{name}.x-bayplan.{key} is for jobs, and services.{name} is none"
            hint = "add `deploy: {mode: replicated-job}`, or remove the key"
            report.add(invalid(own.places[key], problem, hint=hint))
    if own.schedule and own.ttl:
        problem = f"services.{name}.x-bayplan has both schedule and ttl, but a scheduled job never finishes"
        report.add(invalid(own.places["ttl"], problem, hint="keep one of them"))
    if job and own.update.canaries:
        path = f"services.{name}.x-bayplan.update.canaries"
        report.warn(own.update.places["canaries"], "has no effect: a job has no canaries", path)


def _restart(report: Report, name: str, service: typed.Service) -> RestartPolicy:
    """The policy of `deploy`, or else of `restart`. A job that succeeded is never started again."""
    job = service.deploy.mode in _JOBS
    usual = RestartPolicy(condition=RestartCondition.ON_FAILURE if job else RestartCondition.ANY)
    policy = service.deploy.restart_policy
    if policy is None:
        found = service.restart or usual
    else:
        if service.restart is not None:
            problem = "gives way to deploy.restart_policy"
            report.warn(service.places["restart"], problem, f"services.{name}.restart")
        found = RestartPolicy(
            condition=policy.condition or usual.condition,
            delay_ms=usual.delay_ms if policy.delay is None else policy.delay,
            max_attempts=policy.max_attempts or usual.max_attempts,
            window_ms=policy.window or usual.window_ms,
        )
    if job and found.condition is RestartCondition.ANY:
        place = service.deploy.places.get("restart_policy") or service.places["restart"]
        problem = f"services.{name} is a job, which ends with success, but it is always started again"
        report.add(invalid(place, problem, hint="write on-failure, or remove the policy"))
    return found


def _rollout(update: typed.Update, gate: typed.Gate) -> UpdatePolicy:
    usual = UpdatePolicy()
    return UpdatePolicy(
        parallelism=usual.parallelism if update.parallelism is None else update.parallelism,
        delay_ms=update.delay or usual.delay_ms,
        order=update.order or usual.order,
        monitor_ms=usual.monitor_ms if update.monitor is None else update.monitor,
        max_failure_ratio=update.max_failure_ratio or usual.max_failure_ratio,
        failure_action=update.failure_action or usual.failure_action,
        deadline_ms=usual.deadline_ms if gate.deadline is None else gate.deadline,
        canaries=gate.canaries,
        auto_promote=gate.auto_promote,
    )


def _places(placed: Placed[typed.Service]) -> dict[str, str]:
    """Where each key of the service and of its `deploy` was written, so that later errors can say so."""
    service = placed.value
    deploy = service.deploy
    found = {**service.bayplan.places, **deploy.places, **deploy.placement.places, **service.places}
    found["service"] = placed.place
    found["resources"] = resources_place(service) or placed.place
    if "scale" in found:
        found.setdefault("replicas", found["scale"])
    if "anti_affinity" in found:
        found.setdefault("affinity", found["anti_affinity"])
    return {field: place for field, place in found.items() if field not in ("deploy", "placement")}
