"""What users ask of rollouts: to pause, go on, promote their canaries, go back."""

from __future__ import annotations

from typing import assert_never

from bayplan.errors import ProblemError
from bayplan.views import Deployed, RolloutAction, ServiceAction, ServiceChange
from controller import names
from controller.core import history, quotas, rolling, surveys
from controller.core.turn import Turn
from controller.decide import steering
from controller.events import RolloutAsked, ServiceRollbackAsked
from controller.records import Service


def asked(turn: Turn, event: RolloutAsked | ServiceRollbackAsked) -> None:
    """Does what is asked and answers, or answers why not. What follows for the tasks comes after the answer,
    which therefore shows none."""
    action = event.action if isinstance(event, RolloutAsked) else RolloutAction.UNDO
    try:
        before = names.find_service(turn.state, event.service)
        after = _decided(turn, before, action)
    except ProblemError as error:
        turn.refuse(event.ticket, error)
        return
    history.record_present(turn, before.stack)
    if action is RolloutAction.RESUME:
        turn.state.forget_failures(before.id)
    rolling.keep(turn, before, after, "rolled back by a user")
    turn.services.add(before.id)
    after = turn.state.services[before.id]
    if isinstance(event, RolloutAsked):
        turn.reply(event.ticket, rolling.view(turn.state, after, turn.now.mono_ms))
        return
    change = ServiceChange(service=after.name, action=ServiceAction.UPDATE, version=after.version)
    revision = history.index(turn.state, after.stack)
    turn.reply(event.ticket, Deployed(changes=(change,), revision=revision))


def _decided(turn: Turn, service: Service, action: RolloutAction) -> Service:
    """The service after it. Raises ProblemError."""
    rows = surveys.every(turn.state, service, turn.now).rows
    match action:
        case RolloutAction.PAUSE:
            return steering.paused(service)
        case RolloutAction.RESUME:
            return steering.resumed(service, rows)
        case RolloutAction.PROMOTE:
            return steering.promoted(service, *rolling.standing(turn.state, service))
        case RolloutAction.UNDO:
            back = steering.undone(service, rows)
            quotas.check_version(turn.state, service, rolling.spec_back(turn.state, service, back))
            return back
        case _:
            assert_never(action)
