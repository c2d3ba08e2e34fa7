"""Published ports of the whole cluster: one that answers on every node belongs to one service.

Ports of the nodes (`mode: host`) clash with it on any node, and with each other only where they meet, which
placing knows. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind
from bayplan.model import PortMode, PortSpec, ServiceSpec
from controller.decide.filters import PortKey, clash, keys_of


class Holder(NamedTuple):
    """A service that has published ports: those of every node, and those of its tasks' nodes."""

    name: str
    place: str
    everywhere: frozenset[PortKey]
    on_nodes: frozenset[PortKey]


def holder(name: str, spec: ServiceSpec) -> Holder | None:
    """What a service publishes at fixed ports; None where there is nothing."""
    ports = spec.container.ports
    if not any(port.published for port in ports):
        return None
    place = spec.places.get("ports", "")
    return Holder(name, place, keys_of(ports, PortMode.INGRESS), keys_of(ports, PortMode.HOST))


def everywhere(ports: tuple[PortSpec, ...]) -> frozenset[PortKey]:
    """The fixed ports at which every node answers."""
    return keys_of(ports, PortMode.INGRESS)


def faults(wished: Iterable[Holder], others: Iterable[Holder]) -> Iterator[Problem]:
    """Each wished service's first port that is another's, of the cluster or of those wished before it."""
    known = list(others)
    for mine in wished:
        for other in known:
            found = clash(mine.everywhere, other.everywhere | other.on_nodes)
            found = found or clash(mine.on_nodes, other.everywhere)
            if found is not None:
                yield _problem(mine, other, found)
                break
        known.append(mine)


def _problem(mine: Holder, other: Holder, key: PortKey) -> Problem:
    number, protocol, address = key
    where = f"{address}:{number}" if address else f"{number}"
    how = "on every node" if key in mine.everywhere else "on the nodes of its tasks"
    theirs = "on every node" if clash(frozenset({key}), other.everywhere) else "on the nodes of its tasks"
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{mine.name} would publish port {where}/{protocol} {how}, but {other.name} has it {theirs}",
        details=(f"{other.name} publishes it at {other.place}",) if other.place else (),
        hint=f"publish another port, or take it from {other.name} first",
        place=mine.place,
    )
