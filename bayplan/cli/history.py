"""`bayplan stack history|diff|rollback`: the revisions of a stack, what differs, and the way back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from bayplan.cli import rows
from bayplan.cli.arrival import await_stack, look
from bayplan.cli.commands import command, connect, waiting_options, whole
from bayplan.cli.deploy import print_intent
from bayplan.cli.given import Given, compose_options, read
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.names import offering
from bayplan.cli.output import note, out
from bayplan.cli.plan import EXIT_CHANGES, painted, print_plan
from bayplan.diff import stack_plan
from bayplan.errors import ProblemKind, refuse
from bayplan.render.amounts import counted
from bayplan.render.plan import changing, is_changing, plan_lines
from bayplan.views import ServicePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayplan.client import Client
    from bayplan.views import Plan, RevisionView


@command(
    "history",
    "List the revisions of a stack, newest first.",
    "bayplan stack history shop",
    "bayplan stack history -q shop",
    "bayplan stack history --format '{{.Revision}} {{.Cause}}' shop",
)
@listing_options
@click.argument("stack")
def history(stack: str, layout: Layout) -> None:
    with connect() as client, offering(stack, client, "stack"):
        found = client.revisions(stack)
    now_ms = int(time.time() * 1_000)
    print_list(rows.REVISIONS, [rows.revision_row(each, now_ms) for each in found], layout, "Revision")


@command(
    "diff",
    "Show in which fields revisions differ, or the cluster and compose files.",
    "bayplan stack diff shop",
    "bayplan stack diff shop 3 5",
    "bayplan stack diff -c docker-compose.yml shop",
)
@compose_options(required=False)
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 when they differ.")
@click.option("--verbose", "--no-trunc", "whole", is_flag=True, help="Every service and field.")
@click.argument("stack")
@click.argument("first", type=whole(1), required=False, metavar="[REV]")
@click.argument("second", type=whole(1), required=False, metavar="[REV2]")
@click.pass_context
def diff(
    ctx: click.Context,
    /,
    stack: str,
    first: int | None,
    second: int | None,
    given: Given,
    detailed_exitcode: bool,
    whole: bool,
) -> None:
    if given.paths and first is not None:
        raise click.UsageError("name revisions or files, not both", ctx)
    with connect() as client, offering(stack, client, "stack"):
        found, names = (
            _with_files(client, stack, given) if given.paths else _of_revisions(client, stack, first, second)
        )
    for line in plan_lines(found, whole):
        out(painted(line))
    number = len(changing(found))
    change = f"{counted(number, 'service')} {'changes' if number == 1 else 'change'}"
    out(f"{names}: {change if is_changing(found) else 'no difference'}")
    if detailed_exitcode and is_changing(found):
        ctx.exit(EXIT_CHANGES)


@command(
    "rollback",
    "Deploy an older revision of a stack again, and wait until it runs.",
    "bayplan stack rollback shop",
    "bayplan stack rollback shop 3",
    "bayplan stack rollback --dry-run shop 3",
)
@click.option("--check-index", type=whole(), metavar="N", help="Only if the stack's revision is still N.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@waiting_options
@click.argument("stack")
@click.argument("revision", type=whole(1), required=False, metavar="[REV]")
def rollback(
    stack: str, revision: int | None, check_index: int | None, dry_run: bool, detach: bool, timeout_ms: int
) -> None:
    with connect() as client, offering(stack, client, "stack"):
        current = client.revisions(stack)
        target = revision or _before_current(stack, current)
        now, index = client.get_stack(stack)
        plan = stack_plan(now, client.get_stack(stack, target)[0], index)
        if dry_run:
            print_plan(plan)
            return
        before = look(client, stack)
        print_intent(plan.services, plan.files)
        deployed = client.rollback(stack, target, check_index)
        note(f"{stack} goes back to revision {target}, as revision {deployed.revision}")
        await_stack(client, client.get_stack(stack)[0], deployed, before, detach, timeout_ms)


def _with_files(client: Client, stack: str, given: Given) -> tuple[Plan, str]:
    """From the cluster to the files. The controller tells: it knows what its configs contain."""
    plan = client.plan(read(given, stack).stack, prune=True)
    services = tuple(ServicePlan(change=each.change, fields=each.fields) for each in plan.services)
    return replace(plan, services=services, problems=()), f"revision {plan.index} -> files"


def _of_revisions(client: Client, stack: str, first: int | None, second: int | None) -> tuple[Plan, str]:
    """From an older revision to a newer one: the last change, all since one, or between two."""
    older = first or _before_current(stack, client.revisions(stack))
    before, old = client.get_stack(stack, older)
    after, new = client.get_stack(stack, second or 0)
    return stack_plan(before, after), f"revision {old} -> {new}"


def _before_current(stack: str, revisions: Sequence[RevisionView]) -> int:
    """The revision before the current one. Raises ProblemError when there is none."""
    older = [each.revision for each in revisions if not each.current]
    current = max((each.revision for each in revisions if each.current), default=0)
    before = max((number for number in older if number < current), default=0)
    if not before:
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"{stack} has no revision before the current one",
            hint=f"`bayplan stack history {stack}` lists what is kept",
        )
    return before
