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

#: Digits of a slot's number that are read.
SLOT_DIGITS_MAX = 9
#: Names that a hint suggests.
SUGGESTED_MAX = 3


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
        raise _missing_service(name, living)
    return matched


def find_slot(state: State, target: str) -> tuple[Service, int | None]:
    """A service, and the slot that is meant of it: `shop_web`, `shop/web.2`, or the id of a service or task.
    Raises ProblemError (NOT_FOUND)."""
    service_name, dot, slot = target.rpartition(".")
    named = state.service_named(target) or state.service_named(target.replace("/", "_", 1))
    if named is None and dot and slot.isdecimal() and len(slot) <= SLOT_DIGITS_MAX:
        return find_service(state, service_name), int(slot)
    task = by_id(list(state.tasks.values()), target) if named is None else None
    if task is not None:
        return state.services[task.service_id], task.slot
    return find_service(state, target), None


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
        raise missing("stack", name, state.stack_names())


def find_tasks(state: State, target: str) -> list[Task]:
    """The tasks of a service, of a slot (`service.2`), or one by id. Raises ProblemError (NOT_FOUND)."""
    service, slot = find_slot(state, target)
    tasks = [task for task in state.tasks_of(service.id) if slot in (None, task.slot)]
    return [task for task in tasks if task.id.startswith(target)] or tasks


def by_id(known: Sequence[T], text: str) -> T | None:
    """The one whose id is, or alone begins with, `text`. Raises ProblemError when several do."""
    matches = [each for each in known if text and each.id.startswith(text)]
    if len(matches) > 1:
        raise refuse(ProblemKind.NOT_FOUND, f"{text} is the beginning of {len(matches)} ids; give more of it")
    return matches[0] if matches else None


def _missing_service(name: str, living: Iterable[Service]) -> ProblemError:
    """The problem that there is no such service. Its name within a stack may be all that was given."""
    known = sorted(service.name for service in living)
    alike = [each for each in known if each.endswith(f"_{name}")]
    error = missing("service", name, known)
    if not alike:
        return error
    hint = f"did you mean {' or '.join(alike[:SUGGESTED_MAX])}?"
    return refuse(ProblemKind.NOT_FOUND, error.problem.summary, hint=hint)


def missing(kind: str, name: str, known: Iterable[str]) -> ProblemError:
    """The problem that there is no such thing, with the nearest name."""
    hint = did_you_mean(name, known, f"`bayplan {kind} ls` shows what there is")
    return refuse(ProblemKind.NOT_FOUND, f"there is no {kind} {name}", hint=hint)
