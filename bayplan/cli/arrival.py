"""The end of a deploy or rollback: waits until the stack is as it shall be, and says what runs where."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from typing import NamedTuple

from bayplan.cli.follow import SETTLE_S, follow, way_back
from bayplan.cli.output import note, out
from bayplan.cli.rollout import Goal, is_settled, living
from bayplan.cli.rows import endpoint, task_name
from bayplan.client import Client, StackNow
from bayplan.lifecycle import ENDED
from bayplan.model import RestartCondition, StackSpec
from bayplan.render.amounts import counted, seconds
from bayplan.views import Deployed, ServiceAction, TaskView

#: End points printed after a deploy; the registry has them all.
ENDPOINTS_MAX = 20


class Before(NamedTuple):
    """The stack as a command found it, and when (seconds of the monotonic clock)."""

    view: StackNow
    time_s: float


def look(client: Client, stack: str) -> Before:
    """The stack before the command changes it."""
    began_s = time.monotonic()
    return Before(client.stack_now(stack), began_s)


def await_stack(
    client: Client, spec: StackSpec, deployed: Deployed, before: Before, detach: bool, timeout_ms: int
) -> None:
    """Waits for the stack that a command has just asked for, unless it is to be left alone."""
    goal = _goal(spec, deployed, before.view)
    unchanged = all(change.action is ServiceAction.SAME for change in deployed.changes)
    if unchanged and is_settled(goal, before.view):
        out(f"{spec.name} is unchanged: {_counts(goal, before.view)}")
        return
    if unchanged:
        out(f"{spec.name} is unchanged")
    if detach:
        note(f"hint: bayplan stack ps {spec.name}")
        return
    view = follow(client, goal, timeout_ms, 0 if unchanged else SETTLE_S)
    took = seconds(time.monotonic() - before.time_s)
    revision = f", revision {deployed.revision}" if deployed.revision else ""
    out(f"{spec.name} is up: {_counts(goal, view)} in {took}{revision}")
    _print_endpoints(goal, view)


def goals_of(client: Client, services: Iterable[str]) -> list[Goal]:
    """What to wait for when these services change: a goal a stack. Asked before the change."""
    keeps: dict[str, dict[str, RestartCondition]] = {}
    for name in services:
        view, spec = client.service(name)
        keeps.setdefault(view.stack, {})[view.name] = spec.restart.condition
    return [Goal(stack, keep, known=ended_tasks(client.tasks(stack=stack))) for stack, keep in keeps.items()]


def await_goals(
    client: Client, goals: Iterable[Goal], changed: Container[str], detach: bool, timeout_ms: int
) -> None:
    """Waits for those of the goals' services that changed, unless they are to be left alone."""
    for goal in goals:
        keep = {name: restart for name, restart in goal.keep.items() if name in changed}
        wanted = goal._replace(keep=keep)
        if keep and detach:
            note(f"hint: {way_back(wanted)}")
        elif keep:
            follow(client, wanted, timeout_ms)


def ended_tasks(tasks: Iterable[TaskView]) -> frozenset[str]:
    """The ids of tasks that ended already."""
    return frozenset(task.id for task in tasks if task.status.state in ENDED)


def _goal(spec: StackSpec, deployed: Deployed, before: StackNow) -> Goal:
    same = (change.service for change in deployed.changes if change.action is ServiceAction.SAME)
    return Goal(
        stack=spec.name,
        keep={f"{spec.name}_{service.name}": service.restart.condition for service in spec.services},
        gone=frozenset(
            change.service for change in deployed.changes if change.action is ServiceAction.REMOVE
        ),
        known=ended_tasks(before.tasks),
        accepted=frozenset(same),
    )


def _counts(goal: Goal, view: StackNow) -> str:
    """`3 services, 8 tasks ready`, and those that did their work and ended."""
    services = [service for service in view.services if service.name in goal.keep]
    ready = sum(service.current for service in services)
    done = sum(service.completed for service in services)
    text = f"{counted(len(services), 'service')}, {counted(ready, 'task')} ready"
    return f"{text}, {done} finished" if done else text


def _print_endpoints(goal: Goal, view: StackNow) -> None:
    """Where the published ports answer: `shop_web.1  10.0.0.5:8080 -> 80/tcp on n1`."""
    lines = [
        f"  {task_name(task)}  {endpoint(task.node_address, port.published)} -> {port.target}/{port.protocol}"
        f" on {task.node}"
        for task in living(view.tasks)
        if task.service in goal.keep
        for port in task.status.ports
    ]
    for line in lines[:ENDPOINTS_MAX]:
        out(line)
    if len(lines) > ENDPOINTS_MAX:
        note(f"  and {len(lines) - ENDPOINTS_MAX} more: bayplan stack ps {goal.stack}")
