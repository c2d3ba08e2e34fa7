"""What a task's status is, given what is seen of its container, in the user's words.

Pure. Obeys bayplan.lifecycle: a status never goes back, whatever the engine says.
"""

from __future__ import annotations

import signal

import msgspec

from agent.decide.networking import in_order
from agent.events import Container, Phase
from agent.state import Task
from bayplan.lifecycle import TaskState, may_follow
from bayplan.model import Desired, Health, TaskStatus

#: What a task says while its post_start hooks run.
HOOKS_RUN_MESSAGE = "its post_start hooks run"
#: What is said of a process that a stop had to end by force.
KILLED_MESSAGE = "it did not end within its stop grace and was killed"
#: Health probes outputs in a report are cut to this many characters.
PROBE_OUTPUT_CHARS_MAX = 4_096

_KILLED = 137


def moved(status: TaskStatus, state: TaskState, wall_ms: int, message: str = "") -> TaskStatus:
    """The status in a new state; the old one where the table forbids the step."""
    if not may_follow(status.state, state) or (status.state, status.message) == (state, message):
        return status
    since = status.since_ms if status.state is state else wall_ms
    return msgspec.structs.replace(status, state=state, message=message, since_ms=since)


#: Of what several checks say, the first of these counts.
_WORST = (Health.UNHEALTHY, Health.STARTING, Health.HEALTHY, Health.NONE)


def seen(task: Task, container: Container, wall_ms: int) -> TaskStatus:
    """The task's status with what its container shows: address, ports, health, and the state while it runs.

    With post_start hooks due it is not healthy yet, whatever its own check and its probe say.
    """
    status = msgspec.structs.replace(task.status, container_id=container.container_id)
    if container.phase is Phase.CREATED:
        return moved(status, TaskState.PREPARING, wall_ms)
    if container.phase is Phase.EXITED:
        output = container.probe_output[:PROBE_OUTPUT_CHARS_MAX]
        return msgspec.structs.replace(status, probe_output=output or status.probe_output)
    begun = status.state in (TaskState.STARTING, TaskState.RUNNING)
    since = wall_ms if begun else container.changed_ms or wall_ms
    own = container.health
    if own is Health.STARTING and status.health is Health.HEALTHY:
        # Engines from 25.0 on begin checks anew when they restart; a restart in place was noted before.
        own = Health.HEALTHY
    health = Health.STARTING if task.hooks_due else min(own, task.probe_health, key=_WORST.index)
    message = HOOKS_RUN_MESSAGE if task.hooks_due else ""
    output = container.probe_output
    if own is not Health.UNHEALTHY and task.probed is not None and task.probe_health is Health.UNHEALTHY:
        output = task.probed.why
    state = TaskState.STARTING if health is Health.STARTING else TaskState.RUNNING
    status = moved(status, state, since, message)
    return msgspec.structs.replace(
        status,
        health=health,
        address=_first_address(task) or container.address,
        addresses=task.addresses if len(task.addresses) > 1 else {},
        ports=container.ports,
        probe_output=output[:PROBE_OUTPUT_CHARS_MAX],
    )


def _first_address(task: Task) -> str:
    """That on the first of the networks that span nodes; empty where it is on none."""
    joined = [each.network for each in in_order(task.spec.networks)] if task.spec else []
    names = [name for name in (*joined, *sorted(task.addresses)) if name in task.addresses]
    return task.addresses[names[0]] if names else ""


def ended(task: Task, wall_ms: int) -> TaskStatus:
    """The final status of a task whose process is gone, or never was."""
    state, message = _end(task)
    status = moved(task.status, state, wall_ms, message)
    code = task.container.exit_code if task.container else None
    health = task.status.health if state is TaskState.FAILED else Health.NONE
    return msgspec.structs.replace(status, exit_code=code, address="", addresses={}, ports=(), health=health)


def _end(task: Task) -> tuple[TaskState, str]:
    """Cases: told to end; asked to end for a reason; made away with; ended by itself."""
    container, message = task.container, task.status.message
    if task.ending is TaskState.SHUTDOWN and container is not None and container.exit_code == _KILLED:
        return task.ending, "; ".join(filter(None, (message, KILLED_MESSAGE)))
    if task.ending is not None:
        return task.ending, message
    if task.assignment is not None and task.assignment.desired is Desired.STOP:
        return TaskState.SHUTDOWN, ""
    if container is None:
        return TaskState.FAILED, "its container was removed by someone else"
    if container.exit_code == 0:
        return TaskState.COMPLETE, ""
    return TaskState.FAILED, exit_message(container.exit_code, container.oom_killed)


def exit_message(exit_code: int | None, oom_killed: bool) -> str:
    """How a process ended, for people. Codes above 128 name the signal that killed it."""
    if oom_killed:
        return f"out of memory: killed at its memory limit (exit code {exit_code})"
    if exit_code is None:
        return "ended, exit code unknown"
    if exit_code > 128:
        try:
            return f"killed by {signal.Signals(exit_code - 128).name} (exit code {exit_code})"
        except ValueError:
            pass
    hints = {126: ": the command is not executable", 127: ": command not found"}
    return f"exit code {exit_code}{hints.get(exit_code, '')}"


def unhealthy_message(container: Container) -> str:
    """Why an unhealthy container is stopped: the first line of the probe's last output."""
    lines = container.probe_output.strip().splitlines()
    return f"unhealthy: {lines[0][:200]}" if lines else "unhealthy: its health check failed"
