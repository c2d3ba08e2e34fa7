"""Those who are no tasks and registered themselves: their leases, and operators' words about any instance.

Who they are is durable; until when their leases last is kept in memory, and begins anew with the controller.
"""

from __future__ import annotations

from itertools import chain
from typing import assert_never

import msgspec

from bayplan.directory import key_of
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import Now
from controller.core import exposing, overriding
from controller.core.ranked import Ranked
from controller.core.turn import Turn
from controller.decide import outsiders as decide
from controller.events import DeregisterAsked, OverrideAsked, RegisterAsked, RegistryRequest, RenewAsked
from controller.records import Outsider, entry_key
from controller.state import State


class Outsiders:
    """Knows when each lease ends (monotonic ms), by the outsider's key."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._ends = Ranked()
        self._begin_all(now.mono_ms)

    def wake_at(self) -> int | None:
        """When a lease ends next."""
        return self._ends.lowest_rank()

    def resumed(self, now: Now) -> None:
        """This process stood still, and nobody could renew anything: all leases begin anew."""
        self._begin_all(now.mono_ms)

    def _begin_all(self, now_ms: int) -> None:
        for services in self._state.outsiders.values():
            for each in chain.from_iterable(mine.values() for mine in services.values()):
                self._ends.put(each.key, now_ms + each.registration.ttl_ms)

    def asked(self, turn: Turn, event: RegistryRequest) -> None:
        """Carry out a request, or say why not."""
        try:
            match event:
                case RegisterAsked():
                    self._register(turn, event)
                case RenewAsked():
                    self._renew(turn, event)
                case DeregisterAsked():
                    self._deregister(turn, event)
                case OverrideAsked():
                    overriding.asked(turn, event)
                case _:
                    assert_never(event)
        except ProblemError as error:
            turn.refuse(event.ticket, error)

    def settle(self, turn: Turn) -> None:
        """Forget those whose lease is over, and those whose stack belongs to a deploy now."""
        state = turn.state
        for key in self._ends.up_to(turn.now.mono_ms):
            self._forget(turn, _found(state, *key.split("/", 2)), "its lease is over")
        for stack in [each for each in turn.stacks & state.outsiders.keys() if state.stack(each)]:
            for each in [each for mine in state.outsiders[stack].values() for each in mine.values()]:
                self._forget(turn, each, "its stack is deployed")

    def _register(self, turn: Turn, event: RegisterAsked) -> None:
        state, asked = turn.state, event.registration
        decide.check(asked)
        if state.stack(asked.stack, removed=True):
            raise refuse(
                ProblemKind.REFUSED,
                f"{asked.stack} is a stack that is deployed: its services are those of its compose file",
                hint="register without a stack, or with a name of your own",
            )
        mine = state.outsiders_of(asked.stack, asked.service)
        if asked.id not in mine:
            _check_room(state, len(mine), asked.service)
        reason, output = decide.cut(asked)
        kept = msgspec.structs.replace(asked, reason=reason, output="")
        before = mine.get(asked.id)
        if before is None or (before.registration, before.by) != (kept, event.by):
            turn.put(Outsider(registration=kept, by=event.by, since_ms=turn.now.wall_ms))
        key = entry_key(asked.stack, asked.service, asked.id)
        self._ends.put(key, turn.now.mono_ms + asked.ttl_ms)
        _note_output(state, key, output)
        if before is None:
            turn.note("registry", key, "registered")
        exposing.expose_outside(turn, asked.stack, asked.service)
        turn.reply(event.ticket)

    def _renew(self, turn: Turn, event: RenewAsked) -> None:
        said = event.renewal
        found = _found(turn.state, said.stack, said.service, said.id)
        if found is None:
            raise refuse(
                ProblemKind.NOT_FOUND,
                f"{said.id[:80]} of {said.service[:80]} is not registered, or its lease is over",
                hint="register it again",
            )
        self._ends.put(found.key, turn.now.mono_ms + found.registration.ttl_ms)
        reason, output = decide.cut(said)
        _note_output(turn.state, found.key, output)
        before = found.registration
        if (before.standing, before.reason) != (said.standing, reason):
            now = msgspec.structs.replace(before, standing=said.standing, reason=reason)
            turn.put(msgspec.structs.replace(found, registration=now))
            exposing.expose_outside(turn, said.stack, said.service)
        turn.reply(event.ticket)

    def _deregister(self, turn: Turn, event: DeregisterAsked) -> None:
        self._forget(turn, _found(turn.state, event.stack, event.service, event.id), "deregistered")
        turn.reply(event.ticket)

    def _forget(self, turn: Turn, outsider: Outsider | None, why: str) -> None:
        if outsider is None:
            return
        stack, service = outsider.registration.stack, outsider.registration.service
        turn.drop(outsider)
        self._ends.forget(outsider.key)
        turn.state.outputs.pop(outsider.key, None)
        word = turn.state.overrides.get(key_of(stack, service), {}).get(outsider.registration.id)
        if word is not None:
            turn.drop(word)
        turn.note("registry", outsider.key, why)
        exposing.expose_outside(turn, stack, service)


def _found(state: State, stack: str, service: str, entry_id: str) -> Outsider | None:
    return state.outsiders_of(stack, service).get(entry_id)


def _check_room(state: State, in_service: int, service: str) -> None:
    """Raises ProblemError (REFUSED)."""
    if in_service >= decide.OUTSIDERS_PER_SERVICE_MAX:
        raise refuse(
            ProblemKind.REFUSED, f"{in_service} instances of {service} are registered, which is the most"
        )
    count = sum(len(mine) for services in state.outsiders.values() for mine in services.values())
    if count >= decide.OUTSIDERS_MAX:
        raise refuse(ProblemKind.REFUSED, f"{count} instances are registered, which is the most")


def _note_output(state: State, key: str, output: str) -> None:
    if output:
        state.outputs[key] = output
    else:
        state.outputs.pop(key, None)
