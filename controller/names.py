"""How users name things: full names, `stack/service`, `service.slot`, ids, unique prefixes of ids.

A miss says what is nearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.nearest import did_you_mean
from controller.records import Node, Service, Task
from controller.state import State


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


def find_service(state: State, name: str) -> Service:
    """A living service. Raises ProblemError (NOT_FOUND)."""
    found = state.service_named(name) or state.service_named(name.replace("/", "_", 1))
    if found is not None:
        return found
    living = [service for service in state.services.values() if not service.removed]
    matched = by_id(living, name)
    if matched is None:
        raise missing("service", name, [service.name for service in living])
    return matched


def find_node(state: State, name: str) -> Node:
    """A node. Raises ProblemError (NOT_FOUND)."""
    nodes = list(state.nodes.values())
    found = next((node for node in nodes if node.name == name), None) or by_id(nodes, name)
    if found is None:
        raise missing("node", name, [node.name for node in nodes])
    return found


def check_stack(state: State, name: str) -> None:
    """Raises ProblemError (NOT_FOUND) when there is no such stack."""
    if not state.stack(name):
        living = [service for service in state.services.values() if not service.removed]
        raise missing("stack", name, [service.stack for service in living])


def find_tasks(state: State, target: str) -> list[Task]:
    """The tasks of a service, of a slot (`service.2`), or one by id. Raises ProblemError (NOT_FOUND)."""
    service_name, dot, slot = target.rpartition(".")
    if dot and slot.isdigit():
        service = find_service(state, service_name)
        return [task for task in state.tasks_of(service.id) if task.slot == int(slot)]
    task = by_id(list(state.tasks.values()), target)
    if task is not None and state.service_named(target) is None:
        return [task]
    return state.tasks_of(find_service(state, target).id)


def by_id(known: Sequence[T], text: str) -> T | None:
    """The one whose id is, or alone begins with, `text`. Raises ProblemError when several do."""
    matches = [each for each in known if text and each.id.startswith(text)]
    if len(matches) > 1:
        raise refuse(ProblemKind.NOT_FOUND, f"{text} is the beginning of {len(matches)} ids; give more of it")
    return matches[0] if matches else None


def missing(kind: str, name: str, known: Iterable[str]) -> ProblemError:
    """The problem that there is no such thing, with the nearest name."""
    hint = did_you_mean(name, known, f"`bayplan {kind} ls` shows what there is")
    return refuse(ProblemKind.NOT_FOUND, f"there is no {kind} {name}", hint=hint)
