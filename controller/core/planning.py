"""A proposal as a plan that people read: what changes, where new tasks would go, what stands against it."""

from __future__ import annotations

from collections.abc import Mapping

from bayplan import diff
from bayplan.errors import Problem
from bayplan.model import ServiceSpec
from bayplan.units import format_duration_ms
from bayplan.views import FieldChange, Plan, PlannedTask, Reservation, ServiceAction, ServicePlan
from controller.core import history, trial
from controller.core.proposals import Proposal
from controller.core.trial import TrialTask
from controller.core.turn import Turn
from controller.decide import deploy, succession
from controller.decide.reservations import reserve
from controller.state import State

#: Tasks of one service that a plan lists; tasks that fit nowhere come first.
TASKS_SHOWN_MAX = 100
#: Changed fields of one service that a plan lists.
FIELDS_SHOWN_MAX = 100


def plan(turn: Turn, proposal: Proposal, tasks: tuple[TrialTask, ...], faults: tuple[Problem, ...]) -> Plan:
    """The plan. `faults` are what nodes said against it."""
    waves = trial.waves(proposal.changes)
    by_service: dict[str, list[TrialTask]] = {}
    for task in tasks:
        by_service.setdefault(task.service, []).append(task)
    return Plan(
        stack=proposal.stack,
        index=history.index(turn.state, proposal.stack),
        services=tuple(
            _service(turn, change, by_service.get(change.name, []), waves) for change in proposal.changes
        ),
        files=tuple(change.shown() for change in proposal.files),
        warnings=trial.warnings(turn, proposal.changes),
        problems=(*proposal.problems, *trial.problems(tasks), *faults),
    )


def _service(
    turn: Turn, change: deploy.Change, tasks: list[TrialTask], waves: Mapping[str, int]
) -> ServicePlan:
    spec = change.spec
    if spec is None:
        return ServicePlan(change=change.shown())
    return ServicePlan(
        change=change.shown(),
        fields=_fields(turn.state, change, spec),
        tasks=_tasks(turn.state, tasks),
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


def _tasks(state: State, tasks: list[TrialTask]) -> tuple[PlannedTask, ...]:
    """The tasks, those that fit nowhere first; what is beyond the limit is summed up in a last one."""
    ordered = sorted(tasks, key=lambda task: bool(task.node_id))
    shown = [
        PlannedTask(name=task.name, node=_node(state, task), reasons=task.reasons)
        for task in ordered[:TASKS_SHOWN_MAX]
    ]
    rest = ordered[TASKS_SHOWN_MAX:]
    if rest:
        nodes = {_node(state, task) for task in rest}
        where = nodes.pop() if len(nodes) == 1 else f"{len(nodes)} nodes"
        shown.append(PlannedTask(name=f"and {len(rest)} more", node=where))
    return tuple(shown)


def _node(state: State, task: TrialTask) -> str:
    return state.nodes[task.node_id].name if task.node_id else ""
