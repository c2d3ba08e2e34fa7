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
from bayplan.render.amounts import ago, clock, counted, cpus, rfc3339, size
from bayplan.render.printable import one_line
from bayplan.render.table import table
from bayplan.render.template import to_json
from bayplan.views import Explanation, NodeVerdict, TaskView

#: Tasks and nodes shown; `--no-trunc` shows all that are told of, with tasks that were stopped on purpose.
ROWS_MAX = 30
#: Nodes that fit among them, where others say no: why they do is as telling.
FITTING_MAX = 20


@command(
    "explain",
    "Show why a service or a task stands as it does: each node's verdict, last events and outputs.",
    "bayplan explain shop_web",
    "bayplan explain shop_web.2",
    "bayplan explain --format json shop/web",
)
@click.option("--no-trunc", "whole", is_flag=True, help="More nodes, and every task.")
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
        _verdicts(found, limit),
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


def _verdicts(found: Explanation, limit: int | None) -> list[str]:
    """What all nodes say, then the most telling of them row by row."""
    shown = _shown(found.verdicts, limit)
    if not shown:
        return []
    lines = ["", f"{counted(found.nodes, 'node')}: {_counts(found)}"] if found.nodes else [""]
    if found.nearest:
        lines.append(f"nearest: {one_line(found.nearest)}")
    headings = ["NODE", "VERDICT", "CPU FREE", "MEM FREE", "TASKS", "RANK", "REASON"]
    lines += table(headings, [_row(each) for each in shown])
    if limit is not None and len(found.verdicts) > len(shown):
        lines.append(f"and {counted(found.nodes - len(shown), 'more node')} (--no-trunc shows more)")
    elif found.nodes > len(shown):
        lines.append(f"and {counted(found.nodes - len(shown), 'more node')}")
    return lines


def _shown(verdicts: tuple[NodeVerdict, ...], limit: int | None) -> list[NodeVerdict]:
    """The first of those that fit and of those that do not, in the order in which they came."""
    if limit is None or len(verdicts) <= limit:
        return list(verdicts)
    fitting = [each for each in verdicts if each.fits]
    others = [each for each in verdicts if not each.fits]
    fitting = fitting[: max(FITTING_MAX, limit - len(others))]
    return [*fitting, *others][:limit]


def _counts(found: Explanation) -> str:
    """`2 fit · 1 draining · 3 short of memory`."""
    no = [f"{each.nodes} {one_line(each.cause)}" for each in found.causes]
    return " · ".join([f"{found.fits} {'fits' if found.fits == 1 else 'fit'}", *no])


def _row(verdict: NodeVerdict) -> list[str]:
    return [
        verdict.node,
        marked("fits" if verdict.fits else "no"),
        cpus(verdict.free.cpu_millis),
        size(verdict.free.memory_bytes),
        str(verdict.tasks),
        str(verdict.rank or ""),
        one_line(verdict.reason),
    ]


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
        "NodeCount": found.nodes,
        "FitCount": found.fits,
        "Causes": {each.cause: each.nodes for each in found.causes},
        "Nearest": found.nearest,
        "Nodes": [
            {
                "Node": each.node,
                "Fits": each.fits,
                "Reason": each.reason,
                "FreeNanoCPUs": each.free.cpu_millis * 1_000_000,
                "FreeMemoryBytes": each.free.memory_bytes,
                "Tasks": each.tasks,
                "Rank": each.rank,
                "Scores": {score.part: score.value for score in each.scores},
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
