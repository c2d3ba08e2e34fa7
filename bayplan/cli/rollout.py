"""Judges the views of a stack: whether it is as it was asked to be, or cannot get there. Pure.

Decides nothing about time: `follow` asks after each view and keeps the deadlines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

from bayplan.cli.rows import JOB_MODES, task_error, task_name
from bayplan.client import StackNow
from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import Desired, RestartCondition
from bayplan.render.amounts import counted
from bayplan.render.printable import one_line
from bayplan.views import ServiceView, TaskView

#: Ended tasks in one slot, all of the new version, after which a deploy has failed.
#: Counted by slot, so that many replicas that wait for their database do not end it together.
FAILURES_MAX = 3
#: How the words of a rollout begin: of one on its way, one that came back, one that waits for the user.
ROLLING, ROLLED_BACK, PAUSED = "rolling", "rolled back", ("paused", "rollback paused")
#: How the words of a rollout begin whose canaries run and wait for the user's word.
AWAITING = "awaiting promotion"
#: How it is said of a rollout that it is the service's first.
NO_WAY_BACK = "no version to go back to"
#: How it is said of a rollout that no node could take its task.
_UNPLACED = ("cannot be placed", "no node has room")
#: A rollout that goes its way: its numbers are those of the ready tasks.
_ONWARD = re.compile(r"rolling \d")
#: Reasons and services named in one problem; the rest is counted.
NAMED_MAX = 5


class Goal(NamedTuple):
    """What a command waits for: these services at their best, those gone.

    `keep` tells of each service when a task of it that ended is replaced.
    `known` are the ids of tasks that ended before the command: their failures are not its own.
    `accepted` are services that the command does not change: that they were rolled back is past.
    `undone` are those that it takes back to their version before: to be rolled back is their goal.
    """

    stack: str
    keep: Mapping[str, RestartCondition]
    gone: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    undone: frozenset[str] = frozenset()


def is_reached(goal: Goal, view: StackNow) -> bool:
    """Every service converged, or its canaries wait for promotion, and nothing is left of those that go."""
    by_name = {service.name: service for service in view.services}
    if goal.gone & by_name.keys() or any(task.service in goal.gone for task in living(view.tasks)):
        return False
    return all(
        name in by_name and (awaits_promotion(by_name[name]) or is_converged(by_name[name], view))
        for name in goal.keep
    )


def awaits_promotion(service: ServiceView) -> bool:
    """Its canaries run beside the old version until a user promotes them."""
    return service.rollout.startswith(AWAITING)


def is_settled(goal: Goal, view: StackNow) -> bool:
    """It is reached, and no rollout is still watched: what fails early would bring the old version back."""
    rolling = (service for service in view.services if service.rollout.startswith(ROLLING))
    return is_reached(goal, view) and not any(service.name in goal.keep for service in rolling)


def is_converged(service: ServiceView, view: StackNow) -> bool:
    """All slots ready or done in the current version, nothing older alive, and it waits for nothing."""
    if service.next_run_ms:  # a job between two runs is as it shall be
        return not any(_is_leaving(task, service) for task in living(tasks_of(view, service.name)))
    if service.waits_for or any(_is_leaving(task, service) for task in living(tasks_of(view, service.name))):
        return False
    return progress(service) == service.desired


def progress(service: ServiceView) -> int:
    """How many slots are as they shall be: ready, or done; those of a job only when done."""
    return service.completed + (0 if service.mode in JOB_MODES else service.current)


def failure(goal: Goal, view: StackNow) -> Problem | None:
    """The problem that ends the command: a rollout that was given up, or a slot that keeps ending."""
    for service in view.services:
        if service.name not in goal.keep:
            continue
        if _is_given_up(goal, service):
            return _given_up_problem(service, view)
        restart = goal.keep[service.name]
        for newest in newest_by_slot(tasks_of(view, service.name), service.version):
            ended = [task for task in failed_tasks(goal, view) if _is_same_slot(task, newest)]
            if restart is RestartCondition.NONE and newest in ended:
                return _failure_problem(newest, "failed and is not started again")
            is_well = newest.status.state in (TaskState.RUNNING, TaskState.STOPPING)
            if len(ended) >= FAILURES_MAX and not is_well:
                return _failure_problem(ended[-1], f"keeps failing: {counted(len(ended), 'attempt')}")
    return None


def _is_given_up(goal: Goal, service: ServiceView) -> bool:
    if service.rollout.startswith(ROLLED_BACK):
        return service.name not in goal.accepted | goal.undone
    return service.rollout.startswith(PAUSED)


def failed_tasks(goal: Goal, view: StackNow) -> list[TaskView]:
    """The tasks that failed since the command began, oldest first.

    A task that shall always run has failed, too, when it ended with exit code 0; where tasks are
    counted as completed, they were to end.
    """
    ending = {service.name for service in view.services if service.completed}
    failed = [
        task
        for task in view.tasks
        if task.service in goal.keep
        and task.id not in goal.known
        and (
            task.status.state in (TaskState.FAILED, TaskState.REJECTED)
            or (
                task.status.state is TaskState.COMPLETE
                and goal.keep[task.service] is RestartCondition.ANY
                and task.service not in ending
            )
        )
    ]
    return sorted(failed, key=lambda task: task.created_ms)


def unplaced(goal: Goal, view: StackNow) -> Problem | None:
    """The problem of tasks that wait for a node; None when there are none."""
    waiting = [
        task
        for task in living(view.tasks)
        if task.status.state is TaskState.PENDING and task.service in goal.keep and task.pending_reasons
    ]
    if not waiting:
        return None
    first = waiting[0]
    more = f" (and {counted(len(waiting) - 1, 'more task')})" if len(waiting) > 1 else ""
    return Problem(
        kind=ProblemKind.UNPLACEABLE,
        summary=f"{task_name(first)} cannot be placed{more}",
        details=first.pending_reasons,
        hint="`bayplan node ls` shows what each node has free; lower the reservations or add a node",
        why=f"bayplan explain {first.service}",
        place=first.place,
    )


def unfinished(goal: Goal, view: StackNow, waited: str) -> Problem:
    """The problem of a goal that is still far when patience ends."""
    late = [
        service
        for service in view.services
        if service.name in goal.gone or (service.name in goal.keep and not is_converged(service, view))
    ]
    details = [f"{service.name}: {summary(service, view)}" for service in late]
    left = len(living(view.tasks))
    return Problem(
        kind=ProblemKind.TIMEOUT,
        summary=f"{goal.stack} is still on its way: no progress for {waited}",
        details=tuple(details[:NAMED_MAX]) or (f"{counted(left, 'task')} left",),
        hint="the cluster goes on with it; a longer --timeout waits longer",
        why=f"bayplan stack ps {goal.stack}",
    )


def summary(service: ServiceView, view: StackNow) -> str:
    """`1/2 ready · 1 starting`: the service in a few words."""
    is_job = service.mode in JOB_MODES
    tasks = living(tasks_of(view, service.name))
    if service.removed:
        return f"removing · {counted(len(tasks), 'task')} left"
    states = Counter(
        _state_word(task, service)
        for task in tasks
        if is_job or task.status.state is not TaskState.RUNNING or _is_leaving(task, service)
    )
    parts = [f"{states[word]} {word}" for word in sorted(states)]
    parts += [f"waits for {service.waits_for}"] if service.waits_for else []
    if service.rollout and not _ONWARD.match(service.rollout):
        parts.append(service.rollout.partition(":")[0])  # the reason comes once, at the end
    elif service.rollout and is_converged(service, view):
        parts.append("watched for a while")
    return " · ".join([_done(service), *parts])


def _done(service: ServiceView) -> str:
    """`1/2 ready`; of what shall end, how many did: `1/2 completed`; while it rolls: `1/2 updated`."""
    completed = f"{service.completed}/{service.desired} completed"
    if (_ONWARD.match(service.rollout) or awaits_promotion(service)) and service.current < service.desired:
        return f"{service.current}/{service.desired} updated"
    if service.mode in JOB_MODES or (service.completed and not service.current):
        return completed
    return f"{service.current}/{service.desired} ready" + (f" · {completed}" if service.completed else "")


def fingerprint(view: StackNow) -> Hashable:
    """Equal for two views between which nothing moved."""
    return (
        tuple(
            (each.name, each.current, each.desired, each.completed, each.waits_for, each.rollout)
            for each in view.services
        ),
        tuple((task.id, task.status.state, task.status.health, task.desired) for task in view.tasks),
    )


def tasks_of(view: StackNow, service: str) -> list[TaskView]:
    return [task for task in view.tasks if task.service == service]


def living(tasks: Iterable[TaskView]) -> list[TaskView]:
    return [task for task in tasks if task.status.state not in ENDED]


def newest_by_slot(tasks: Iterable[TaskView], version: int) -> list[TaskView]:
    """The newest task of that version in each slot."""
    newest: dict[int, TaskView] = {}
    for task in tasks:
        if task.version == version:
            held = newest.get(task.slot)
            newest[task.slot] = max(held, task, key=lambda each: each.created_ms) if held else task
    return [newest[slot] for slot in sorted(newest)]


def _is_leaving(task: TaskView, service: ServiceView) -> bool:
    return task.desired is Desired.STOP or task.version != service.version


def _is_same_slot(task: TaskView, other: TaskView) -> bool:
    return (task.service, task.slot, task.version) == (other.service, other.slot, other.version)


def _failure_problem(task: TaskView, ending: str) -> Problem:
    status = task.status
    reason = one_line(status.message) or task_error(task) or status.state.value
    details = [f"{status.state} on {task.node or 'no node'}: {reason}"]
    meaning = _exit_meaning(status.exit_code)
    if status.exit_code is not None and (meaning or str(status.exit_code) not in reason):
        details.append(f"exit code {status.exit_code}{meaning}")
    if status.probe_output:
        details.append(f"last health check: {one_line(status.probe_output)}")
    details.append(f"image {task.image}, task {task.id}")
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{task_name(task)} {ending}",
        details=tuple(details),
        hint=f"bayplan logs {task_name(task)}",
        why=f"bayplan service ps {task.service}",
        place=task.place,
    )


def _given_up_problem(service: ServiceView, view: StackNow) -> Problem:
    """A rollout that was paused or rolled back, with what its newest failed task says."""
    ended = [
        task
        for task in tasks_of(view, service.name)
        if task.status.state in (TaskState.FAILED, TaskState.REJECTED)
    ]
    newest = max(ended, key=lambda task: task.created_ms, default=None)
    details = [f"{task_name(newest)} on {newest.node}: {task_error(newest)}"] if newest else []
    is_first = NO_WAY_BACK in service.rollout
    is_halted = service.rollout.startswith(PAUSED) and not is_first
    way_back = f", or go back: `bayplan rollout undo {service.name}`" if is_halted else ""
    is_unplaced = any(words in service.rollout for words in _UNPLACED)
    return Problem(
        kind=ProblemKind.UNPLACEABLE if is_unplaced else ProblemKind.REFUSED,
        summary=f"the {'start' if is_first else 'update'} of {service.name} was {one_line(service.rollout)}",
        details=tuple(details),
        hint=f"correct it and deploy again{way_back}",
        why=f"bayplan explain {service.name}" if is_unplaced else f"bayplan logs {service.name}",
        place=newest.place if newest else "",
    )


def _exit_meaning(code: int | None) -> str:
    """What the shell's and Docker's well-known exit codes mean."""
    known = {
        0: ": the command ended by itself; a service's command has to go on",
        125: ": the engine could not start it",
        126: ": the command cannot be executed",
        127: ": the command was not found in the image",
        137: ": killed, often for lack of memory (deploy.resources.limits.memory)",
        139: ": segmentation fault",
        143: ": ended by SIGTERM",
    }
    return known.get(code, "") if code is not None else ""


def _state_word(task: TaskView, service: ServiceView) -> str:
    if _is_leaving(task, service):
        is_stopping = task.status.state is TaskState.STOPPING or task.version == service.version
        return "stopping" if is_stopping else "of the old version"
    return task.status.state.value
