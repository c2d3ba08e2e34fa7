"""A task as its node is told of it, from the controller's records."""

from __future__ import annotations

from msgspec.structs import replace

from bayplan.model import Assignment, Desired, RestartCondition, ServiceSpec
from controller.records import Service, Task


def kind(
    service: Service, version: int, spec: ServiceSpec, desired: Desired, restart: RestartCondition
) -> Assignment:
    """What a version's tasks of which the same is desired have in common: an assignment of no task.

    `restart` is the condition as it is obeyed without a controller, too.
    """
    return Assignment(
        task_id="",
        service=service.name,
        stack=service.stack,
        slot=0,
        version=version,
        desired=desired,
        spec_id=f"{service.id}/{version}",
        restart=restart,
        fence=spec.fence,
        goods={each: str(count) for each, count in spec.generic.items() if count},
    )


def with_goods(kind: Assignment, task: Task) -> Assignment:
    """The kind of a task that has goods of its own."""
    goods: dict[str, list[str]] = {}
    for good in task.goods:
        goods.setdefault(good.kind, []).append(good.name)
    return replace(kind, goods=kind.goods | {each: ",".join(names) for each, names in goods.items()})
