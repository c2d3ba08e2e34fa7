"""Lookups: who answers for a service now, as JSON, or as lines for scripts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from bayplan.directory import Directory, Entry, Listing, Standing
from bayplan.errors import Problem, ProblemKind
from bayplan.model.cluster import Health
from bayplan.nearest import did_you_mean
from bayplan.surfaces.asking import (
    NOT_KNOWN_YET,
    Answer,
    Asked,
    Read,
    Surface,
    View,
    json_answer,
    text_answer,
)
from bayplan.surfaces.selecting import Selection, endpoint, full_name, meanings, tags_of

#: Entries that are not ready of which an answer tells why.
REASONS_MAX = 10
#: Names among which the nearest to a mistyped one is looked for; among more it would take too long.
COMPARED_MAX = 1_000

#: What there is to ask, for whoever asks for something else.
PATHS = (
    "GET /v1/lookup/<stack>/<service>",
    "GET /v1/services",
    "GET /v1/prometheus",
    "GET /<service>.<stack>",
    "GET /<service>",
)

_STATUS = {
    ProblemKind.INVALID: 400,
    ProblemKind.NOT_FOUND: 404,
    ProblemKind.REFUSED: 403,
    ProblemKind.UNREACHABLE: 503,
}


class _Form(NamedTuple):
    """What is wanted, and whether as lines."""

    selection: Selection
    text: bool


class _Row(msgspec.Struct, omit_defaults=True):
    id: str
    address: str
    port: int
    node: str
    health: Health
    slot: int
    version: int
    standing: Standing
    weight: int
    zone: str = ""
    tags: tuple[str, ...] = ()
    networks: dict[str, str] = {}
    target: int = 0
    meta: dict[str, str] = {}
    reason: str = ""


class _Found(msgspec.Struct, omit_defaults=True):
    stack: str
    service: str
    revision: int
    index: int
    age_ms: int
    whole: bool
    instances: list[_Row]
    protected: bool = False


class _ServiceRow(msgspec.Struct):
    stack: str
    service: str
    ready: int
    total: int
    revision: int
    tags: tuple[str, ...]


def read(asked: Asked) -> Read | None:
    """What a request of these paths means. Raises ProblemError (INVALID)."""
    match asked.path:
        case ("v1", "lookup", stack, service) if stack and service:
            form = _Form(Selection.of(asked, every=asked.flag("all")), text=False)
            return _read(asked, lambda view: _one(view, stack, service, form), ((stack, service),))
        case ("v1", "services"):
            return _read(asked, _services)
        case (name,) if name:
            form = _Form(Selection.of(asked, every=asked.flag("all")), text=not asked.accepts("json"))
            return _read(asked, lambda view: _named(view, name, form))
    return None


def refusal(problem: Problem, view: View, listing: Listing | None = None, *, text: bool = False) -> Answer:
    """Why there is no answer, or none of a listing: in JSON, or in words for people."""
    status = _STATUS.get(problem.kind, 500)
    if text:
        lines = (problem.summary, *[f"  {each}" for each in problem.details], problem.hint)
        return text_answer("".join([f"{line}\n" for line in lines if line]), status)
    body = {
        "error": problem.summary,
        "details": problem.details,
        "hint": problem.hint,
        "revision": listing.revision if listing else 0,
        "index": _index(view, listing),
        "age_ms": view.origin.age_ms,
        "whole": view.origin.whole,
    }
    return json_answer(body, status)


SURFACE = Surface(("/",), read, refusal)


def _read(asked: Asked, answer: Callable[[View], Answer], names: tuple[tuple[str, str], ...] = ()) -> Read:
    near = bool(asked.first("near"))
    return Read(answer, names, asked.number("index"), asked.wait_ms(), kept=True, nodes=near)


def _one(view: View, stack: str, service: str, form: _Form) -> Answer:
    listing = view.directory.get(stack, service)
    if listing is None:
        return refusal(_absent(view, stack, service), view, text=form.text)
    found = form.selection.of_listing(listing, view)
    if not found and not form.selection.every:
        return refusal(_nobody(listing), view, listing, text=form.text)
    if form.text:
        return text_answer("".join([endpoint(each) + "\n" for each in found if each.address]))
    return json_answer(_body(view, listing, found))


def _index(view: View, listing: Listing | None) -> int:
    """What to ask with next time, to wait for a change."""
    if listing is None:
        return max(view.directory.index, 1)
    return view.directory.changed_at(listing.stack, listing.service)


def _body(view: View, listing: Listing, entries: list[Entry]) -> _Found:
    return _Found(
        stack=listing.stack,
        service=listing.service,
        revision=listing.revision,
        index=_index(view, listing),
        age_ms=view.origin.age_ms,
        whole=view.origin.whole,
        instances=[_row(listing, each) for each in entries],
        protected=listing.protected,
    )


def _row(listing: Listing, entry: Entry) -> _Row:
    return _Row(
        id=entry.id,
        address=entry.address,
        port=entry.port,
        node=entry.node,
        health=entry.health,
        slot=entry.slot,
        version=entry.version,
        standing=entry.standing,
        weight=entry.weight,
        zone=entry.zone,
        tags=tags_of(listing, entry),
        networks=entry.networks,
        target=entry.target,
        meta=entry.meta,
        reason=entry.reason,
    )


def _absent(view: View, stack: str, service: str) -> Problem:
    """Why a service is not there."""
    name = full_name(stack, service)
    if siblings := view.directory.services(stack):
        hint = _nearest(name, [full_name(stack, each) for each in siblings])
        return Problem(kind=ProblemKind.NOT_FOUND, summary=f"there is no service {name}", hint=hint)
    hint = _nearest(stack, [each for each in view.directory.stacks() if each])
    return Problem(kind=ProblemKind.NOT_FOUND, summary=f"there is no stack {stack}", hint=hint)


def _nobody(listing: Listing) -> Problem:
    """Why nobody of a service is given."""
    name = full_name(listing.stack, listing.service)
    why = [
        f"{name}.{each.slot or each.id} on {each.node or each.address}: {each.reason or each.standing}"
        for each in listing.entries
        if not each.given
    ]
    given = any(each.given for each in listing.entries)
    otherwise = "what is ready has other tags or another version" if given else "none of its containers runs"
    return Problem(
        kind=ProblemKind.NOT_FOUND,
        summary=f"{name} has no ready instance",
        details=tuple(why[:REASONS_MAX]) or (otherwise,),
        hint=f"`bayplan service ps {name}` shows its tasks",
    )


def _named(view: View, name: str, form: _Form) -> Answer:
    """`web.shop`, `shop_web`, or `web` where only one stack has such a service."""
    found = named(view.directory, name)
    if len(found) == 1:
        return _one(view, *found[0], form)
    if not found:
        return refusal(_unknown(view, name), view, text=form.text)
    names = [f"{service}.{stack}" for stack, service in found[:REASONS_MAX]]
    problem = Problem(
        kind=ProblemKind.NOT_FOUND,
        summary=f"{name} is in {len(found)} stacks",
        hint=f"ask for one of them: {', '.join(names)}",
    )
    return refusal(problem, view, text=form.text)


def _unknown(view: View, name: str) -> Problem:
    service, _, stack = name.rpartition(".")
    if not view.origin.whole:
        return NOT_KNOWN_YET
    if service:
        return _absent(view, stack, service)
    hint = _nearest(name, [full_name(each.stack, each.service) for each in view.directory])
    return Problem(kind=ProblemKind.NOT_FOUND, summary=f"there is no service {name}", hint=hint)


def _nearest(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known) if len(known) <= COMPARED_MAX else ""


def named(directory: Directory, name: str) -> list[tuple[str, str]]:
    """The services (stack, service) that a name means: one if it is `web.shop`, `shop_web` or that of who
    registered by himself; else all those of this short name."""
    service, _, stack = name.rpartition(".")
    for each in ((stack, service), *meanings(name)):
        if each[1] and directory.get(*each) is not None:
            return [each]
    return [(stack, name) for stack in directory.stacks() if directory.get(stack, name) is not None]


def _services(view: View) -> Answer:
    rows = [
        _ServiceRow(
            stack=each.stack,
            service=each.service,
            ready=len(each.given()),
            total=len(each.entries),
            revision=each.revision,
            tags=each.tags,
        )
        for each in view.directory
    ]
    origin = view.origin
    return json_answer(
        {"services": rows, "index": _index(view, None), "age_ms": origin.age_ms, "whole": origin.whole}
    )
