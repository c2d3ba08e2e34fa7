"""Quotas of stacks: set, taken away, and held against what a proposal would make of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.model import ServiceSpec
from bayplan.nearest import did_you_mean
from bayplan.views import QuotaView
from controller.core import placing
from controller.core.proposals import Proposal
from controller.core.turn import Turn
from controller.decide import quota as quotas
from controller.events import QuotaRemoveAsked, QuotaSetAsked
from controller.records import GLOBAL_MODES, Quota, Service
from controller.state import State


def asked(turn: Turn, event: QuotaSetAsked | QuotaRemoveAsked) -> None:
    """Carry out a request, or say why not."""
    try:
        if isinstance(event, QuotaSetAsked):
            _set(turn, event)
        else:
            _remove(turn, event)
    except ProblemError as error:
        turn.refuse(event.ticket, error)


def _set(turn: Turn, event: QuotaSetAsked) -> None:
    quota = Quota(stack=event.stack, limit=event.limit, tasks=event.tasks)
    quotas.check(quota)
    known = turn.state.quotas
    if quota.stack not in known and len(known) >= quotas.QUOTAS_MAX:
        raise refuse(ProblemKind.REFUSED, f"the cluster has {len(known)} quotas, which is the most")
    if known.get(quota.stack) != quota:
        turn.put(quota)
        turn.note("stack", quota.stack, "has another quota")
    turn.reply(event.ticket, view(turn.state, quota))


def _remove(turn: Turn, event: QuotaRemoveAsked) -> None:
    quota = turn.state.quotas.get(event.stack)
    if quota is None:
        hint = did_you_mean(event.stack, turn.state.quotas, "`bayplan stack quota ls` shows what there is")
        raise refuse(ProblemKind.NOT_FOUND, f"stack {event.stack[:80]} has no quota", hint=hint)
    turn.drop(quota)
    turn.note("stack", quota.stack, "has no quota any more")
    turn.reply(event.ticket, (quota.stack,))


def view(state: State, quota: Quota) -> QuotaView:
    """A quota with what its stack uses of it."""
    now = quotas.used(_present(state, quota.stack).values(), state.default_reservation)
    return QuotaView(
        stack=quota.stack,
        limit=quota.limit,
        tasks=quota.tasks,
        used=now.resources,
        used_tasks=now.tasks,
    )


def views(state: State) -> list[QuotaView]:
    """All quotas, by stack."""
    return [view(state, quota) for _, quota in sorted(state.quotas.items())]


def faults(turn: Turn, proposal: Proposal) -> Iterator[Problem]:
    """Why a proposal is more than its stack may have."""
    return _faults(turn.state, proposal.stack, {each.name: each.spec for each in proposal.changes})


def check_version(state: State, service: Service, spec: ServiceSpec) -> None:
    """Raises ProblemError when a service with this spec is more than its stack may have: an older version
    may take more than the one that a smaller quota was set for."""
    found = tuple(_faults(state, service.stack, {service.name: spec}))
    if found:
        raise ProblemError(*found)


def _faults(state: State, stack: str, changes: Mapping[str, ServiceSpec | None]) -> Iterator[Problem]:
    """`changes` are by full name the new specs; None: it goes."""
    quota = state.quotas.get(stack)
    if quota is None:
        return
    before = _present(state, stack)
    after = dict(before)
    for name, spec in changes.items():
        after.pop(name, None)
        if spec is not None:
            after[name] = spec, _number(state, spec)
    defaults = state.default_reservation
    found = quotas.fault(quota, quotas.used(before.values(), defaults), quotas.used(after.values(), defaults))
    if found is not None:
        yield found


def _present(state: State, stack: str) -> dict[str, tuple[ServiceSpec, int]]:
    """The services of a stack with how many tasks they shall have, by full name."""
    specs = {
        service.name: replace(state.spec_of(service), replicas=service.replicas)
        for service in state.stack(stack)
    }
    return {name: (spec, _number(state, spec)) for name, spec in specs.items()}


def _number(state: State, spec: ServiceSpec) -> int:
    """How many tasks a service has; one of a global mode as many as there are nodes for it now."""
    return len(placing.slots(state, spec)) if spec.mode in GLOBAL_MODES else spec.replicas
