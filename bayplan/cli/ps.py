"""`bayplan ps`: the tasks of the whole cluster."""

from __future__ import annotations

import time
from itertools import groupby

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.service import tell_waiting
from bayplan.lifecycle import ENDED, TaskState
from bayplan.views import TaskView

#: Ends after which a slot is short of a task.
_MISSED = (TaskState.FAILED, TaskState.REJECTED, TaskState.LOST)


@command(
    "ps",
    "List the tasks of the whole cluster that run, shall run or have failed.",
    "bayplan ps",
    "bayplan ps -a -f node=n1",
    "bayplan ps --format '{{.Name}} {{.Node}} {{.CurrentState}}'",
)
@click.option("-a", "--all", "every", is_flag=True, help="Also those that ended before.")
@listing_options
def ps(every: bool, layout: Layout) -> None:
    with connect() as client:
        services = client.services()
        tasks = client.tasks()
    shown = tasks if every else present(tasks)
    print_list(rows.TASKS, rows.task_rows(shown, services, int(time.time() * 1_000)), layout)
    tell_waiting(services)


def present(tasks: tuple[TaskView, ...]) -> list[TaskView]:
    """The living tasks; of a slot without one the newest, where it ended badly. `tasks` are newest first
    within a slot."""
    shown: list[TaskView] = []
    for _slot, group in groupby(tasks, key=rows.task_name):
        mine = list(group)
        living = [task for task in mine if task.status.state not in ENDED]
        shown += living or [task for task in mine[:1] if task.status.state in _MISSED]
    return shown
