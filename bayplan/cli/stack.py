"""`bayplan stack ls|services|ps|rm`."""

from __future__ import annotations

import sys
import time

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect, waiting_options
from bayplan.cli.follow import follow
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.names import nothing_found, offering
from bayplan.cli.output import note, out
from bayplan.cli.rollout import Goal
from bayplan.cli.service import tell_waiting
from bayplan.client import Client, StackNow
from bayplan.errors import ProblemError, ProblemKind
from bayplan.render.amounts import counted
from bayplan.views import ServiceView

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1


@command(
    "ls",
    "List the stacks.",
    "bayplan stack ls",
    "bayplan stack ls --format json",
    "bayplan stack ls --format '{{.Name}} {{.Tasks}}'",
)
@listing_options
def ls(layout: Layout) -> None:
    with connect() as client:
        print_list(rows.STACKS, [rows.stack_row(stack) for stack in client.stacks()], layout, "Name")


@command(
    "services",
    "List the services of a stack.",
    "bayplan stack services shop",
    "bayplan stack services -q shop",
    "bayplan stack services --format '{{.Name}} {{.Replicas}}' shop",
)
@listing_options
@click.argument("stack")
def services(stack: str, layout: Layout) -> None:
    with connect() as client:
        found = _services(client, stack)
    print_list(rows.SERVICES, [rows.service_row(service, _now_ms()) for service in found], layout)


@command(
    "ps",
    "List the tasks of a stack, with those that ended and why.",
    "bayplan stack ps shop",
    "bayplan stack ps -f desired-state=running shop",
    "bayplan stack ps --format '{{.Name}} {{.CurrentState}}' shop",
)
@listing_options
@click.argument("stack")
def ps(stack: str, layout: Layout) -> None:
    with connect() as client:
        found = _services(client, stack)
        tasks = client.tasks(stack=stack)
    print_list(rows.TASKS, rows.task_rows(tasks, found, _now_ms()), layout)
    tell_waiting(found)


@command(
    "rm",
    "Remove stacks with all their services, and wait until they are gone.",
    "bayplan stack rm shop",
    "bayplan stack rm -y shop blog",
    "bayplan stack rm --dry-run shop",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--if-exists", is_flag=True, help="It is no error when a stack is not there.")
@waiting_options
@click.argument("stacks", nargs=-1, required=True, metavar="STACK...")
def rm(
    stacks: tuple[str, ...], yes: bool, dry_run: bool, if_exists: bool, detach: bool, timeout_ms: int
) -> None:
    with connect() as client:
        found = {stack: client.stack_now(stack) for stack in stacks}
        absent = [stack for stack, view in found.items() if not view.services and not view.tasks]
        for stack in absent:
            if not if_exists:
                raise nothing_found(stack, client)
            note(f"there is no stack {stack}")
            del found[stack]
        if not found:
            return
        if dry_run:
            _tell_removal(found)
            return
        if not yes and sys.stdin.isatty():
            _tell_removal(found)
            if not click.confirm("Remove?", err=True):
                note("nothing was removed")
                click.get_current_context().exit(EXIT_DECLINED)
        for stack, view in found.items():
            _remove(client, stack, view, detach, timeout_ms)


def _services(client: Client, stack: str) -> tuple[ServiceView, ...]:
    try:
        found = client.services(stack)
    except ProblemError as error:
        if error.problem.kind is not ProblemKind.NOT_FOUND:
            raise
        found = ()
    if not found:
        raise nothing_found(stack, client)
    return found


def _now_ms() -> int:
    return int(time.time() * 1_000)


def _tell_removal(found: dict[str, StackNow]) -> None:
    for view in found.values():
        for service in view.services:
            out(f"Would remove service {service.name} ({counted(service.desired, 'task')})")


def _remove(client: Client, stack: str, view: StackNow, detach: bool, timeout_ms: int) -> None:
    with offering(stack, client, "stack"):
        removed = client.remove_stack(stack)
    for service in removed:
        out(f"Removing service {service}")
    if detach:
        note(f"hint: bayplan stack ps {stack}")
        return
    gone = frozenset(removed) | {service.name for service in view.services}
    follow(client, Goal(stack=stack, keep={}, gone=gone), timeout_ms, settle_s=0)
    note(f"{stack} is gone")
