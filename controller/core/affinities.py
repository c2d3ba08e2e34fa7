"""Which services a service's tasks look at when a node is chosen: those that it names, and those that want to
have nothing to do with it, by the ids under which their tasks are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Affinity, ServiceSpec
from bayplan.nearest import did_you_mean
from controller.decide import affinity, deploy
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
    """Wishes that no node could ever meet: near to what is not there, near to each other where nobody can
    begin, both near and away."""
    wished = proposed(changes)
    for service in wished.wishing:
        for each in service.spec.affinities:
            if each.required and not each.anti and not _is_there(state, service, each, wished):
                summary = f"{service.name} has to be near {each.service!r}, which is not there"
                otherwise = "deploy that service first, or with this one"
                yield _problem(service, summary, _nearest(state, service, each, wished, otherwise))
    yield from _circles(state, wished)
    yield from _contradictions(state, wished)


def warnings(state: State, changes: Iterable[deploy.Change]) -> Iterator[str]:
    """Wishes without effect, since there is no such service; perhaps its name is misspelt. To be away from
    one that comes later is no mistake."""
    wished = proposed(changes)
    for service in wished.wishing:
        for each in service.spec.affinities:
            hint = _nearest(state, service, each, wished, "" if each.anti else "it has no effect until it is")
            if hint and (each.anti or not each.required) and not _is_there(state, service, each, wished):
                wish = f"away from {each.service!r}" if each.anti else f"near {each.service!r}"
                yield f"{service.name} shall be {wish}, which is not there: {hint}"


def _is_there(state: State, service: Named, wish: Affinity, wished: Proposed) -> bool:
    meant = _id_of(state, service.stack, wish.service, wished)
    return meant in state.services or meant in wished.by_name


def _nearest(state: State, service: Named, wish: Affinity, wished: Proposed, otherwise: str) -> str:
    """Which name may be meant by one that means nothing."""
    known = {*wished.by_name, *(other.name for other in state.services.values() if not other.removed)}
    known |= {name.removeprefix(f"{service.stack}_") for name in known}
    return did_you_mean(wish.service, known, otherwise)


def _circles(state: State, wished: Proposed) -> Iterator[Problem]:
    """New services of which each has to be near another one first; one that runs somewhere has begun."""
    new = {each.id: each for each in wished.wishing if each.id not in state.services}
    needs = {
        each.id: {
            _id_of(state, each.stack, wish.service, wished)
            for wish in each.spec.affinities
            if wish.required and not wish.anti
        }
        for each in new.values()
    }
    path = affinity.circle(needs)
    if path:
        names = " -> ".join(new[each].name for each in path)
        hint = "leave `required` away for one of them: then it is placed first"
        yield _problem(
            new[path[0]], f"each of these has to be near the next, so none can begin: {names}", hint
        )


def _contradictions(state: State, wished: Proposed) -> Iterator[Problem]:
    """Services that have to be near another one and away from it; the latter may be that one's own wish."""
    told = set[str]()
    for service in (*wished.by_name.values(), *_near_to(state, wished)):
        wishes = of(state, service, wished)
        found = affinity.opposed(wishes) if service.id not in told else None
        other = _named(state, found.service, wished) if found else None
        if found is None or other is None or (other.id == service.id and service.spec.replicas == 1):
            continue
        told.add(service.id)
        where = f"in {found.topology}" if found.topology else "on the same node"
        summary = f"{service.name} has to be near {other.name} and away from it, {where}: no node can be both"
        theirs = not any(each.anti and each.required for each in service.spec.affinities)
        details = (f"it is {other.name} that wants to be away",) if theirs else ()
        writer = other if service.name not in wished.by_name else service
        yield _problem(writer, summary, "take one of the two away, or its `required`", details)


def _near_to(state: State, wished: Proposed) -> Iterator[Named]:
    """Services that are there, stay as they are, and name one of those that want to be away from others."""
    for service in wished.wishing:
        for other_id in sorted(state.named_near(service.name)):
            other = state.services[other_id]
            if not other.removed and other.name not in wished.by_name:
                yield Named(other_id, other.stack, state.spec_of(other))


def _named(state: State, service_id: str, wished: Proposed) -> Named | None:
    """A service that is there or proposed, by its id."""
    known = next((each for each in wished.by_name.values() if each.id == service_id), None)
    service = state.services.get(service_id)
    return known or (Named(service_id, service.stack, state.spec_of(service)) if service else None)


def _problem(service: Named, summary: str, hint: str, details: tuple[str, ...] = ()) -> Problem:
    places = service.spec.places
    keys = ("affinity", "anti_affinity", "service")
    place = next((places[key] for key in keys if key in places), "")
    return Problem(kind=ProblemKind.REFUSED, summary=summary, details=details, hint=hint, place=place)


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
