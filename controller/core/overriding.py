"""Operators' words about single instances: kept apart from their health, and over it."""

from __future__ import annotations

import msgspec

from bayplan.directory import key_of
from bayplan.errors import ProblemKind, refuse
from bayplan.limits import WEIGHT_MAX
from controller import listings
from controller.core import exposing
from controller.core.turn import Turn
from controller.decide.outsiders import OVERRIDES_MAX
from controller.events import OverrideAsked
from controller.records import Override
from controller.state import State


def asked(turn: Turn, event: OverrideAsked) -> None:
    """Take an operator's word about an instance. Raises ProblemError."""
    state = turn.state
    _check(state, event)
    before = state.overrides.get(key_of(event.stack, event.service), {}).get(event.id)
    now = _joined(before, event)
    if now.drain or now.weight is not None:
        if before is None and sum(map(len, state.overrides.values())) >= OVERRIDES_MAX:
            raise refuse(ProblemKind.REFUSED, f"{OVERRIDES_MAX} instances are overridden, which is the most")
        turn.put(now)
        turn.note("registry", now.key, "an operator overrides it")
    elif before is not None:
        turn.drop(before)
        turn.note("registry", now.key, "it is not overridden any more")
    service = state.service_named(f"{event.stack}_{event.service}")
    if service is not None:
        turn.services.add(service.id)
    else:
        exposing.expose_outside(turn, event.stack, event.service)
    turn.reply(event.ticket, now)


def _joined(before: Override | None, event: OverrideAsked) -> Override:
    """What holds by what was said before and what is said now."""
    now = Override(stack=event.stack, service=event.service, id=event.id)
    if before is not None and not event.clear:
        now = before
    if event.drain is not None:
        now = msgspec.structs.replace(now, drain=event.drain)
    if event.weight is not None:
        now = msgspec.structs.replace(now, weight=event.weight)
    return now


def _check(state: State, event: OverrideAsked) -> None:
    listing = listings.listing(state, event.stack, event.service)
    if listing is None or event.id not in {each.id for each in listing.entries}:
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"{key_of(event.stack, event.service)[:160]} has no instance {event.id[:80]}",
            hint="`bayplan registry lookup --all` shows what there is",
        )
    if event.weight is not None and not 0 <= event.weight <= WEIGHT_MAX:
        raise refuse(ProblemKind.INVALID, f"a weight is 0 to {WEIGHT_MAX}, not {event.weight}")
