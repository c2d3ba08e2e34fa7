"""A rollout on one screen for people, and as an object with keys of Docker's kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bayplan.cli.rollout import NO_WAY_BACK
from bayplan.cli.rows import task_error, task_name
from bayplan.lifecycle import TaskState
from bayplan.model import UpdatePolicy
from bayplan.render.amounts import ago, counted
from bayplan.render.printable import one_line
from bayplan.units import format_duration_ms
from bayplan.views import RolloutState, RolloutView, TaskView

#: Cells of the keys.
KEY_CELLS = 12
#: Failed tasks shown; `service ps` has them all.
FAILED_MAX = 10
_ENDED_BADLY = (TaskState.FAILED, TaskState.REJECTED, TaskState.LOST)


def rollout_lines(rollout: RolloutView, now_ms: int) -> list[str]:
    """What is to be known of it below its head: `Version:  2 -> 3`, slots, order, failed tasks."""
    fields = [
        ("Version", _versions(rollout)),
        ("Slots", _slots(rollout)),
        (
            "Canaries",
            f"{rollout.canaries}/{rollout.policy.canaries} ready" if rollout.policy.canaries else "",
        ),
        ("Reason", one_line(rollout.reason)),
        ("Order", _order(rollout)),
        ("Policy", _policy(rollout.policy)),
        ("Deadline", _deadline(rollout)),
    ]
    lines = [f"  {key + ':':<{KEY_CELLS}}{text}" for key, text in fields if text]
    return [*lines, *_failures(rollout, now_ms), *_hint(rollout)]


def rollout_json(rollout: RolloutView) -> dict[str, Any]:
    """The rollout as one object."""
    return {
        "Service": rollout.service,
        "State": rollout.state.value,
        "Version": rollout.version,
        "FromVersion": rollout.from_version,
        "Done": rollout.done,
        "Total": rollout.total,
        "Canaries": rollout.canaries,
        "Failed": rollout.failed,
        "Reason": rollout.reason,
        "Order": rollout.policy.order.replace("_", "-"),
        "OrderReason": rollout.order_reason,
        "DeadlineLeftMs": rollout.deadline_left_ms,
        "Errors": [
            {"Task": task_name(task), "Node": task.node, "Error": task_error(task)}
            for task in _failed(rollout)
        ],
    }


def _versions(rollout: RolloutView) -> str:
    """`2 -> 3`, from left to right as it goes now."""
    if not rollout.from_version or rollout.state is RolloutState.DONE:
        return str(rollout.version)
    back = rollout.state in (
        RolloutState.ROLLING_BACK,
        RolloutState.ROLLBACK_PAUSED,
        RolloutState.ROLLED_BACK,
    )
    return f"{rollout.from_version} -> {rollout.version}{', back' if back else ''}"


def _slots(rollout: RolloutView) -> str:
    failed = f", {rollout.failed} failed" if rollout.failed else ""
    word = "ready" if rollout.state is RolloutState.DONE else "updated"
    return f"{rollout.done}/{rollout.total} {word}{failed}"


def _order(rollout: RolloutView) -> str:
    why = f" ({one_line(rollout.order_reason)})" if rollout.order_reason else ""
    return f"{rollout.policy.order.replace('_', '-')}{why}"


def _policy(policy: UpdatePolicy) -> str:
    at_once = f"{policy.parallelism} at a time" if policy.parallelism else "all at once"
    parts = [at_once]
    parts += [f"{format_duration_ms(policy.delay_ms)} between"] if policy.delay_ms else []
    parts += [f"watched for {format_duration_ms(policy.monitor_ms)}"] if policy.monitor_ms else []
    return ", ".join([*parts, f"on failure {policy.failure_action}"])


def _deadline(rollout: RolloutView) -> str:
    if rollout.state is not RolloutState.ROLLING or rollout.deadline_left_ms < 0:
        return ""
    seconds = rollout.deadline_left_ms // 1_000 * 1_000
    return f"fails after {format_duration_ms(seconds)} more without progress"


def _failures(rollout: RolloutView, now_ms: int) -> Iterator[str]:
    failed = _failed(rollout)
    for task in failed[:FAILED_MAX]:
        since = ago(task.status.since_ms, now_ms)
        where = f" on {task.node}" if task.node else ""
        yield f"  ✗ {task_name(task)} {task.status.state}{where} {since}: {task_error(task)}"
    if len(failed) > FAILED_MAX:
        yield f"  and {counted(len(failed) - FAILED_MAX, 'more task')}: bayplan service ps {rollout.service}"


def _failed(rollout: RolloutView) -> list[TaskView]:
    """Of each slot the newest task that ended badly or finds no room."""
    newest: dict[int, TaskView] = {}
    for task in rollout.tasks:  # newest first within a slot
        if task.status.state in _ENDED_BADLY or task.pending_reasons:
            newest.setdefault(task.slot, task)
    return [newest[slot] for slot in sorted(newest)]


def _hint(rollout: RolloutView) -> list[str]:
    """The next command, where the rollout waits for one."""
    name = rollout.service
    if rollout.state is RolloutState.AWAITING_PROMOTION:
        return [f"  next: bayplan rollout promote {name}, or bayplan rollout undo {name}"]
    if rollout.state in (RolloutState.PAUSED, RolloutState.ROLLBACK_PAUSED):
        undo = "" if NO_WAY_BACK in rollout.reason else f", or bayplan rollout undo {name}"
        return [f"  next: bayplan rollout resume {name}{undo}"]
    return []
