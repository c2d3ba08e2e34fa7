"""Names as users write them, turned into those of the controller; what was near when one is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bayplan.client import Client
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.nearest import nearest


def full_name(name: str) -> str:
    """`stack/service` as `stack_service`; every other form as it is."""
    return name.replace("/", "_", 1)


@contextmanager
def offering(name: str, client: Client, kind: str) -> Iterator[None]:
    """Adds "did you mean" to a NOT_FOUND when something is near. `kind`: stack, service or node."""
    try:
        yield
    except ProblemError as error:
        near = nearest(name, _known(client, kind)) if error.problem.kind is ProblemKind.NOT_FOUND else None
        if near in (None, name):  # it is there: something else was not found
            raise
        raise ProblemError(msgspec.structs.replace(error.problem, hint=f"did you mean {near}?")) from None


def nothing_found(stack: str, client: Client) -> ProblemError:
    """A stack that is not there, in Docker's words."""
    near = nearest(stack, _known(client, "stack"))
    hint = f"did you mean {near}?" if near else "`bayplan stack ls` shows what there is"
    return refuse(ProblemKind.NOT_FOUND, f"Nothing found in stack: {stack}", hint=hint)


def _known(client: Client, kind: str) -> list[str]:
    if kind == "stack":
        return [stack.name for stack in client.stacks()]
    if kind == "node":
        return [node.name for node in client.nodes()]
    return [service.name for service in client.services()]
