"""Near to tasks of other services, or away from them: which nodes that leaves, and how well each does.

An affinity's `service` is here the id under which its tasks are counted. What has no value for the topology
is near to nobody: an affinity does not hold there, and an anti-affinity does. The first task of a service
that wants to be near itself may be anywhere. (As in Kubernetes, "Inter-pod affinity and anti-affinity".)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bayplan.model import Affinity
from controller.decide.attributes import Attribute
from controller.decide.occupancy import Counts

#: Longest chain of services each of which wants to be near the next.
DEPTH_MAX = 10
#: Attributes that no two nodes share.
_OF_ONE_NODE = ("node.id", "node.hostname")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Ground(Protocol):
    """What is looked at: a `fleet.Fleet`."""

    counts: Counts

    @property
    def size(self) -> int: ...
    def attribute(self, key: str) -> Attribute: ...


def admitted(ground: Ground, affinities: Iterable[Affinity], service_id: str) -> Bools:
    """The rows on which all that are required hold, for one more task of a service."""
    found = np.ones(ground.size, np.bool_)
    for each in affinities:
        if each.required:
            found &= _holds(ground, each, service_id)
    return found


def unmet(ground: Ground, affinities: Iterable[Affinity], service_id: str) -> Ints:
    """For each row how many of those that are only preferred do not hold."""
    found = np.zeros(ground.size, np.int64)
    for each in affinities:
        if not each.required:
            found += ~_holds(ground, each, service_id)
    return found


def order(wishes: Mapping[str, Iterable[Affinity]]) -> dict[str, int]:
    """For each service that wants to be near another one of these how many come before it, one by one: it is
    placed after them. In a circle who only prefers it begins, else somebody."""
    near = {
        service_id: [each for each in affinities if not each.anti and each.service in wishes]
        for service_id, affinities in wishes.items()
        if affinities
    }
    needs = {
        service_id: {each.service for each in found} - {service_id} for service_id, found in near.items()
    }
    circling = _needed(_waiting(needs))
    for service_id in circling:
        required = {each.service for each in near[service_id] if each.required}
        needs[service_id] -= circling - required
    needs = {service_id: others for service_id, others in needs.items() if others}
    found: dict[str, int] = {}
    for _ in range(DEPTH_MAX if needs else 0):
        found = {each: 1 + max(found.get(other, 0) for other in others) for each, others in needs.items()}
    return found


def circle(needs: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Some that wait for each other, the first again at the end, where each needs tasks of others before it
    can have one of its own; empty if somebody can always begin. What needs itself begins."""
    waiting = _waiting(needs)
    path = [min(waiting)] if waiting else []
    while path and path.count(path[-1]) == 1:
        path.append(min(waiting[path[-1]]))
    return tuple(path[path.index(path[-1]) :]) if path else ()


def _waiting(needs: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Those that can never begin, each with those of them that it waits for."""
    waiting = {name: set(others) & needs.keys() - {name} for name, others in needs.items()}
    while begun := {name for name, others in waiting.items() if not others}:
        waiting = {name: others - begun for name, others in waiting.items() if name not in begun}
    return waiting


def _needed(waiting: Mapping[str, Collection[str]]) -> set[str]:
    """Those of some that wait for each other for whom one of the circle waits."""
    needed_by: dict[str, set[str]] = {name: set() for name in waiting}
    for name, others in waiting.items():
        for other in others:
            needed_by[other].add(name)
    return set(_waiting(needed_by))


def opposed(affinities: Iterable[Affinity]) -> Affinity | None:
    """A required affinity that a required anti-affinity of these contradicts: no node is both near to a
    service and away from it, where the same attribute is compared."""
    required = [each for each in affinities if each.required]
    away = {(each.service, _place(each)) for each in required if each.anti}
    return next((each for each in required if not each.anti and (each.service, _place(each)) in away), None)


def _place(affinity: Affinity) -> str:
    """What is compared; some attributes are the node itself."""
    return "" if affinity.topology in _OF_ONE_NODE else affinity.topology


def sees_itself(affinities: Iterable[Affinity], service_id: str) -> bool:
    """Whether each task of a service changes where the next one may be."""
    return any(each.service == service_id for each in affinities)


def _holds(ground: Ground, affinity: Affinity, service_id: str) -> Bools:
    near = _near(ground, affinity)
    if affinity.anti:
        return ~near
    if affinity.service == service_id and not ground.counts.anywhere(service_id):
        return np.ones(ground.size, np.bool_)
    return near


def _near(ground: Ground, affinity: Affinity) -> Bools:
    """The rows that have tasks of the service, or share their topology's value with such."""
    rows, _ = ground.counts.of(affinity.service)
    if not affinity.topology:
        near = np.zeros(ground.size, np.bool_)
        near[rows] = True
        return near
    column = ground.attribute(affinity.topology)
    there = np.zeros(len(column.values), np.bool_)
    there[column.codes[rows]] = True
    there[[code for code, value in enumerate(column.values) if not value]] = False
    return there[column.codes]
