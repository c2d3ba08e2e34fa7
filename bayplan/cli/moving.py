"""Watches tasks leave their nodes: a line for each step, until the last one is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from bayplan.cli.output import note
from bayplan.cli.rollout import NAMED_MAX, living
from bayplan.cli.rows import task_name
from bayplan.client import Client
from bayplan.client.calls import AWAY_MAX_S
from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health
from bayplan.render.amounts import clock, counted, seconds
from bayplan.render.printable import one_line
from bayplan.views import TaskView

#: Time between two looks at the tasks, in seconds.
LOOK_S = 0.5


def follow_moves(
    client: Client, what: str, is_elder: Callable[[TaskView], bool], timeout_ms: int, back: str = "bayplan ps"
) -> int:
    """Shows the heirs of tasks that leave, and returns how many left once none is there any more.

    Raises ProblemError without any progress for `timeout_ms`: UNPLACEABLE where an heir has no node, else
    TIMEOUT. KeyboardInterrupt ends the watching, not the work; `back` says how to look again.
    """
    try:
        return _until_gone(client, what, is_elder, timeout_ms / 1_000, back)
    except KeyboardInterrupt:
        note("stopped watching; the cluster goes on")
        note(f"hint: {back}")
        raise


def _until_gone(
    client: Client, what: str, is_elder: Callable[[TaskView], bool], timeout_s: float, back: str
) -> int:
    said: dict[str, str] = {}
    moved_s, left_before = time.monotonic(), None
    while True:
        tasks = _tasks(client)
        left = [task for task in living(tasks) if is_elder(task)]
        words = {task_name(task): step(task, heir_of(task, tasks, is_elder)) for task in left}
        words |= {name: step(None, newest(name, tasks, is_elder)) for name in said if name not in words}
        for name, text in words.items():
            if text and said.get(name) != text:
                note(f"{clock(int(time.time() * 1_000))} {name} {text}")
        if words != said or len(left) != left_before:
            moved_s = time.monotonic()
        said, left_before = words, len(left)
        if not left and not any(_is_coming(newest(name, tasks, is_elder)) for name in said):
            return len(said)
        if time.monotonic() - moved_s >= timeout_s:
            raise ProblemError(_stuck(what, left, tasks, is_elder, seconds(timeout_s), back))
        time.sleep(LOOK_S)


def _tasks(client: Client) -> tuple[TaskView, ...]:
    """All tasks; a controller that is away is waited for."""
    away_s: float | None = None
    while True:
        try:
            return client.tasks()
        except ProblemError as error:
            now_s = time.monotonic()
            if error.problem.kind is not ProblemKind.UNREACHABLE or now_s - (away_s or now_s) > AWAY_MAX_S:
                raise
            if away_s is None:
                note("warning: the controller is away; waiting for it to come back")
                away_s = now_s
            time.sleep(LOOK_S)


def step(elder: TaskView | None, heir: TaskView | None) -> str:
    """How far one task is on its way: `n3 -> n1 starting`; empty while nothing has begun."""
    source = f"{elder.node} -> " if elder else "-> "
    if heir is None:
        return ("is stopping" if elder.desired is Desired.STOP else "") if elder else "has ended"
    if not heir.node:
        return f"waits for a node: {one_line(' · '.join(heir.pending_reasons)) or 'none is chosen yet'}"
    word = "ready" if is_ready(heir) else heir.status.state.value
    return f"{source}{heir.node} {word}" if elder or word != "ready" else f"has moved to {heir.node}"


def is_ready(task: TaskView) -> bool:
    """It runs, and its health check has passed if it has one."""
    return task.status.state is TaskState.RUNNING and task.status.health in (Health.NONE, Health.HEALTHY)


def heir_of(
    elder: TaskView, tasks: Iterable[TaskView], is_elder: Callable[[TaskView], bool]
) -> TaskView | None:
    """The living task of its slot that is to stay."""
    return newest(task_name(elder), tasks, is_elder)


def newest(name: str, tasks: Iterable[TaskView], is_elder: Callable[[TaskView], bool]) -> TaskView | None:
    """The newest living task of a slot that does not leave."""
    mine = [task for task in living(tasks) if task_name(task) == name and not is_elder(task)]
    return max(mine, key=lambda task: task.created_ms, default=None)


def _is_coming(heir: TaskView | None) -> bool:
    return heir is not None and heir.desired is not Desired.STOP and not is_ready(heir)


def _stuck(
    what: str,
    left: Sequence[TaskView],
    tasks: Sequence[TaskView],
    is_elder: Callable[[TaskView], bool],
    waited: str,
    back: str,
) -> Problem:
    """The problem of tasks that do not leave."""
    heirs = [newest(name, tasks, is_elder) for name in dict.fromkeys(map(task_name, tasks))]
    unplaced = [heir for heir in heirs if heir is not None and not heir.node and heir.pending_reasons]
    if unplaced:
        return Problem(
            kind=ProblemKind.UNPLACEABLE,
            summary=f"{what} waits: {task_name(unplaced[0])} cannot be placed elsewhere",
            details=unplaced[0].pending_reasons,
            hint="add a node or lower reservations; until then the task stays where it is",
            why=f"bayplan explain {task_name(unplaced[0])}",
        )
    details = [f"{task_name(task)}: {task.status.state} on {task.node}" for task in left[:NAMED_MAX]]
    return Problem(
        kind=ProblemKind.TIMEOUT,
        summary=f"{what} is still on its way: {counted(len(left), 'task')} left, no progress for {waited}",
        details=tuple(details),
        hint="the cluster goes on with it; a longer --timeout waits longer",
        why=back,
    )
