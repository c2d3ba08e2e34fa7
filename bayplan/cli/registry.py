"""`bayplan registry services|lookup`."""

from __future__ import annotations

import click
import msgspec

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.client import Client
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.nearest import nearest


@command(
    "services",
    "List the services that can be looked up.",
    "bayplan registry services",
    "bayplan registry services -q",
    "bayplan registry services --format '{{.Name}} {{.Ready}}'",
)
@listing_options
def services(layout: Layout) -> None:
    with connect() as client:
        print_list(rows.ENTRIES, [rows.entry_row(entry) for entry in client.registry()], layout, "Name")


@command(
    "lookup",
    "Show where the ready instances of a service are.",
    "bayplan registry lookup shop/web",
    "bayplan registry lookup -q shop_web",
    "bayplan registry lookup --all shop web",
)
@click.option("--all", "every", is_flag=True, help="Also those that are not ready, and why.")
@listing_options
@click.argument("names", nargs=-1, required=True, metavar="STACK/SERVICE")
def lookup(names: tuple[str, ...], every: bool, layout: Layout) -> None:
    if len(names) > 2:
        raise click.UsageError(
            "write STACK/SERVICE, STACK_SERVICE or STACK SERVICE", click.get_current_context()
        )
    with connect() as client:
        stack, service = resolve(client, names)
        try:
            instances = client.lookup(stack, service, every)
        except ProblemError as error:
            raise _offering(error, f"{stack}/{service}", client) from None
    columns = rows.EVERY_INSTANCE if every else rows.INSTANCES
    print_list(columns, [rows.instance_row(instance) for instance in instances], layout, "Endpoint")


def resolve(client: Client, names: tuple[str, ...]) -> tuple[str, str]:
    """Stack and service. `a_b_c` is ambiguous by itself, so the registry's own names decide."""
    if len(names) == 2:
        return names[0], names[1]
    stack, slash, service = names[0].partition("/")
    if slash:
        return stack, service
    known = _known(client, "_")
    if names[0] in known:
        return known[names[0]]
    near = nearest(names[0], known)
    hint = f"did you mean {near}?" if near else "`bayplan registry services` shows those that exist"
    raise refuse(ProblemKind.NOT_FOUND, f"no service {names[0]} in the registry", hint=hint)


def _offering(error: ProblemError, name: str, client: Client) -> ProblemError:
    """The error with "did you mean", where it is about a name that is near another one."""
    known = _known(client, "/")
    near = nearest(name, known)
    if error.problem.kind is not ProblemKind.NOT_FOUND or name in known or near is None:
        return error
    return ProblemError(msgspec.structs.replace(error.problem, hint=f"did you mean {near}?"))


def _known(client: Client, joint: str) -> dict[str, tuple[str, str]]:
    return {
        f"{entry.stack}{joint}{entry.service}": (entry.stack, entry.service) for entry in client.registry()
    }
