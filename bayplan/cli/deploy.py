"""`bayplan stack deploy`: reads compose files here, tells the plan, sends the stack, waits until it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from bayplan.cli.arrival import await_stack, look
from bayplan.cli.commands import command, connect, waiting_options, whole
from bayplan.cli.given import Given, compose_options, read, tell_warnings
from bayplan.cli.output import note, out
from bayplan.cli.plan import print_plan, tell_problems
from bayplan.render.plan import changing, gist, is_changing, network_changes
from bayplan.views import FileChange, Plan, ServiceAction, ServiceChange, ServicePlan

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1

_WORDS = {
    ServiceAction.CREATE: "Creating",
    ServiceAction.UPDATE: "Updating",
    ServiceAction.SCALE: "Scaling",
    ServiceAction.REMOVE: "Removing",
}


def _check_resolve_image(ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value not in (None, "always"):
        raise click.UsageError(
            f"--resolve-image {value}: a deploy always asks the nodes what an image's name means there; "
            "leave it out, or name the digest in the file (`image: NAME@sha256:...`)",
            ctx,
        )


@command(
    "deploy",
    "Make the cluster run what compose files describe, and wait until it does.",
    "bayplan stack deploy -c docker-compose.yml shop",
    "bayplan stack deploy -c docker-compose.yml -c production.yml --prune shop",
    "bayplan stack deploy -c docker-compose.yml --check-index 4 shop",
)
@compose_options()
@click.option("--prune", is_flag=True, help="Remove services of the stack that the files do not name.")
@click.option(
    "--check-index", type=whole(), metavar="N",
    help="Only if the stack's revision is still N, as the plan showed it (0: no such stack).",
)  # fmt: skip
@click.option(
    "--resolve-image", metavar="always", callback=_check_resolve_image, expose_value=False,
    help="Docker's flag: each deploy asks the nodes what an image's name means there.",
)  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Do not ask before services are removed.")
@click.option("--dry-run", is_flag=True, help="Only show the plan, as `bayplan plan` does.")
@waiting_options
@click.argument("stack")
@click.pass_context
def deploy(
    ctx: click.Context,
    /,
    stack: str,
    given: Given,
    prune: bool,
    check_index: int | None,
    yes: bool,
    dry_run: bool,
    detach: bool,
    timeout_ms: int,
) -> None:
    loaded = read(given, stack)
    with connect() as client:
        if loaded.builds and given.build and not dry_run:
            from bayplan.cli.building import build_images

            build_images(loaded.builds)
        plan = client.plan(loaded.stack, prune)
        networks = network_changes(loaded.stack, plan, client.networks())
        tell_warnings([text for text in plan.warnings if text not in loaded.warnings], given.strict)
        if dry_run:
            print_plan(plan, networks=networks)
        if plan.problems:
            ctx.exit(tell_problems(plan))
        if dry_run:
            return
        if not yes and sys.stdin.isatty() and not _agrees(plan):
            note("nothing was changed")
            ctx.exit(EXIT_DECLINED)
        before = look(client, loaded.stack.name)
        if check_index in (None, plan.index):  # else the controller refuses it
            for action, name in networks if is_changing(plan) else ():
                out(f"{_WORDS[action]} network {name}")
            print_intent(plan.services, plan.files)
        deployed = client.deploy(loaded.stack, prune, check_index)
        _print_otherwise(plan, deployed.changes)
        await_stack(client, loaded.stack, deployed, before, detach, timeout_ms)


def print_intent(services: Sequence[ServicePlan], files: Sequence[FileChange]) -> None:
    """One line for each thing that is about to change, in Docker's words, with the gist of the change."""
    for file in files:
        if file.action in _WORDS:
            out(f"{_WORDS[file.action]} {file.kind} {file.name}")
    for each in services:
        if each.change.action in _WORDS:
            because = gist(each)
            out(f"{_word(each.change)}{f' ({because})' if because else ''}")


def _word(change: ServiceChange) -> str:
    return f"{_WORDS[change.action]} service {change.service}"


def _print_otherwise(plan: Plan, changes: Sequence[ServiceChange]) -> None:
    """What the deploy did that the plan had not said: somebody else changed the stack in between."""
    said = {(each.change.service, each.change.action) for each in plan.services}
    for change in changes:
        if (change.service, change.action) not in said and change.action in _WORDS:
            out(_word(change))


def _agrees(plan: Plan) -> bool:
    """Asks before services are removed."""
    going = [each.change.service for each in changing(plan) if each.change.action is ServiceAction.REMOVE]
    if not going:
        return True
    for name in going:
        out(f"Would remove service {name}")
    return click.confirm("Remove?", err=True)
