"""The order of a stack's services: what `depends_on` says about who waits for whom.

Pure graph work over short names, and the words for what a service waits for. Where tasks stand is
told by the caller; nothing here looks at the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bayplan.lifecycle import TaskState
from bayplan.model import Dependency, DependencyCondition, ServiceSpec


def waves(specs: Sequence[ServiceSpec]) -> dict[str, int]:
    """The wave of each service by its short name, from 1: one more than its latest dependency's.

    Dependencies on services that are not among `specs` do not count. `specs` must have no circle.
    """
    needs = _needs(specs)
    found: dict[str, int] = {}
    while len(found) < len(needs):
        ready = [name for name, before in needs.items() if name not in found and before <= found.keys()]
        assert ready, f"a circle: {circle(specs)}"
        found |= {name: 1 + max((found[each] for each in needs[name]), default=0) for name in ready}
    return found


def circle(specs: Sequence[ServiceSpec]) -> tuple[str, ...]:
    """A circle of dependencies as its path (`a`, `b`, `a`), or an empty tuple."""
    needs = _needs(specs)
    while free := [name for name, before in needs.items() if not before & needs.keys()]:
        for name in free:
            del needs[name]
    if not needs:
        return ()
    path = [min(needs)]  # whatever is left waits for something that is left
    while path[-1] not in path[:-1]:
        path.append(min(needs[path[-1]] & needs.keys()))
    return tuple(path[path.index(path[-1]) :])


def restarted_with(specs: Sequence[ServiceSpec], updated: set[str]) -> set[str]:
    """The services that get a new version because one that they depend on with `restart: true` does.

    `updated` and the answer are short names; the answer goes through chains and has none of `updated`.
    For the comparison of a deploy: their specs are the same, their version grows.
    """
    followers: dict[str, set[str]] = {}
    for spec in specs:
        for each in spec.depends_on:
            if each.restart:
                followers.setdefault(each.service, set()).add(spec.name)
    reached, fresh = set(updated), set(updated)
    while fresh:
        fresh = {name for each in fresh for name in followers.get(each, ())} - reached
        reached |= fresh
    return reached - updated


class Standing(NamedTuple):
    """How a slot of a service that others wait for stands at its current version (None: no task yet); one
    whose work is done, with success, is as `ready` as it will ever be.

    `given_up` says how it ended when it gets no successor, else it is empty.
    """

    state: TaskState | None = None
    ready: bool = False
    given_up: str = ""


#: States in which a container of a task has been started, and did not fail.
_STARTED = frozenset({TaskState.STARTING, TaskState.RUNNING, TaskState.COMPLETE})
_WORDS = {
    DependencyCondition.STARTED: "to start",
    DependencyCondition.HEALTHY: "to be healthy",
    DependencyCondition.COMPLETED: "to complete",
}


def hindrance(dependency: Dependency, name: str, slots: Sequence[Standing] | None) -> str:
    """What a service waits for in one that it depends on, in words; empty when it need not wait.

    `name` is the dependency's full name, `slots` how it stands, None when it is not there.
    """
    if slots is None:
        return f"{name}, which does not exist" if dependency.required else ""
    left = [slot for slot in slots if not _satisfied(dependency.condition, slot)]
    if not left:
        return ""
    given_up = next((slot.given_up for slot in left if slot.given_up), "")
    if given_up and not dependency.required:
        return ""
    waits = f"{name} {_WORDS[dependency.condition]}"
    return f"{waits}: {given_up}" if given_up else waits


def _satisfied(condition: DependencyCondition, slot: Standing) -> bool:
    if condition is DependencyCondition.STARTED:
        return slot.state in _STARTED
    if condition is DependencyCondition.HEALTHY:
        return slot.ready
    return slot.state is TaskState.COMPLETE


def _needs(specs: Sequence[ServiceSpec]) -> dict[str, set[str]]:
    """By short name, the services among `specs` that come first."""
    names: Mapping[str, ServiceSpec] = {spec.name: spec for spec in specs}
    return {
        name: {each.service for each in spec.depends_on if each.service in names}
        for name, spec in names.items()
    }
