"""Statuses, in the user's words and never going back."""

from __future__ import annotations

import pytest

from agent.decide.status import PROBE_OUTPUT_CHARS_MAX, exit_message, moved, seen, unhealthy_message
from agent.events import Container, Phase
from agent.state import Task
from bayplan.lifecycle import NEXT, TaskState
from bayplan.model import Health, TaskStatus


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "message"),
    [
        (1, False, "exit code 1"),
        (126, False, "exit code 126: the command is not executable"),
        (127, False, "exit code 127: command not found"),
        (128, False, "exit code 128"),
        (137, False, "killed by SIGKILL (exit code 137)"),
        (143, False, "killed by SIGTERM (exit code 143)"),
        (255, False, "exit code 255"),
        (137, True, "out of memory: killed at its memory limit (exit code 137)"),
        (None, False, "ended, exit code unknown"),
    ],
)
def test_an_exit_is_told_in_the_users_words(exit_code: int | None, oom_killed: bool, message: str) -> None:
    assert exit_message(exit_code, oom_killed) == message


@pytest.mark.parametrize("before", TaskState)
@pytest.mark.parametrize("after", TaskState)
def test_a_status_moves_only_where_the_table_lets_it(before: TaskState, after: TaskState) -> None:
    status = moved(TaskStatus(task_id="t1", state=before, since_ms=1), after, 2)
    assert (status.state is after) == (before is after or after in NEXT[before])


def test_the_time_of_a_state_is_that_of_its_first_sight() -> None:
    status = TaskStatus(task_id="t1", state=TaskState.RUNNING, since_ms=1)
    assert moved(status, TaskState.RUNNING, 9, "new words").since_ms == 1
    assert moved(status, TaskState.STOPPING, 9).since_ms == 9


def test_an_adopted_container_runs_since_it_was_started() -> None:
    status = TaskStatus(task_id="t1", state=TaskState.ASSIGNED, since_ms=1)
    container = Container(task_id="t1", container_id="c", phase=Phase.RUNNING, changed_ms=5)
    assert seen(Task(status=status), container, 100).since_ms == 5


def test_a_long_probe_output_is_cut() -> None:
    status = TaskStatus(task_id="t1", state=TaskState.STARTING)
    long = Container(
        task_id="t1",
        container_id="c",
        phase=Phase.RUNNING,
        health=Health.UNHEALTHY,
        probe_output="x" * 9_999,
    )
    assert len(seen(Task(status=status), long, 1).probe_output) == PROBE_OUTPUT_CHARS_MAX


def test_an_unhealthy_container_says_what_its_check_said_first() -> None:
    silent = Container(task_id="t1", container_id="c", phase=Phase.RUNNING)
    assert unhealthy_message(silent) == "unhealthy: its health check failed"
