"""`bayplan explain`: why a service or a task stands as it does."""

from __future__ import annotations

import time
from typing import Any

import click

from bayplan.cli.commands import command, connect
from bayplan.cli.listing import filled
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import marked, out
from bayplan.cli.rows import task_error, task_name
from bayplan.lifecycle import TaskState
from bayplan.render.amounts import ago, clock, cpus, rfc3339, size
from bayplan.render.printable import one_line
from bayplan.render.table import table
from bayplan.render.template import to_json
from bayplan.views import Explanation, NodeVerdict, TaskView

#: Tasks and nodes shown; `--no-trunc` shows all, with tasks that were stopped as they should be.
ROWS_MAX = 30


@command(
    "explain",
    "Show why a service or a task stands as it does: each node's verdict, last events and outputs.",
    "bayplan explain shop_web",
    "bayplan explain shop_web.2",
    "bayplan explain --format json shop/web",
)
@click.option("--no-trunc", "whole", is_flag=True, help="Every node and task.")
@click.option("--format", "template", metavar="FORMAT", help="json, or a Go template such as '{{.Lines}}'.")
@click.argument("target")
def explain(target: str, whole: bool, template: str | None) -> None:
    with connect() as client, offering(full_name(target), client, "service"):
        found = client.explain(full_name(target))
    if template:
        shown = _object(found)
        out(to_json(shown) if template == "json" else filled(template, shown))
        return
    limit = None if whole else ROWS_MAX
    out(found.subject)
    sections = (
        [f"  {one_line(line)}" for line in found.lines],
        _verdicts(found.verdicts[:limit]),
        [line for task in _told(found.tasks, limit) for line in _task_lines(task, int(time.time() * 1_000))],
        [f"{clock(event.time_ms)}  {event.subject}: {one_line(event.text)}" for event in found.events],
    )
    for heading, lines in zip(("", "", "TASKS", "LAST EVENTS"), sections, strict=True):
        _section(heading, lines)


def _told(tasks: tuple[TaskView, ...], limit: int | None) -> list[TaskView]:
    """The tasks without those that were stopped because they should be; all where there is no limit."""
    usual = (TaskState.SHUTDOWN, TaskState.COMPLETE)
    told = [task for task in tasks if limit is None or task.status.state not in usual]
    return told[:limit]


def _section(heading: str, lines: list[str]) -> None:
    if not lines:
        return
    if heading:
        out()
        out(heading)
    for line in lines:
        out(f"  {line}" if heading else line)


def _verdicts(verdicts: tuple[NodeVerdict, ...]) -> list[str]:
    if not verdicts:
        return []
    cells = [
        [
            verdict.node,
            marked("fits" if verdict.fits else "no"),
            cpus(verdict.free.cpu_millis),
            size(verdict.free.memory_bytes),
            str(verdict.tasks),
            str(verdict.rank or ""),
            one_line(verdict.reason),
        ]
        for verdict in verdicts
    ]
    return ["", *table(["NODE", "VERDICT", "CPU FREE", "MEM FREE", "TASKS", "RANK", "REASON"], cells)]


def _task_lines(task: TaskView, now_ms: int) -> list[str]:
    """A task, and below it what its last failed health check said."""
    since = ago(task.status.since_ms or task.created_ms, now_ms)
    where = f" on {task.node}" if task.node else ""
    error = task_error(task)
    head = f"{task_name(task)}  {task.status.state.capitalize()} {since}{where}"
    lines = [f"{head}: {error}" if error else head]
    if task.status.probe_output and task.status.probe_output not in error and not error:
        lines.append(f"  last failed health check: {one_line(task.status.probe_output)}")
    return lines


def _object(found: Explanation) -> dict[str, Any]:
    """The explanation as one object."""
    return {
        "Subject": found.subject,
        "Lines": list(found.lines),
        "Nodes": [
            {
                "Node": each.node,
                "Fits": each.fits,
                "Reason": each.reason,
                "FreeNanoCPUs": each.free.cpu_millis * 1_000_000,
                "FreeMemoryBytes": each.free.memory_bytes,
                "Tasks": each.tasks,
                "Rank": each.rank,
            }
            for each in found.verdicts
        ],
        "Tasks": [
            {
                "ID": task.id,
                "Name": task_name(task),
                "Node": task.node,
                "State": task.status.state.value,
                "Error": task_error(task),
                "LastHealthCheck": task.status.probe_output,
            }
            for task in found.tasks
        ],
        "Events": [
            {"Time": rfc3339(each.time_ms), "Type": each.kind, "Actor": each.subject, "Text": each.text}
            for each in found.events
        ],
    }
