"""Which service comes after which: `depends_on`, links and volumes of others; no circles.

A service whose completion is waited for must be able to end: without a policy of its own it is started
again on failure only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import Report, invalid
from bayplan.model import (
    Dependency,
    DependencyCondition,
    RestartCondition,
    ServiceMode,
    ServiceSpec,
)

_CONDITIONS = {
    "": DependencyCondition.STARTED,
    "service_started": DependencyCondition.STARTED,
    "service_healthy": DependencyCondition.HEALTHY,
    "service_completed_successfully": DependencyCondition.COMPLETED,
}
_JOBS = (ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB)

Services = Mapping[str, Placed[typed.Service]]


def dependencies(name: str, services: Services) -> tuple[Dependency, ...]:
    """What comes before a service; of what is not in the file, and not required, nothing is left."""
    service = services[name].value
    found = {
        other: Dependency(
            service=other,
            condition=_CONDITIONS[placed.value.condition],
            restart=placed.value.restart,
            required=placed.value.required,
        )
        for other, placed in service.depends_on.items()
    }
    for other, _ in _before(service):
        found.setdefault(other, Dependency(service=other, required=True))
    return tuple(each for other, each in found.items() if other in services and other != name)


def with_completion(
    services: Services, specs: dict[str, ServiceSpec], report: Report
) -> dict[str, ServiceSpec]:
    """The services, those that others wait for the completion of able to complete."""
    waiting = {
        each.service: name
        for name, spec in specs.items()
        for each in spec.depends_on
        if each.condition is DependencyCondition.COMPLETED
    }
    changed: dict[str, ServiceSpec] = {}
    for other, name in waiting.items():
        spec, service = specs[other], services[other].value
        if spec.restart.condition is not RestartCondition.ANY or spec.mode in _JOBS:
            continue
        policy = service.deploy.restart_policy
        if service.restart is None and (policy is None or policy.condition is None):
            changed[other] = replace(
                spec, restart=replace(spec.restart, condition=RestartCondition.ON_FAILURE)
            )
        else:
            place = service.places.get("restart") or service.deploy.places["restart_policy"]
            report.warn(
                place,
                f"services.{other} is always started again, but services.{name} waits for it to complete",
            )
    return {**specs, **changed}


def check_circles(services: Services, report: Report) -> None:
    """Puts circles of dependencies into the report, with their path."""
    done: set[str] = set()
    for start in services:
        circle = _circle(start, services, done)
        if circle:
            path = " -> ".join([*(name for name, _ in circle), circle[0][0]])
            details = [f"{name} after {after}, at {place}" for (name, place), after in _pairs(circle)]
            problem = f"services depend on each other in a circle: {path}"
            hint = "remove one of these dependencies"
            report.add(invalid(circle[0][1], problem, *details, hint=hint))


def _pairs(circle: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    after = [name for name, _ in (*circle[1:], circle[0])]
    return zip(circle, after, strict=True)


def _circle(start: str, services: Services, done: set[str]) -> list[tuple[str, str]]:
    """The first circle that is reached from a service, as names with the place of the next one's mention.

    Without recursion: a file may have a chain of a thousand services.
    """
    if start in done:
        return []
    path: dict[str, str] = {start: ""}
    open_ends = [_all_before(services[start].value)]
    while open_ends:
        name = next(reversed(path))
        for other, place in open_ends[-1]:
            path[name] = place
            if other in path and other != name:
                steps = list(path.items())
                done.update(path)
                return steps[list(path).index(other) :]
            if other in services and other not in done and other != name:
                path[other] = ""
                open_ends.append(_all_before(services[other].value))
                break
        else:
            done.add(name)
            del path[name]
            open_ends.pop()
    return []


def _all_before(service: typed.Service) -> Iterator[tuple[str, str]]:
    yield from ((other, placed.place) for other, placed in service.depends_on.items())
    yield from _before(service)


def _before(service: typed.Service) -> Iterator[tuple[str, str]]:
    """Services that a link or `volumes_from` needs, and where that is written."""
    for placed in (*service.links, *service.volumes_from):
        yield placed.value.service, placed.place
