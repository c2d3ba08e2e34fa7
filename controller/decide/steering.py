"""What a user's word makes of a rollout: pause, resume, promote, undo. Pure.

Each answers with the service as it shall be kept, or raises ProblemError (REFUSED) with the way out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import ServiceSpec
from bayplan.views import RolloutState
from controller.decide.progress import gone_back, newest_ms
from controller.decide.rollout import BACK, HALTED, Seen, canaries, is_there
from controller.records import Rollout, Service

#: Why a rollout halts or goes back that did nothing wrong.
BY_USER = "by a user"

_PAUSED = {
    RolloutState.ROLLING: RolloutState.PAUSED,
    RolloutState.ROLLING_BACK: RolloutState.ROLLBACK_PAUSED,
}
_RESUMED = {after: before for before, after in _PAUSED.items()}


def paused(service: Service) -> Service:
    """No further slot changes over."""
    rollout = _under_way(service)
    if rollout.state is RolloutState.AWAITING_PROMOTION:
        raise _refused(
            service,
            "waits for the promotion of its canaries: nothing rolls",
            hint="`bayplan rollout promote` goes on, `bayplan rollout undo` goes back",
        )
    if rollout.state not in _PAUSED:
        raise _refused(
            service, f"is paused already: {rollout.reason}", hint="`bayplan rollout resume` lets it go on"
        )
    return _with(service, rollout, state=_PAUSED[rollout.state], reason=BY_USER)


def resumed(service: Service, rows: Sequence[Seen]) -> Service:
    """It goes on, and what failed so far is forgotten."""
    rollout = _under_way(service)
    if rollout.state not in _RESUMED:
        raise _refused(service, f"is not paused: it is {rollout.state.value}")
    state, back = _RESUMED[rollout.state], rollout.state in BACK
    reason = "resumed by a user" if back else ""
    return _with(service, rollout, state=state, reason=reason, failed=(), after_ms=newest_ms(rows))


def promoted(
    service: Service, spec: ServiceSpec, newest: Mapping[int, Seen], slots: Collection[int]
) -> Service:
    """The canaries were found good: their elders go, and the other slots follow."""
    rollout = _under_way(service)
    first = canaries(service, spec, slots)
    if not first:
        raise _refused(
            service,
            "has no canaries to promote",
            hint="`x-bayplan: {update: {canaries: 1}}` starts so many beside the old tasks first",
        )
    if rollout.state in HALTED:
        raise _refused(
            service,
            f"is paused: {rollout.reason}",
            hint="`bayplan rollout resume` tries its canaries again, `bayplan rollout undo` goes back",
        )
    ready = [slot for slot in first if is_there(newest.get(slot), service.version)]
    if rollout.state is not RolloutState.AWAITING_PROMOTION or len(ready) < len(first):
        raise _refused(
            service,
            f"has canaries that have not proved themselves yet: {len(ready)} of {len(first)} ready",
            hint="`bayplan rollout status` shows them, `bayplan rollout undo` takes them away",
        )
    return _with(service, rollout, state=RolloutState.ROLLING, reason="", promoted=True)


def undone(service: Service, rows: Sequence[Seen]) -> Service:
    """Back: from a rollout to the version that was settled before it, else to that which ran before."""
    rollout = service.rollout
    if rollout is not None and rollout.state in BACK and rollout.state is not RolloutState.ROLLED_BACK:
        halts = rollout.state in HALTED
        raise _refused(
            service,
            f"is on its way back to version {service.version} already",
            hint="`bayplan rollout resume` lets it go on" if halts else "",
        )
    version = service.settled if service.version != service.settled else service.previous
    if not version:
        raise _refused(
            service,
            f"has no version before {service.version} to go back to",
            hint="deploy a corrected version, or remove it",
        )
    return gone_back(service, version, BY_USER, newest_ms(rows))


def _under_way(service: Service) -> Rollout:
    """The rollout on which a word has an effect. Raises ProblemError when there is none."""
    rollout = service.rollout
    if rollout is None or rollout.state is RolloutState.ROLLED_BACK or rollout.version < service.version:
        begins = service.version != service.settled
        why = "has not begun yet" if begins else f"is rolled out: version {service.version}"
        raise _refused(service, why, hint="`bayplan rollout undo` goes back to the version before")
    return rollout


def _with(service: Service, rollout: Rollout, **fields: object) -> Service:
    return msgspec.structs.replace(service, rollout=msgspec.structs.replace(rollout, **fields))


def _refused(service: Service, why: str, hint: str = "") -> ProblemError:
    return refuse(ProblemKind.REFUSED, f"{service.name} {why}", hint=hint)
