"""A trial on paper: where the new tasks of a proposal would go. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind
from bayplan.model import ServiceSpec
from bayplan.views import ServiceAction
from controller.core import dependencies, placing
from controller.core.turn import Turn
from controller.decide import deploy, order, schedule, succession
from controller.decide.filters import Cause
from controller.decide.verdicts import Verdicts
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
    leaving = {task.id for task in turn.state.tasks.values() if task.leaving}
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
        [*owed(turn, changes), *(need for _, need in needs)],
        placing.candidates(turn.state, without=frozenset(leaving)),
    )
    return tuple(_trial_task(plan, service, need) for service, need in needs)


def needed(tasks: tuple[TrialTask, ...]) -> dict[str, list[ServiceSpec]]:
    """By node the specs of which it would get tasks, each once."""
    found: dict[str, dict[str, ServiceSpec]] = {}
    for task in tasks:
        if task.node_id:
            found.setdefault(task.node_id, {})[task.service] = task.spec
    return {node_id: list(specs.values()) for node_id, specs in found.items()}


def owed(turn: Turn, changes: Sequence[deploy.Change] = ()) -> list[schedule.Need]:
    """What services have coming that no change replaces: tasks that wait for room, for their back-off or for
    other services. They come before all new ones, so that nobody is promised their room."""
    changed = {change.service.id: change for change in changes if change.service}
    found: list[schedule.Need] = []
    for service in turn.state.services.values():
        change = changed.get(service.id)
        if not service.removed and (change is None or change.action in _KEEPING):
            found += _owed(turn, service, change)
    return found


def _owed(turn: Turn, service: Service, change: deploy.Change | None) -> list[schedule.Need]:
    state = turn.state
    spec = change.spec if change and change.spec else state.spec_of(service)
    grows = change is not None and change.action is ServiceAction.SCALE
    tasks: dict[int, list[Task]] = {}
    for task in state.tasks_of(service.id):
        if not task.leaving or task.completed:
            tasks.setdefault(task.slot, []).append(task)
    found = []
    for slot, node_id in placing.slots(state, spec).items():
        mine = tasks.get(slot, [])
        later = not mine and (grows or spec.schedule is not None)
        there = any(state.holds_node(each) or dependencies.is_over(state, service, each) for each in mine)
        if not later and not there:
            name = f"{service.name}.{slot}"
            found.append(placing.need(turn.settings, name, service.id, spec, slot, node_id))
    return found


def warnings(turn: Turn, changes: Sequence[deploy.Change]) -> tuple[str, ...]:
    """New tasks that the user wants beside the old ones, where there is no room for both now. No reason to
    refuse: room may come until the rollout's deadline."""
    first = owed(turn, changes)
    leaving = frozenset(task.id for task in turn.state.tasks.values() if task.leaving)
    found = []
    for change in changes:
        if change.action is ServiceAction.UPDATE and change.service is not None and change.spec is not None:
            needs = _beside(turn, change.service, change.spec)
            plan = schedule.place([*first, *needs], placing.candidates(turn.state, without=leaving))
            crowded = next((need.task_id for need in needs if need.task_id in plan.refused), "")
            if crowded:
                reasons = "; ".join(plan.refused[crowded].lines)
                found.append(f"there is no room for a new {crowded} beside the old one now: {reasons}")
    return tuple(found)


def _beside(turn: Turn, service: Service, spec: ServiceSpec) -> list[schedule.Need]:
    """The first new tasks of a service that must find room beside those that serve."""
    surge = succession.surge(spec)
    elders = {t.slot for t in turn.state.tasks_of(service.id) if t.wanted and turn.state.holds_node(t)}
    slots = placing.slots(turn.state, spec) if surge else {}
    return [
        placing.need(turn.settings, f"{service.name}.{slot}", service.id, spec, slot, node_id, wave=1)
        for slot, node_id in sorted(slots.items())
        if slot in elders
    ][:surge]


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


def _key(refusal: Verdicts | None) -> str:
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
