"""Names as users write them, turned into those of the controller; what was near when one is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from bayplan.cli.commands import nearest
from bayplan.client import Client
from bayplan.errors import ProblemError, ProblemKind, refuse


def full_name(name: str) -> str:
    """`stack/service` as `stack_service`; every other form as it is."""
    return name.replace("/", "_", 1)


@contextmanager
def offering(name: str, client: Client, kind: str) -> Iterator[None]:
    """Adds "did you mean" to a NOT_FOUND that has no hint. `kind`: stack, service or node."""
    try:
        yield
    except ProblemError as error:
        problem = error.problem
        if problem.kind is not ProblemKind.NOT_FOUND or problem.hint:
            raise
        raise ProblemError(msgspec.structs.replace(problem, hint=_hint(name, client, kind))) from None


def not_found(name: str, client: Client, kind: str, summary: str) -> ProblemError:
    return refuse(ProblemKind.NOT_FOUND, summary, hint=_hint(name, client, kind))


def _hint(name: str, client: Client, kind: str) -> str:
    known = list(_known(client, kind))
    near = nearest(name, known)
    if near:
        return f"did you mean {near}?"
    return f"`bayplan {kind} ls` shows those that exist" if known else f"there is no {kind} at all"


def _known(client: Client, kind: str) -> Iterable[str]:
    if kind == "stack":
        return [stack.name for stack in client.stacks()]
    if kind == "node":
        return [node.name for node in client.nodes()]
    return [service.name for service in client.services()]
