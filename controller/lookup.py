"""The registry's answers out of the state: who is ready, or why nobody is. Pure."""

from __future__ import annotations

from typing import NamedTuple

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import Instance
from controller import instances, names
from controller.decide import registry
from controller.state import State


class Found(NamedTuple):
    """A service's revision and instances; `absence` tells why none is ready, and is None when one is."""

    revision: int
    instances: tuple[Instance, ...]
    absence: Problem | None


def lookup(state: State, stack: str, service: str, *, every: bool = False) -> Found:
    """The ready instances of a service (with `every` all of them). Never raises: a miss is an absence."""
    full_name = f"{stack}_{service}"
    record = state.service_named(full_name)
    if record is None:
        try:
            names.check_stack(state, stack)
            siblings = [each.name for each in state.stack(stack)]
            absence = names.missing("service", full_name, siblings).problem
        except ProblemError as error:
            absence = error.problem
        return Found(0, (), absence)
    found, revision = instances.shown(state, record.id), state.exposure(record.id).revision
    ready = registry.ready(found)
    return Found(revision, found if every else ready, None if ready else _none_ready(full_name, found))


def _none_ready(name: str, found: tuple[Instance, ...]) -> Problem:
    details = tuple(f"{name}.{each.slot} on {each.node}: {each.reason}" for each in found[:10])
    return Problem(
        kind=ProblemKind.NOT_FOUND,
        summary=f"{name} has no ready instance",
        details=details or ("none of its containers runs",),
        hint=f"`bayplan service ps {name}` shows its tasks",
    )
