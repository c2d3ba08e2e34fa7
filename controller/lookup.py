"""The registry's answers out of a listing: who is given, or why nobody is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bayplan.directory import Entry, Listing
from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import Health, Instance
from controller import listings, names
from controller.decide import registry
from controller.state import State

#: Instances that an answer names which has none that is ready.
NAMED_MAX = 10


class Wanted(NamedTuple):
    """Which entries of a listing are wanted: `every` also those that are not given; those with all the tags,
    of a version (0: any), of one of these healths (none: any); what runs on the node `near` comes first, then
    what is in its zone."""

    every: bool = False
    tags: tuple[str, ...] = ()
    version: int = 0
    near: str = ""
    health: frozenset[Health] = frozenset()


class Found(NamedTuple):
    """A service's revision and instances; `absence` tells why none is ready, and is None when one is."""

    revision: int
    instances: tuple[Instance, ...]
    absence: Problem | None


def lookup(state: State, stack: str, service: str, *, every: bool = False) -> Found:
    """The ready instances of a service (with `every` all of them). Never raises: a miss is an absence."""
    listing = listings.listing(state, stack, service)
    if listing is None:
        return Found(0, (), missing(state, stack, service))
    chosen = select(listing, Wanted(every=every))
    absence = None if listing.given() else none_ready(listing)
    return Found(listing.revision, tuple([registry.instance(each) for each in chosen]), absence)


def select(listing: Listing, wanted: Wanted, zone: str = "") -> tuple[Entry, ...]:
    """The entries that are wanted, in order; `zone` is that of the node `near`."""
    entries: Iterable[Entry] = listing.entries if wanted.every else listing.given()
    if wanted.tags:
        entries = [each for each in entries if set(wanted.tags) <= set(each.tags)]
    if wanted.version:
        entries = [each for each in entries if each.version == wanted.version]
    if wanted.health:
        entries = [each for each in entries if each.health in wanted.health]
    if wanted.near:
        entries = sorted(entries, key=lambda each: _distance(each, wanted.near, zone))
    return tuple(entries)


def _distance(entry: Entry, near: str, zone: str) -> int:
    if entry.node == near:
        return 0
    return 1 if zone and entry.zone == zone else 2


def missing(state: State, stack: str, service: str) -> Problem:
    """That there is no such service, with what is nearest."""
    full_name = f"{stack}_{service}"
    try:
        names.check_stack(state, stack)
        return names.missing("service", full_name, [each.name for each in state.stack(stack)]).problem
    except ProblemError as error:
        return error.problem


def none_ready(listing: Listing) -> Problem:
    """That nobody is given, and why."""
    name = f"{listing.stack}_{listing.service}"
    details = tuple(
        f"{name}.{each.slot or each.id} on {each.node or each.address}: {each.reason}"
        for each in listing.entries[:NAMED_MAX]
    )
    return Problem(
        kind=ProblemKind.NOT_FOUND,
        summary=f"{name} has no ready instance",
        details=details or ("none of its containers runs",),
        hint=f"`bayplan service ps {name}` shows its tasks",
    )
