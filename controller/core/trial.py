"""A trial on paper: where the new tasks of a proposal would go. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind
from bayplan.model import ServiceSpec
from bayplan.views import ServiceAction
from controller.core import placing
from controller.core.turn import Turn
from controller.decide import deploy, order, schedule
from controller.decide.filters import Cause
from controller.records import Service, Task

_KEEPING = (ServiceAction.SAME, ServiceAction.SCALE)


#: Under which key of a service the user wrote what a cause is about.
_KEY_OF = {
    Cause.PLATFORM: "platform",
    Cause.CONSTRAINT: "constraints",
    Cause.PER_NODE: "max_replicas_per_node",
    Cause.PORT: "ports",
    Cause.GENERIC: "resources",
    Cause.CPU: "resources",
    Cause.MEMORY: "resources",
}


class TrialTask(NamedTuple):
    """A new task; `node_id` is empty when it fits nowhere, `reasons` then say why, and `key` which key of
    the service is most to blame."""

    name: str
    service: str
    spec: ServiceSpec
    node_id: str
    reasons: tuple[str, ...]
    key: str = "service"


def place(turn: Turn, changes: tuple[deploy.Change, ...]) -> tuple[TrialTask, ...]:
    """All new tasks of the changes, by service and slot."""
    needs: list[tuple[str, schedule.Need]] = []
    # What is on its way out already will have made room: the new tasks wait for it, as pending ones.
    leaving = {task.id for task in turn.state.tasks.values() if not task.wanted}
    in_waves = waves(changes)
    for change in changes:
        slots = placing.slots(turn.state, change.spec) if change.spec else {}
        staying = _staying(turn, change, slots)
        if change.service is not None:
            leaving |= _tasks_of(turn, change.service) - {task.id for task in staying.values()}
        if change.spec is None or change.action is ServiceAction.SAME:
            continue
        key = change.service.id if change.service else change.name
        for slot, node_id in slots.items():
            if slot not in staying:
                task_id = f"{change.name}.{slot}"
                wave = in_waves.get(change.spec.name, 1)
                need = placing.need(turn.settings, task_id, key, change.spec, slot, node_id, wave)
                needs.append((change.name, need))
    plan = schedule.place(
        [need for _, need in needs], placing.candidates(turn.state, without=frozenset(leaving))
    )
    return tuple(_trial_task(plan, service, need) for service, need in needs)


def waves(changes: Sequence[deploy.Change]) -> dict[str, int]:
    """The order of the services that get new tasks, by short name: what stays as it is holds nothing up."""
    moving = [each.spec for each in changes if each.spec and each.action not in _KEEPING]
    return order.waves(moving)


def _staying(turn: Turn, change: deploy.Change, slots: dict[int, str]) -> dict[int, Task]:
    """The tasks of a service that a change leaves alone, by slot."""
    if change.service is None or change.action not in _KEEPING:
        return {}
    tasks = turn.state.tasks_of(change.service.id)
    return {task.slot: task for task in tasks if task.wanted and task.slot in slots}


def _tasks_of(turn: Turn, service: Service) -> set[str]:
    return {task.id for task in turn.state.tasks_of(service.id)}


def _trial_task(plan: schedule.Plan, service: str, need: schedule.Need) -> TrialTask:
    refusal = plan.refused.get(need.task_id)
    node_id = plan.placed.get(need.task_id, "")
    reasons = refusal.lines if refusal else plan.reasons.get(need.task_id, ())
    return TrialTask(need.task_id, service, need.spec, node_id, reasons, _key(refusal))


def _key(refusal: schedule.Refusal | None) -> str:
    causes = refusal.causes if refusal else {}
    worst = max(causes, key=lambda cause: causes[cause], default=None)
    return _KEY_OF.get(worst, "service") if worst else "service"


def problems(tasks: tuple[TrialTask, ...]) -> tuple[Problem, ...]:
    """One problem for each service with tasks that fit nowhere: its first such task and its reasons."""
    found: dict[str, Problem] = {}
    for task in tasks:
        if not task.node_id and task.service not in found:
            found[task.service] = _unplaceable(task)
    return tuple(found.values())


def _unplaceable(task: TrialTask) -> Problem:
    places = task.spec.places
    return Problem(
        kind=ProblemKind.UNPLACEABLE,
        summary=f"{task.name} cannot be placed",
        details=task.reasons,
        hint="nothing was changed; ask for less, or add a node (`bayplan join-token`)",
        why="bayplan node ls",
        place=places.get(task.key, places.get("service", "")),
    )
