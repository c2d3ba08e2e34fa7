"""From the typed file to the stack: names made full, paths absolute, defaults put in.

Checks what one service can be checked for by itself; what services have to do with each other is
`check`'s. Pure: the content of env files comes through the files that it is given.
"""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.container import container
from bayplan.compose.fields import Placed
from bayplan.compose.report import Report, invalid
from bayplan.compose.resources import replicas, resources, resources_place
from bayplan.compose.scope import Project
from bayplan.model import RestartPolicy, ServiceSpec, UpdatePolicy


def build_service(project: Project, name: str, placed: Placed[typed.Service]) -> ServiceSpec:
    """The service as the cluster runs it; what is wrong goes to the project's report."""
    service = placed.value
    deploy = service.deploy
    _check_image(project.report, name, placed)
    limits, reservations = resources(project.report, name, service)
    return ServiceSpec(
        name=name,
        container=container(project, name, service, limits),
        replicas=replicas(project.report, name, service),
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
        "resources": resources_place(service) or placed.place,
        "constraints": deploy.placement.places.get("constraints"),
        "volumes": service.places.get("volumes"),
        "replicas": deploy.places.get("replicas") or service.places.get("scale"),
        "healthcheck": service.places.get("healthcheck"),
    }
    return {field: place for field, place in places.items() if place}
