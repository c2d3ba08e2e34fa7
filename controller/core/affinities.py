"""Which services a service's tasks look at when a node is chosen: those that it names, and those that want to
have nothing to do with it, by the ids under which their tasks are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Affinity, ServiceSpec
from bayplan.nearest import did_you_mean
from controller.decide import deploy
from controller.state import State


class Named(NamedTuple):
    """A service that is there or is proposed: its id (its full name, if it is new), stack and spec."""

    id: str
    stack: str
    spec: ServiceSpec

    @property
    def name(self) -> str:
        return f"{self.stack}_{self.spec.name}"


class Proposed:
    """Services that a request would make or change: they count instead of those that are there."""

    def __init__(self, services: Iterable[Named] = ()) -> None:
        self.by_name = {each.name: each for each in services}
        self.wishing = [each for each in self.by_name.values() if each.spec.affinities]


NOTHING = Proposed()


def proposed(changes: Iterable[deploy.Change]) -> Proposed:
    """What a request's changes would make."""
    return Proposed(
        Named(
            each.service.id if each.service else each.name,
            each.name.removesuffix(f"_{each.spec.name}"),
            each.spec,
        )
        for each in changes
        if each.spec is not None
    )


def of(state: State, service: Named, wished: Proposed = NOTHING) -> tuple[Affinity, ...]:
    """All that hold for the tasks of a service: its own, and for each required anti-affinity of another
    service to it the same towards that one."""
    own = [
        replace(each, service=_id_of(state, service.stack, each.service, wished))
        for each in service.spec.affinities
    ]
    theirs = [
        replace(each, service=other.id)
        for other in _others(state, service, wished)
        for each in other.spec.affinities
        if each.anti and each.required and _id_of(state, other.stack, each.service, wished) == service.id
    ]
    return tuple(dict.fromkeys((*own, *theirs)))


def faults(state: State, changes: Iterable[deploy.Change]) -> Iterator[Problem]:
    """Services that want to be near one that is not there: no node could ever take their tasks."""
    wished = proposed(changes)
    for service in wished.wishing:
        for each in service.spec.affinities:
            meant = _id_of(state, service.stack, each.service, wished)
            there = meant in state.services or meant in wished.by_name
            if each.required and not each.anti and not there:
                known = {
                    *wished.by_name,
                    *(other.name for other in state.services.values() if not other.removed),
                }
                known |= {name.removeprefix(f"{service.stack}_") for name in known}
                yield Problem(
                    kind=ProblemKind.REFUSED,
                    summary=f"{service.name} has to be near {each.service!r}, which is not there",
                    hint=did_you_mean(each.service, known, "deploy that service first, or with this one"),
                    place=service.spec.places.get("affinity", service.spec.places.get("service", "")),
                )


def _others(state: State, service: Named, wished: Proposed) -> Iterator[Named]:
    """The services that may name this one."""
    for other_id in sorted(state.named_near(service.name)):
        other = state.services[other_id]
        if other_id != service.id and other.name not in wished.by_name:
            yield Named(other_id, other.stack, state.spec_of(other))
    yield from (each for each in wished.wishing if each.id != service.id)


def _id_of(state: State, stack: str, name: str, wished: Proposed) -> str:
    """The service that is meant: one of the stack before one by its full name. What is not there has no
    tasks."""
    for full in (f"{stack}_{name}", name):
        if full in wished.by_name:
            return wished.by_name[full].id
        found = state.service_named(full)
        if found is not None:
            return found.id
    return f"{stack}_{name}"
