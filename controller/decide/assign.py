"""The whole desired set of a node, from the controller's records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from bayplan.model import Assignment, Assignments, Desired, RestartPolicy, ServiceSpec
from controller.records import Service, Task


def assignments(
    revision: int,
    tasks: Iterable[Task],
    services: Mapping[str, Service],
    specs: Mapping[tuple[str, int], ServiceSpec],
    restart: Callable[[Service, ServiceSpec], RestartPolicy],
    leaving: Collection[str] = (),
) -> Assignments:
    """What the node shall have; a task that is to be removed is simply not in it.

    `restart` is the policy of a service's tasks of a spec as it is obeyed without a controller, too.
    `leaving` are ids of tasks that serve on for now, whatever shall become of them.
    """
    kept = [task for task in tasks if not task.removing or task.id in leaving]
    versions = sorted({(task.service_id, task.version) for task in kept})
    return Assignments(
        revision=revision,
        tasks=tuple(
            _assignment(task, services[task.service_id], specs, restart, task.id in leaving) for task in kept
        ),
        specs={_spec_id(*version): specs[version].container for version in versions},
    )


def _assignment(
    task: Task,
    service: Service,
    specs: Mapping[tuple[str, int], ServiceSpec],
    restart: Callable[[Service, ServiceSpec], RestartPolicy],
    leaving: bool,
) -> Assignment:
    desired = Desired.STOP if task.completed else task.desired
    spec = specs[task.service_id, task.version]
    return Assignment(
        task_id=task.id,
        service=service.name,
        stack=service.stack,
        slot=task.slot,
        version=task.version,
        desired=Desired.RUN if leaving else desired,
        spec_id=_spec_id(task.service_id, task.version),
        restart=restart(service, spec).condition,
        fence=spec.fence,
    )


def _spec_id(service_id: str, version: int) -> str:
    return f"{service_id}/{version}"
