"""`bayplan rollout status|pause|resume|promote|undo`: how an update goes, and the user's word in it."""

from __future__ import annotations

import time

import click

from bayplan.cli.arrival import await_goals, goals_of
from bayplan.cli.commands import command, connect, timeout_option, waiting_options
from bayplan.cli.follow import follow
from bayplan.cli.listing import filled
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import marked, out
from bayplan.cli.rollout_lines import rollout_json, rollout_lines
from bayplan.client import Client
from bayplan.render.template import to_json
from bayplan.views import RolloutAction, RolloutState, RolloutView

#: Exit code of a rollout that was given up or waits for the user because it failed (docs/cli.md).
EXIT_FAILED = 1
_FAILED = (RolloutState.PAUSED, RolloutState.ROLLBACK_PAUSED, RolloutState.ROLLED_BACK)


@command(
    "status",
    "Show how far an update is: versions, slots, order, failures. The exit code is 1 when it has failed.",
    "bayplan rollout status shop_web",
    "bayplan rollout status -w shop/web",
    "bayplan rollout status --format '{{.State}} {{.Done}}/{{.Total}}' shop_web",
)
@click.option("-w", "--watch", is_flag=True, help="Watch until it has ended, as a deploy does.")
@click.option("--format", "template", metavar="FORMAT", help="json, or a Go template such as '{{.State}}'.")
@timeout_option
@click.argument("service")
@click.pass_context
def status(ctx: click.Context, /, service: str, watch: bool, template: str | None, timeout_ms: int) -> None:
    with connect() as client:
        rollout = _rollout(client, service)
        if watch:
            _watch(client, rollout, timeout_ms)
            return
    if template:
        shown = rollout_json(rollout)
        out(to_json(shown) if template == "json" else filled(template, shown))
    else:
        _show(rollout)
    if rollout.state in _FAILED:
        ctx.exit(EXIT_FAILED)


@command(
    "pause",
    "Stop an update where it is: no further task is replaced until `resume`.",
    "bayplan rollout pause shop_web",
    "bayplan rollout pause shop/web",
    "bayplan rollout pause shop_web && bayplan rollout status shop_web",
)
@click.option("--dry-run", is_flag=True, help="Only show the update as it is.")
@click.argument("service")
def pause(service: str, dry_run: bool) -> None:
    with connect() as client:
        _show(_asked(client, service, RolloutAction.PAUSE, dry_run))


@command(
    "resume",
    "Let a paused update go on; its failures so far are forgotten.",
    "bayplan rollout resume shop_web",
    "bayplan rollout resume -d shop/web",
    "bayplan rollout resume --timeout 1m shop_web",
)
@click.option("--dry-run", is_flag=True, help="Only show the update as it is.")
@waiting_options
@click.argument("service")
def resume(service: str, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    _ask_and_wait(service, RolloutAction.RESUME, dry_run, detach, timeout_ms)


@command(
    "promote",
    "The canaries are good: let the new version take all slots.",
    "bayplan rollout promote shop_web",
    "bayplan rollout promote -d shop/web",
    "bayplan rollout status shop_web && bayplan rollout promote shop_web",
)
@click.option("--dry-run", is_flag=True, help="Only show the update as it is.")
@waiting_options
@click.argument("service")
def promote(service: str, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    _ask_and_wait(service, RolloutAction.PROMOTE, dry_run, detach, timeout_ms)


@command(
    "undo",
    "Take an update back, while it runs or after it: the version before comes again, as a rollout.",
    "bayplan rollout undo shop_web",
    "bayplan rollout undo -d shop/web",
    "bayplan rollout undo --timeout 1m shop_web",
)
@click.option("--dry-run", is_flag=True, help="Only show the update as it is.")
@waiting_options
@click.argument("service")
def undo(service: str, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    _ask_and_wait(service, RolloutAction.UNDO, dry_run, detach, timeout_ms)


def _ask_and_wait(service: str, action: RolloutAction, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    with connect() as client:
        name = _rollout(client, service).service
        goals = goals_of(client, [name])
        if action is RolloutAction.UNDO:
            goals = [goal._replace(undone=frozenset({name})) for goal in goals]
        rollout = _asked(client, name, action, dry_run)
        if dry_run or detach:
            _show(rollout)
        else:
            out(f"{name} {rollout.state.value}")
        if not dry_run:
            await_goals(client, goals, {name}, detach, timeout_ms)


def _asked(client: Client, service: str, action: RolloutAction, dry_run: bool) -> RolloutView:
    """The rollout after the action; as it is when nothing shall be changed."""
    rollout = _rollout(client, service)
    return rollout if dry_run else client.control_rollout(rollout.service, action)


def _rollout(client: Client, service: str) -> RolloutView:
    with offering(full_name(service), client, "service"):
        return client.rollout(full_name(service))


def _watch(client: Client, rollout: RolloutView, timeout_ms: int) -> None:
    """The same progress and the same end as of the command that began it."""
    for goal in goals_of(client, [rollout.service]):
        follow(client, goal, timeout_ms, settle_s=0)
    _show(client.rollout(rollout.service))


def _show(rollout: RolloutView) -> None:
    out(f"{rollout.service}  {marked(rollout.state.value)}")
    for line in rollout_lines(rollout, int(time.time() * 1_000)):
        out(line)
