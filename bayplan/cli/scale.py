"""`bayplan service scale`."""

from __future__ import annotations

import re

import click

from bayplan.cli.arrival import await_goals, goals_of
from bayplan.cli.commands import command, connect, waiting_options
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import out
from bayplan.limits import REPLICAS_MAX


@command(
    "scale",
    "Change how many tasks services have, and wait until they run.",
    "bayplan service scale shop_web=5",
    "bayplan service scale shop_web=5 shop_api=3",
    "bayplan service scale -d shop_web=0",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@waiting_options
@click.argument("wishes", nargs=-1, required=True, metavar="SERVICE=N...")
def scale(wishes: tuple[str, ...], dry_run: bool, detach: bool, timeout_ms: int) -> None:
    wanted = [_wish(wish) for wish in wishes]
    with connect() as client:
        found = []
        for name, replicas in wanted:
            with offering(name, client, "service"):
                found.append((*client.service(name), replicas))
        if dry_run:
            for view, _spec, replicas in found:
                out(f"{view.name} would be scaled from {view.desired} to {replicas}")
            return
        goals = goals_of(client, (view.name for view, _spec, _replicas in found))
        for view, _spec, replicas in found:
            name, before, after = client.scale(view.name, replicas)
            out(f"{name} scaled to {after}" + ("" if before != after else " (unchanged)"))
        await_goals(client, goals, {view.name for view, _spec, _replicas in found}, detach, timeout_ms)


def _wish(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not re.fullmatch(r"[0-9]{1,9}", number) or int(number) > REPLICAS_MAX:
        raise click.UsageError(
            f"{text!r}: write SERVICE=N, N from 0 to {REPLICAS_MAX}", click.get_current_context()
        )
    return full_name(name), int(number)
