"""A proposal as a plan that people read: what changes, where new tasks would go, what stands against it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayplan import diff
from bayplan.errors import Problem
from bayplan.model import ServiceSpec
from bayplan.units import format_duration_ms
from bayplan.views import (
    FieldChange,
    NodeShare,
    Placement,
    Plan,
    PlannedTask,
    Reservation,
    ServiceAction,
    ServicePlan,
)
from controller.core import history, trial
from controller.core.proposals import Proposal
from controller.core.trial import NOWHERE, Lot, Trial
from controller.core.turn import Turn
from controller.decide import deploy, succession
from controller.decide.fleet import Fleet
from controller.decide.reservations import reserve
from controller.state import State

#: Tasks of one service that a plan lists; tasks that fit nowhere come first.
TASKS_SHOWN_MAX = 100
#: Tasks that a whole plan lists, but of each service a few.
TASKS_IN_ALL_MAX, TASKS_SHOWN_MIN = 3_000, 3
#: Nodes of one service of which a plan says how many tasks they would get, those with most first.
NODES_SHOWN_MAX = 100
#: Changed fields of one service that a plan lists.
FIELDS_SHOWN_MAX = 100


def plan(
    turn: Turn, proposal: Proposal, tried: Trial, warnings: tuple[str, ...], faults: tuple[Problem, ...]
) -> Plan:
    """The plan. `faults` are what nodes said against it."""
    waves = trial.waves(proposal.changes)
    lots = {lot.name: lot for lot in tried.lots}
    return Plan(
        stack=proposal.stack,
        index=history.index(turn.state, proposal.stack),
        services=tuple(
            _service(turn, change, lots.get(change.name), tried.fleet, waves) for change in proposal.changes
        ),
        files=tuple(change.shown() for change in proposal.files),
        warnings=warnings,
        problems=(*proposal.problems, *tried.problems(), *faults),
    )


def _service(
    turn: Turn, change: deploy.Change, lot: Lot | None, fleet: Fleet, waves: Mapping[str, int]
) -> ServicePlan:
    spec = change.spec
    if spec is None:
        return ServicePlan(change=change.shown())
    return ServicePlan(
        change=change.shown(),
        fields=_fields(turn.state, change, spec),
        tasks=_tasks(lot, fleet, shown_max(len(waves))) if lot else (),
        placement=_placement(lot, fleet) if lot else Placement(),
        wave=waves.get(spec.name, 1),
        rolls=_rolls(spec) if change.action is ServiceAction.UPDATE else "",
        reservation=_reservation(turn, spec),
        image_before=change.image_before,
        image_after=change.image_after,
        place=spec.places.get("service", ""),
    )


def _reservation(turn: Turn, spec: ServiceSpec) -> Reservation:
    return reserve(spec, turn.settings.default_reservation)


def _rolls(spec: ServiceSpec) -> str:
    """How the tasks of a service are replaced: `2 at a time, stop-first (it is a job), 10s apart`."""
    policy = spec.update
    order = succession.resolve(policy, spec)
    why = "" if order.reason == succession.AS_ASKED else f" ({order.reason})"
    many = f"{policy.parallelism} at a time" if policy.parallelism else "all at once"
    apart = f", {format_duration_ms(policy.delay_ms)} apart" if policy.delay_ms else ""
    canaries = f"{policy.canaries} first beside the old ones, " if policy.canaries else ""
    return f"{canaries}{many}, {order.order.value.replace('_', '-')}{why}{apart}"


def _fields(state: State, change: deploy.Change, spec: ServiceSpec) -> tuple[FieldChange, ...]:
    if change.service is None:
        return ()
    found = diff.service_fields(state.spec_of(change.service), spec)
    if len(found) <= FIELDS_SHOWN_MAX:
        return found
    rest = FieldChange(path=f"({len(found) - FIELDS_SHOWN_MAX} more fields)")
    return (*found[:FIELDS_SHOWN_MAX], rest)


def shown_max(services: int) -> int:
    """How many tasks of each of so many services are listed."""
    return max(TASKS_SHOWN_MIN, min(TASKS_SHOWN_MAX, TASKS_IN_ALL_MAX // max(1, services)))


def _tasks(lot: Lot, fleet: Fleet, most: int) -> tuple[PlannedTask, ...]:
    """The first tasks, those that fit nowhere before the others."""
    left, placed = np.flatnonzero(lot.nodes == NOWHERE), np.flatnonzero(lot.nodes != NOWHERE)
    why = lot.refusal.lines if lot.refusal else ()
    shown = [PlannedTask(name=f"{lot.name}.{lot.slots[at]}", reasons=why) for at in left[:most]]
    for index, at in enumerate(placed[: most - len(shown)].tolist()):
        shown.append(
            PlannedTask(
                name=f"{lot.name}.{lot.slots[at]}",
                node=fleet.nodes[lot.nodes[at]].name,
                reasons=lot.reasons[index],
            )
        )
    return tuple(shown)


def _placement(lot: Lot, fleet: Fleet) -> Placement:
    """How many go where, the nodes with most first."""
    rows, counts = np.unique(lot.nodes[lot.nodes != NOWHERE], return_counts=True)
    first = np.argsort(-counts, kind="stable")[:NODES_SHOWN_MAX]
    shares = zip(rows[first].tolist(), counts[first].tolist(), strict=True)
    return Placement(
        tasks=lot.slots.size,
        nowhere=lot.slots.size - int(counts.sum()),
        nodes=rows.size,
        shares=tuple(NodeShare(node=fleet.nodes[row].name, tasks=count) for row, count in shares),
    )
