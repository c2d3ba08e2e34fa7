"""Answers of the registry as bytes, encoded once for all who ask the same as long as it stays the same."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from bayplan.directory import Entry, Listing, key_of
from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.model import Health
from bayplan.v1 import registry_pb2, task_pb2
from bayplan.wire import WireError, to_pb
from controller import listings, lookup
from controller.decide import registry
from controller.doors.directory import Keeper
from controller.state import State

#: Answers that are kept, by request; views that are kept, by service and revisions.
ANSWERS_MAX, VIEWS_MAX = 10_000, 1_000
#: Services whose earlier views are remembered, and how many of each: who comes back gets what has changed.
REMEMBERED_MAX, REMEMBERED_EACH_MAX = 1_000, 16
#: Tags that one lookup asks for.
TAGS_MAX = 64

K = TypeVar("K")
V = TypeVar("V")

_HEALTHS = {task_pb2.Health.Value(f"HEALTH_{each.name}"): each for each in Health}


class _Answer(NamedTuple):
    """What was answered out of which listing."""

    stack: str
    service: str
    listing: Listing
    whole: bool
    encoded: bytes


class Answers:
    """Lookups and watchers' views. Without a directory that is made already, they do without."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._views: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._earlier: OrderedDict[str, OrderedDict[int, tuple[Entry, ...]]] = OrderedDict()

    async def lookup(self, request: bytes) -> bytes:
        """A LookupResponse. Raises ProblemError (NOT_FOUND) with the reason when there is none to show."""
        kept = self._answers.get(request)
        if kept is not None and self._keeper.is_open:
            await self._keeper.fresh(kept.stack, kept.service)
            listing = self._keeper.directory.get(kept.stack, kept.service)
            if listing is kept.listing and kept.whole == self._keeper.origin().whole:
                return kept.encoded
        return await self._look_up(request)

    async def _look_up(self, request: bytes) -> bytes:
        asked = parsed(registry_pb2.LookupRequest(), request)
        state, listing = await self._keeper.look(asked.stack, asked.service)
        if listing is None:
            raise ProblemError(lookup.missing(state, asked.stack, asked.service))
        found = lookup.select(listing, _wanted(asked), _zone_of(state, asked.near))
        if not found:
            raise ProblemError(_absence(listing, asked))
        whole = self._keeper.origin().whole if self._keeper.is_open else listings.is_whole(state)
        encoded: bytes = registry_pb2.LookupResponse(
            stack=listing.stack,
            service=listing.service,
            revision=listing.revision,
            instances=[to_pb(registry.instance(each)) for each in found],
            protected=listing.protected,
            whole=whole,
        ).SerializeToString()
        if not asked.near:  # which also depends on where that node is
            _keep(
                self._answers,
                request,
                _Answer(asked.stack, asked.service, listing, whole, encoded),
                ANSWERS_MAX,
            )
        return encoded

    def view(
        self, stack: str, service: str, listing: Listing | None, seen: int, *, increments: bool
    ) -> bytes:
        """A WatchResponse for one who saw a revision: with `increments` what has changed since, if that is
        known, else the whole view."""
        key = key_of(stack, service)
        revision, given = (listing.revision, listing.given()) if listing else (0, ())
        earlier = self._earlier.get(key) or OrderedDict()
        given = earlier.get(revision, given)  # all who saw a revision saw the same
        before = earlier.get(seen) if increments else None
        name = (key, 0 if before is None else seen, revision)
        encoded = self._views.get(name)
        if encoded is None:
            response = registry_pb2.WatchResponse(stack=stack, service=service, revision=revision)
            response.protected = listing is not None and listing.protected
            _write(response, before, given)
            encoded = response.SerializeToString()
            _keep(self._views, name, encoded, VIEWS_MAX)
        if increments and revision:
            _keep(earlier, revision, given, REMEMBERED_EACH_MAX)
            _keep(self._earlier, key, earlier, REMEMBERED_MAX)
        return encoded


def parsed(message: registry_pb2.LookupRequest, request: bytes) -> registry_pb2.LookupRequest:
    """The request in these bytes. Raises WireError."""
    try:
        message.ParseFromString(request)
    except DecodeError as error:
        raise WireError("it is no LookupRequest") from error
    return message


def _wanted(asked: registry_pb2.LookupRequest) -> lookup.Wanted:
    """Raises ProblemError."""
    if len(asked.tags) > TAGS_MAX:
        raise refuse(ProblemKind.INVALID, f"{len(asked.tags)} tags are asked for; at most {TAGS_MAX}")
    return lookup.Wanted(
        every=asked.all,
        tags=tuple(asked.tags),
        version=asked.version,
        near=asked.near,
        health=frozenset(_HEALTHS[number] for number in asked.health if number in _HEALTHS),
    )


def _absence(listing: Listing, asked: registry_pb2.LookupRequest) -> Problem:
    if not listing.given():
        return lookup.none_ready(listing)
    return Problem(
        kind=ProblemKind.NOT_FOUND,
        summary=f"no instance of {listing.stack}_{listing.service} is as asked for",
        hint="ask for fewer tags, or for another version or health",
    )


def _zone_of(state: State, node: str) -> str:
    named = (each for each in state.nodes.values() if each.name == node) if node else ()
    return next((each.labels.get(registry.ZONE_LABEL, "") for each in named), "")


def _write(
    response: registry_pb2.WatchResponse, before: tuple[Entry, ...] | None, given: tuple[Entry, ...]
) -> None:
    """Write what is new in a view, or with nothing before it all of it."""
    known = {each.id: each for each in before or ()}
    news = [each for each in given if known.pop(each.id, None) != each]
    response.instances.extend([to_pb(registry.instance(each)) for each in news])
    response.increment = before is not None
    response.gone.extend(sorted(known))


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
