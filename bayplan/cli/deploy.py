"""`bayplan stack deploy`: reads compose files here, sends the stack, waits until the cluster runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from bayplan.cli.commands import command, connect, waiting_options
from bayplan.cli.follow import SETTLE_S, follow
from bayplan.cli.output import note, out
from bayplan.cli.rollout import Goal, is_reached, living, tasks_of
from bayplan.cli.rows import endpoint, task_name
from bayplan.client import StackNow
from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import RestartCondition, StackSpec
from bayplan.render.amounts import counted, seconds
from bayplan.views import ServiceAction, ServiceChange

#: End points printed after a deploy; the registry has them all.
ENDPOINTS_MAX = 20

_WORDS = {
    ServiceAction.CREATE: ("Creating", "Would create"),
    ServiceAction.UPDATE: ("Updating", "Would update"),
    ServiceAction.SCALE: ("Scaling", "Would scale"),
    ServiceAction.REMOVE: ("Removing", "Would remove"),
}


@command(
    "deploy",
    "Make the cluster run what compose files describe, and wait until it does.",
    "bayplan stack deploy -c docker-compose.yml shop",
    "bayplan stack deploy -c docker-compose.yml --prune shop",
    "bayplan stack deploy -c docker-compose.yml --dry-run shop",
)
@click.option(
    "-c", "--compose-file", "paths", multiple=True, required=True, metavar="FILE",
    help="A compose file, or - for standard input (one for now).",
)  # fmt: skip
@click.option("--env-file", metavar="FILE", help="Variables for ${NAME}, instead of .env beside the file.")
@click.option("--prune", is_flag=True, help="Remove services of the stack that the files do not name.")
@click.option("--dry-run", is_flag=True, help="Check everything and tell what would happen.")
@waiting_options
@click.argument("stack")
def deploy(
    stack: str,
    paths: tuple[str, ...],
    env_file: str | None,
    prune: bool,
    dry_run: bool,
    detach: bool,
    timeout_ms: int,
) -> None:
    spec = _read(stack, paths, env_file)
    began_s = time.monotonic()
    with connect() as client:
        before = client.stack_now(stack)
        changes = (
            tuple(each.change for each in client.plan(spec, prune).services)
            if dry_run
            else client.deploy(spec, prune).changes
        )
        _print_changes(changes, dry_run)
        unchanged = all(change.action is ServiceAction.SAME for change in changes)
        if dry_run and unchanged:
            out(f"{stack} would not change")
        if dry_run:
            return
        goal = _goal(spec, changes, before)
        if unchanged and is_reached(goal, before):
            out(f"{stack} is unchanged: {_counts(goal, before)}")
            return
        if unchanged:
            out(f"{stack} is unchanged")
        if detach:
            note(f"hint: bayplan stack ps {stack}")
            return
        view = follow(client, goal, timeout_ms, 0 if unchanged else SETTLE_S)
    out(f"{stack} is up: {_counts(goal, view)} in {seconds(time.monotonic() - began_s)}")
    _print_endpoints(goal, view)


def _read(stack: str, paths: Sequence[str], env_file: str | None) -> StackSpec:
    from bayplan import compose

    loaded = compose.read(stack, paths, env_files=(env_file,) if env_file else ())
    for warning in loaded.warnings:
        note(f"warning: {warning}")
    return loaded.stack


def _goal(spec: StackSpec, changes: Sequence[ServiceChange], before: StackNow) -> Goal:
    return Goal(
        stack=spec.name,
        keep={f"{spec.name}_{service.name}": service.restart.condition for service in spec.services},
        gone=frozenset(change.service for change in changes if change.action is ServiceAction.REMOVE),
        known=frozenset(task.id for task in before.tasks if task.status.state in ENDED),
    )


def _print_changes(changes: Sequence[ServiceChange], dry_run: bool) -> None:
    for change in changes:
        if change.action in _WORDS:
            out(f"{_WORDS[change.action][dry_run]} service {change.service}")


def _counts(goal: Goal, view: StackNow) -> str:
    """`3 services, 8 tasks ready`, and those that did their work and ended."""
    services = [service for service in view.services if service.name in goal.keep]
    ready = sum(service.current for service in services)
    finished = sum(
        task.status.state is TaskState.COMPLETE and task.version == service.version
        for service in services
        if goal.keep[service.name] is not RestartCondition.ANY
        for task in tasks_of(view, service.name)
    )
    text = f"{counted(len(services), 'service')}, {counted(ready, 'task')} ready"
    return f"{text}, {finished} finished" if finished else text


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
