"""Whether a stack keeps to what the controller allows its containers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bayplan.errors import Problem, ProblemKind
from bayplan.model import ServiceSpec
from bayplan.policy import Privilege, privileges


def faults(specs: Iterable[ServiceSpec], allowed: frozenset[Privilege]) -> Iterator[Problem]:
    """One problem for each privilege of each service that is not allowed."""
    for spec in specs:
        named: set[Privilege] = set()
        for privilege, field, text in privileges(spec.container):
            if privilege in allowed or privilege in named:
                continue
            named.add(privilege)
            yield Problem(
                kind=ProblemKind.REFUSED,
                summary=f"service {spec.name} asks for {text}, and this cluster does not allow it",
                hint=(
                    f'do without it, or add "{privilege.value}" to "allow" in the controller\'s config.json '
                    "and restart bayplan-controller"
                ),
                place=spec.places.get(field, spec.places.get("service", "")),
            )
