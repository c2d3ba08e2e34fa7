"""Who publishes which ports in the cluster, for requests that want more of them."""

from __future__ import annotations

from collections.abc import Iterator, Set

from bayplan.errors import Problem
from bayplan.model import StackSpec
from controller.decide import publishing
from controller.decide.filters import PortKey
from controller.state import State


def clashes(state: State, wished: StackSpec, prune: bool = False) -> Iterator[Problem]:
    """Ports of the wished services that others have. Services of the stack that are not among the wished
    stay as they are, but for `prune`."""
    mine = {f"{wished.name}_{spec.name}": spec for spec in wished.services}
    wanted = [each for name, spec in mine.items() if (each := publishing.holder(name, spec))]
    if not wanted:
        return
    yield from publishing.faults(wanted, _others(state, mine.keys(), wished.name if prune else ""))


def _others(state: State, mine: Set[str], leaving: str) -> Iterator[publishing.Holder]:
    for service in state.publishing():
        if service.name not in mine and service.stack != leaving:
            found = publishing.holder(service.name, state.spec_of(service))
            if found is not None:
                yield found


def everywhere(state: State) -> frozenset[PortKey]:
    """The ports at which every node answers already."""
    return frozenset(
        key
        for service in state.publishing()
        for key in publishing.everywhere(state.spec_of(service).container.ports)
    )
