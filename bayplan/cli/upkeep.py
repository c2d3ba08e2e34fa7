"""`bayplan node update|drain|rm`: which machines take tasks, and which belong to the cluster."""

from __future__ import annotations

import sys
import time

import click

from bayplan.cli.commands import Duration, command, connect, waiting_options
from bayplan.cli.moving import follow_moves
from bayplan.cli.names import offering
from bayplan.cli.output import note, out
from bayplan.client import Client
from bayplan.model import Availability
from bayplan.render.amounts import counted, seconds
from bayplan.views import NodeView, TaskView

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1


@command(
    "update",
    "Change whether nodes take tasks, and their labels.",
    "bayplan node update --availability active n3",
    "bayplan node update --label-add zone=a --label-add disk=ssd n1 n2",
    "bayplan node update --label-rm disk n1",
)
@click.option(
    "--availability", type=click.Choice([each.value for each in Availability]), help="active, pause or drain."
)
@click.option("--label-add", "added", multiple=True, metavar="KEY=VALUE", help="Set a label.")
@click.option("--label-rm", "removed", multiple=True, metavar="KEY", help="Take a label away.")
@click.option("--dry-run", is_flag=True, help="Only check that the nodes are there.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def update(
    nodes: tuple[str, ...], availability: str | None, added: tuple[str, ...], removed: tuple[str, ...],
    dry_run: bool,
) -> None:  # fmt: skip
    if not (availability or added or removed):
        raise click.UsageError("nothing to change: give at least one flag", click.get_current_context())
    labels = dict(_label(text) for text in added)
    wanted = Availability(availability) if availability else None
    with connect() as client:
        for node in [_node(client, name) for name in nodes]:
            if not dry_run:
                client.update_node(node.name, wanted, labels, removed)
            out(f"{node.name} would be updated" if dry_run else node.name)
            if wanted is Availability.DRAIN and not dry_run:
                note(f"hint: its tasks move now; `bayplan node drain {node.name}` shows it and waits")


@command(
    "drain",
    "Move all tasks away from nodes, and wait until they are empty. No service goes short of a task for it.",
    "bayplan node drain n3",
    "bayplan node drain --deadline 10m n3 n4",
    "bayplan node drain -d n3 && bayplan node ps n3",
)
@click.option(
    "--deadline", "deadline_ms", type=Duration(), default="0", metavar="DURATION",
    help="Stop what could not be moved after so long; 0 waits for ever.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Only tell which tasks would move; `bayplan simulate` says where to."
)
@waiting_options
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def drain(nodes: tuple[str, ...], deadline_ms: int, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    with connect() as client:
        names = [_node(client, name).name for name in nodes]
        if dry_run:
            for name in names:
                for task in client.tasks(node=name):
                    out(f"{task.service}.{task.slot} would leave {name}")
            return
        began_s = time.monotonic()
        for name in names:
            client.update_node(name, Availability.DRAIN, deadline_ms=deadline_ms)
        words = ", ".join(names)
        back = f"bayplan node ps {' '.join(names)}"
        if detach:
            note(f"{words} {'drains' if len(names) == 1 else 'drain'}; hint: {back}")
            return

        def is_elder(task: TaskView) -> bool:
            return task.node in names

        moved = follow_moves(client, f"the drain of {words}", is_elder, timeout_ms, back)
        took = seconds(time.monotonic() - began_s)
        out(f"{words} {'is' if len(names) == 1 else 'are'} empty: {counted(moved, 'task')} gone in {took}")
        note(f"hint: bayplan node update --availability active {' '.join(names)} takes tasks there again")


@command(
    "rm",
    "Take nodes out of the cluster; their certificates are void at once.",
    "bayplan node rm n3",
    "bayplan node rm -y n3 n4",
    "bayplan node rm --force n3",
)
@click.option("-f", "--force", is_flag=True, help="Also one that is up or has tasks; those start elsewhere.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@click.pass_context
def rm(ctx: click.Context, /, nodes: tuple[str, ...], force: bool, yes: bool, dry_run: bool) -> None:
    with connect() as client:
        found = [_node(client, name) for name in nodes]
        asks = not yes and sys.stdin.isatty()
        for node in found if dry_run or asks else ():
            out(f"Would remove node {node.name} ({node.status}, {counted(node.tasks, 'task')})")
        if dry_run:
            return
        if asks and not click.confirm("Remove?", err=True):
            note("nothing was removed")
            ctx.exit(EXIT_DECLINED)
        for node in found:
            out(client.remove_node(node.name, force))


def _node(client: Client, name: str) -> NodeView:
    with offering(name, client, "node"):
        return client.node(name)


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise click.UsageError(f"--label-add {text!r}: write KEY=VALUE", click.get_current_context())
    return key, value
