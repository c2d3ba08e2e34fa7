"""`bayplan service update|rollback|restart|rm|wait`: services changed one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from bayplan.cli.arrival import await_goals, goals_of
from bayplan.cli.commands import command, connect, timeout_option, waiting_options
from bayplan.cli.describing import Given, edited, spec_flags
from bayplan.cli.flags import UPDATE
from bayplan.cli.follow import follow
from bayplan.cli.joining import joined
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import note, out
from bayplan.cli.plan import painted
from bayplan.cli.rollout import Goal
from bayplan.client import Client
from bayplan.diff import stack_plan
from bayplan.errors import ProblemKind, refuse
from bayplan.model import ServiceSpec, StackSpec
from bayplan.render.amounts import counted
from bayplan.render.plan import plan_lines
from bayplan.views import Deployed, ServiceAction, ServiceView

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1


@command(
    "update",
    "Change a service, and wait until the new version runs everywhere.",
    "bayplan service update --image nginx:1.28 shop_web",
    "bayplan service update --env-add LOG=debug --limit-memory 512M --canaries 1 shop/web",
    "bayplan service update --strategy spread --anti-affinity db --priority 80 --dry-run shop_web",
)
@spec_flags(UPDATE)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@waiting_options
@click.argument("service")
def update(service: str, given: Given, dry_run: bool, detach: bool, timeout_ms: int) -> None:
    if not given:
        raise click.UsageError("nothing to change: give at least one flag", click.get_current_context())
    with connect() as client:
        view, spec = _service(client, service)
        changed = edited(spec, given)
        if "network_add" in given:
            changed = joined(client, view.stack, changed)
        if dry_run or changed == spec:
            _show(view, spec, changed)
            return
        goals = goals_of(client, [view.name])
        _tell(client.update_service(view.name, changed, view.version), view.name)
        # The restart policy that is waited by is the new one.
        goals = [goal._replace(keep={view.name: changed.restart.condition}) for goal in goals]
        await_goals(client, goals, {view.name}, detach, timeout_ms)


@command(
    "rollback",
    "Take services back to the version before, and wait until it runs.",
    "bayplan service rollback shop_web",
    "bayplan service rollback -d shop/web",
    "bayplan service rollback --timeout 1m shop_web shop_api",
)
@click.option("--dry-run", is_flag=True, help="Only check that the services are there.")
@waiting_options
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
def rollback(services: tuple[str, ...], dry_run: bool, detach: bool, timeout_ms: int) -> None:
    with connect() as client:
        names = [_service(client, service)[0].name for service in services]
        if dry_run:
            _would(names, "go back to the version before")
            return
        # To be rolled back is here what was asked for, not a failure.
        goals = [goal._replace(undone=frozenset(names)) for goal in goals_of(client, names)]
        for name in names:
            _tell(client.rollback_service(name), name)
        await_goals(client, goals, names, detach, timeout_ms)


@command(
    "restart",
    "Replace all tasks of services by new ones, as their update policies say.",
    "bayplan service restart shop_web",
    "bayplan service restart -d shop/web shop/api",
    "bayplan service restart --timeout 1m shop_web",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be replaced.")
@waiting_options
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
def restart(services: tuple[str, ...], dry_run: bool, detach: bool, timeout_ms: int) -> None:
    with connect() as client:
        names = [_service(client, service)[0].name for service in services]
        if dry_run:
            _would(names, "get new tasks")
            return
        goals = goals_of(client, names)
        for name in names:
            _tell(client.restart_service(name), name)
        await_goals(client, goals, names, detach, timeout_ms)


@command(
    "rm",
    "Remove services from their stacks, and wait until they are gone.",
    "bayplan service rm shop_web",
    "bayplan service rm -y shop/web shop/api",
    "bayplan service rm --dry-run shop_web",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@waiting_options
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@click.pass_context
def rm(
    ctx: click.Context, /, services: tuple[str, ...], yes: bool, dry_run: bool, detach: bool, timeout_ms: int
) -> None:
    with connect() as client:
        found = [_service(client, service)[0] for service in services]
        asks = not yes and sys.stdin.isatty()
        if dry_run or asks:
            for view in found:
                out(f"Would remove service {view.name} ({counted(view.desired, 'task')})")
        if dry_run:
            return
        if asks and not click.confirm("Remove?", err=True):
            note("nothing was removed")
            ctx.exit(EXIT_DECLINED)
        for view in found:
            client.remove_service(view.name)
            out(view.name)
        for stack in dict.fromkeys(view.stack for view in found) if not detach else ():
            gone = frozenset(view.name for view in found if view.stack == stack)
            follow(client, Goal(stack=stack, keep={}, gone=gone), timeout_ms, settle_s=0)


@command(
    "wait",
    "Wait until services are as they shall be; the exit code tells how it ended.",
    "bayplan service wait shop_web",
    "bayplan service wait --timeout 1m shop/web shop/api",
    "bayplan stack deploy -d -c docker-compose.yml shop && bayplan service wait shop_web",
)
@timeout_option
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
def wait(services: tuple[str, ...], timeout_ms: int) -> None:
    with connect() as client:
        names = [_service(client, service)[0].name for service in services]
        for goal in goals_of(client, names):
            follow(client, goal, timeout_ms, settle_s=0)


def _would(names: Iterable[str], change: str) -> None:
    for name in names:
        out(f"{name} would {change}")


def _tell(deployed: Deployed, name: str) -> None:
    """The service's name, as Docker prints it, and what there is to be warned of."""
    for warning in deployed.warnings:
        note(f"warning: {warning}")
    out(name)


def _show(view: ServiceView, before: ServiceSpec, after: ServiceSpec) -> None:
    """The fields that change."""
    old, new = (StackSpec(name=view.stack, services=(spec,)) for spec in (before, after))
    plan = stack_plan(old, new)
    if plan.services[0].change.action is ServiceAction.SAME:
        out(f"{view.name} is unchanged")
    for line in plan_lines(plan):
        out(painted(line))


def _service(client: Client, name: str) -> tuple[ServiceView, ServiceSpec]:
    """A living service by any of its names."""
    with offering(full_name(name), client, "service"):
        view, spec = client.service(full_name(name))
    if view.removed:
        raise refuse(
            ProblemKind.REFUSED, f"{view.name} is being removed", why=f"bayplan service ps {view.name}"
        )
    return view, spec
