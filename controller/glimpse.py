"""A directory of a few services, made out of the state for one answer: who only looks a service up shall not
cost the controller a whole directory. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from bayplan.directory import Directory, Listing, Origin, first_number
from controller import listings
from controller.state import State


def glimpse(state: State, wanted: Iterable[tuple[str, str]]) -> Directory:
    """The services (stack, service) that are there, and for who mistypes the bare names beside them."""
    index = first_number(state.cluster.epoch)
    directory = Directory(index)
    for stack, service in wanted:
        found = listings.listing(state, stack, service)
        if found is not None:
            directory.put(found, index)
        else:
            for each in _beside(state, stack):
                directory.put(each, index)
    return directory


def origin(state: State) -> Origin:
    """The controller itself."""
    return Origin(whole=listings.is_whole(state))


def _beside(state: State, stack: str) -> list[Listing]:
    siblings = [each.short_name for each in state.stack(stack)]
    names = [(stack, each) for each in siblings] or [(each, "") for each in state.stack_names()]
    return [Listing.of(*each, 1, ()) for each in names]
