"""`bayplan registry register|deregister|override`: instances that are no tasks, and an operator's word."""

from __future__ import annotations

import threading

import click

from bayplan.cli.commands import Duration, command, connect
from bayplan.cli.edits import pair
from bayplan.cli.output import note, out
from bayplan.client import Client
from bayplan.directory import EXTERNAL, Standing
from bayplan.directory.registrar import TTL_MS_USUAL, Registration, Renewal
from bayplan.errors import ProblemError, ProblemKind

#: A lease that is kept is renewed so many times before it would end.
RENEWALS_PER_TTL = 3
WEIGHT_MAX = 65_535


@command(
    "register",
    "Let something be found that is no task: a machine, a database, a service elsewhere.",
    "bayplan registry register db --address 10.0.0.9:5432 --tag primary",
    "bayplan registry register db --address 10.0.0.9:5432 --id one --weight 10",
    "bayplan registry register --keep --ttl 10s legacy/db --address 10.0.0.9:5432",
)
@click.option("--address", required=True, metavar="IP[:PORT]", help="Where it answers; IPv6 as [::1]:80.")
@click.option("--id", "entry_id", default="", metavar="ID", help="Unique in its service; the address.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Repeatable.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option("--node", default="", metavar="NAME", help="The machine it runs on, as shown to people.")
@click.option(
    "--weight", type=click.IntRange(0, WEIGHT_MAX), default=1, metavar="N", help="Against others; 1."
)
@click.option("--ttl", "ttl_ms", type=Duration(), default="30s", show_default=True, help="Gone after that.")
@click.option("--keep", is_flag=True, help="Renew it until Ctrl-C, then deregister it.")
@click.argument("name", metavar="[STACK/]SERVICE")
def register(
    name: str, address: str, entry_id: str, tags: tuple[str, ...], meta: tuple[str, ...], node: str,
    weight: int, ttl_ms: int, keep: bool,
) -> None:  # fmt: skip
    stack, service = _names(name)
    host, port = _address(address)
    wanted = Registration(
        id=entry_id or address,
        stack=stack,
        service=service,
        node=node,
        address=host,
        port=port,
        weight=weight,
        tags=tags,
        meta=dict(_pair(each) for each in meta),
        ttl_ms=ttl_ms or TTL_MS_USUAL,
    )
    with connect() as client:
        client.register(wanted)
        out(f"{stack}/{service} {wanted.id}")
        if keep:
            _keep(client, wanted)
        else:
            note(f"hint: it is gone in {ttl_ms // 1000} s unless it is registered again; --keep renews it")


def _keep(client: Client, wanted: Registration) -> None:
    """Renew until Ctrl-C. A lease that ended, or a controller that is away, is no reason to stop."""
    renewal = Renewal(stack=wanted.stack, service=wanted.service, id=wanted.id, standing=Standing.READY)
    note("renewing it; Ctrl-C deregisters it")
    pause = threading.Event()
    try:
        while True:
            pause.wait(wanted.ttl_ms / 1000 / RENEWALS_PER_TTL)
            try:
                _renew(client, wanted, renewal)
            except ProblemError as error:
                note(f"warning: {error.problem.summary}")
    except KeyboardInterrupt:
        client.deregister(wanted.stack, wanted.service, wanted.id)
        note("deregistered")


def _renew(client: Client, wanted: Registration, renewal: Renewal) -> None:
    try:
        client.renew(renewal)
    except ProblemError as error:
        if error.problem.kind is not ProblemKind.NOT_FOUND:
            raise
        client.register(wanted)


@command(
    "deregister",
    "Let something be found no more that was registered.",
    "bayplan registry deregister db 10.0.0.9:5432",
    "bayplan registry deregister db one",
    "bayplan registry deregister legacy/db 10.0.0.9:5432",
)
@click.argument("name", metavar="[STACK/]SERVICE")
@click.argument("entry_id", metavar="ID")
def deregister(name: str, entry_id: str) -> None:
    with connect() as client:
        client.deregister(*_names(name), entry_id)


@command(
    "override",
    "Say of one instance what its health does not: take it out of use, or give it another weight.",
    "bayplan registry override --drain shop/web 4wvw8bcpsgbg",
    "bayplan registry override --weight 10 shop/web 4wvw8bcpsgbg",
    "bayplan registry override --clear shop/web 4wvw8bcpsgbg",
)
@click.option("--drain/--no-drain", default=None, help="Whether it takes nobody new.")
@click.option("--weight", type=click.IntRange(0, WEIGHT_MAX), metavar="N", help="Against the others'.")
@click.option("--clear", is_flag=True, help="Take back all that was said of it.")
@click.argument("name", metavar="STACK/SERVICE")
@click.argument("entry_id", metavar="ID")
def override(name: str, entry_id: str, drain: bool | None, weight: int | None, clear: bool) -> None:
    if clear == (drain is not None or weight is not None):
        raise click.UsageError("say --drain, --no-drain or --weight, or --clear", click.get_current_context())
    with connect() as client:
        client.override(*_names(name), entry_id, drain=drain, weight=weight, clear=clear)


def _names(name: str) -> tuple[str, str]:
    """Stack and service; without a stack it is nobody's."""
    stack, slash, service = name.partition("/")
    return (stack, service) if slash else (EXTERNAL, name)


def _address(text: str) -> tuple[str, int]:
    """`10.0.0.9`, `10.0.0.9:80`, `::1`, `[::1]:80`. The controller looks at the address itself."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return text.strip("[]"), 0
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"--address {text!r}: {port!r} is no port", click.get_current_context())
    return host.strip("[]"), int(port)


def _pair(text: str) -> tuple[str, str]:
    try:
        return pair(text)
    except ValueError as error:
        raise click.UsageError(f"--meta {error}", click.get_current_context()) from None
