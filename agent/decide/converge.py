"""What to do next with one task, so that what is seen becomes what is wanted.

Pure and level-triggered: it looks at the row and the situation, never at how they came about.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from agent.events import Phase
from agent.state import Task, Work
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health, RestartCondition

#: Without a session for this long the agent brings ended containers back by itself. Before, a controller
#: that merely restarts shall hear of the end and replace the task.
RECONNECT_GRACE_MS = 5_000
#: Back-off of restarts in place: doubles from the first to the second (promises: crash loops).
RESTART_DELAY_MS_MIN = 1_000
RESTART_DELAY_MS_MAX = 300_000
#: A container that ran this long starts the back-off afresh.
STEADY_RUN_MS = 60_000
#: Why a fenced task is stopped.
FENCED_MESSAGE = "fenced: no controller has heard this node for its lease, so that it may run elsewhere"
#: Back-off after a command that the engine did not answer.
RETRY_DELAY_MS_MIN = 200
RETRY_DELAY_MS_MAX = 30_000


class Act(StrEnum):
    """What is due."""

    REST = "rest"
    FINISH = "finish"  # the task has ended: say so
    CREATE = "create"
    START = "start"
    HOOKS = "hooks"
    STOP = "stop"
    REMOVE = "remove"
    FORGET = "forget"  # nothing is left of it


class Decision(NamedTuple):
    """What is due, not before `at_ms` (monotonic). `ending`: how the task will have ended, with a STOP, and
    `why`, for people."""

    act: Act
    at_ms: int = 0
    ending: TaskState | None = None
    why: str = ""


class Situation(NamedTuple):
    """What matters beside the row.

    `confirmed`: absence from the desired set means something. `alone_since` (monotonic ms) None: a
    controller is in session. `greeting`: Hello was said and not answered yet. `fenced`: the node's lease is
    over, so that a fenced task may run elsewhere.
    """

    confirmed: bool
    alone_since: int | None
    greeting: bool = False
    fenced: bool = False


REST = Decision(Act.REST)


def decide(task: Task, situation: Situation) -> Decision:
    """The next act for a task. While its hooks run only a stop may begin; it ends them. The end of one that
    makes room for another is told as soon as its process is gone: the engine tidies up for a while after."""
    if task.work is Work.STOP and task.makes_room:
        return REST if task.alive or task.ended or task.holds_after_exit else Decision(Act.FINISH)
    if task.work is Work.HOOKS:
        decision = _at_rest(task, situation)
        return decision if decision.act is Act.STOP else REST
    return _at_rest(task, situation) if task.work is Work.NONE else REST


def _at_rest(task: Task, situation: Situation) -> Decision:
    """The next act for a task of which no command is in flight."""
    if task.assignment is None:
        return _leave(task) if situation.confirmed else REST
    if task.ended:
        return Decision(Act.STOP, task.retry_at) if task.alive else REST
    if task.assignment.desired is Desired.STOP or task.ending is not None:
        return _wind_down(task)
    if situation.fenced and task.fenced:
        return _stay_fenced(task)
    return _keep_up(task, situation)


def _leave(task: Task) -> Decision:
    if task.container is None:
        return Decision(Act.FORGET)
    act = Act.STOP if task.alive else Act.REMOVE
    return Decision(act, task.retry_at, TaskState.SHUTDOWN)


def _wind_down(task: Task) -> Decision:
    """Stop it; what is left of the container stays, for its output. One that never ran has none."""
    if task.container is not None and task.container.phase is Phase.CREATED:
        return Decision(Act.REMOVE, task.retry_at)
    if task.alive:
        return Decision(Act.STOP, task.retry_at, task.ending or TaskState.SHUTDOWN)
    return Decision(Act.FINISH)


def _stay_fenced(task: Task) -> Decision:
    """It must not run here now. One that never ran may do so when a controller is back."""
    if task.alive:
        return Decision(Act.STOP, task.retry_at, TaskState.SHUTDOWN, FENCED_MESSAGE)
    exited = task.container is not None and task.container.phase is Phase.EXITED
    return Decision(Act.FINISH) if exited else REST


def _keep_up(task: Task, situation: Situation) -> Decision:
    """Towards a container that runs, or for a task that is to be ready only, one that could."""
    assert task.assignment is not None
    container = task.container
    if container is None:
        # Once it was started its container can only have been taken away: a task runs once.
        started = task.status.state not in (TaskState.ASSIGNED, TaskState.PREPARING)
        return Decision(Act.FINISH) if started else Decision(Act.CREATE, task.retry_at)
    if container.phase is Phase.CREATED:
        its_turn = task.assignment.desired is Desired.RUN
        return Decision(Act.START, task.retry_at) if its_turn else REST
    if container.phase is Phase.EXITED:
        return _after_exit(task, situation)
    if container.health is Health.UNHEALTHY and situation.alone_since is None:
        return Decision(Act.STOP, task.retry_at, TaskState.FAILED)
    return Decision(Act.HOOKS, task.retry_at) if task.hooks_due else REST


def _after_exit(task: Task, situation: Situation) -> Decision:
    """With a controller the end is told and the task replaced; without one it is started again."""
    if situation.alone_since is None or not _may_restart(task):
        return Decision(Act.FINISH)
    if situation.greeting:  # a controller was just told that it ended
        return REST
    soonest = situation.alone_since + RECONNECT_GRACE_MS
    return Decision(Act.START, max(task.retry_at, task.restart_at, soonest))


def _may_restart(task: Task) -> bool:
    assert task.assignment is not None and task.container is not None
    condition = task.assignment.restart
    if task.assignment.desired is not Desired.RUN:
        return False
    if condition is RestartCondition.ANY:
        return True
    return condition is RestartCondition.ON_FAILURE and task.container.exit_code != 0


def restart_delay_ms(quick_exits: int) -> int:
    """The wait before a restart in place, after so many quick exits in a row."""
    return min(RESTART_DELAY_MS_MIN << min(quick_exits, 20), RESTART_DELAY_MS_MAX)


def retry_delay_ms(failures: int) -> int:
    """The wait before an unanswered command is tried again, after so many failures in a row."""
    return min(RETRY_DELAY_MS_MIN << min(failures, 20), RETRY_DELAY_MS_MAX)
