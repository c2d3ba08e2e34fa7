"""`bayplan network create|ls|inspect|rm`: networks that span the nodes, with Docker's flags and columns."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.inspecting import Inspected, inspect_options, print_inspected
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.output import note, out
from bayplan.errors import Problem, ProblemError
from bayplan.model import IpamPool, NetworkSpec
from bayplan.render.network import network_json, network_lines
from bayplan.views import NetworkView

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1
#: Drivers that mean a network over all nodes.
DRIVERS = ("overlay", "bridge")
#: Docker's option of an overlay that is encrypted, and its words for yes.
ENCRYPTED, _TRUE = "encrypted", ("", "1", "t", "true")
_FILE_ONLY = "write it in the compose file of the services that need it, where each node has one of its own"


@command(
    "create",
    "Make a network that spans the nodes, for services of several stacks.",
    "bayplan network create backbone",
    "bayplan network create --subnet 10.20.0.0/20 --attachable backbone",
    "bayplan network create --internal --label team=shop backbone",
)
@click.option("-d", "--driver", default="overlay", metavar="DRIVER", help="overlay; bridge is the same here.")
@click.option("--subnet", "subnets", multiple=True, metavar="CIDR", help="Its addresses; else a free subnet.")
@click.option("--gateway", "gateways", multiple=True, metavar="ADDRESS", help="An address to leave free.")
@click.option("--ip-range", "ranges", multiple=True, metavar="CIDR", help="The part to give addresses from.")
@click.option("--aux-address", "aux", multiple=True, metavar="NAME=ADDRESS", help="An address to leave free.")
@click.option("--internal", is_flag=True, help="No way out, and no published ports.")
@click.option("--attachable", is_flag=True, help="Containers that are no service's may join it.")
@click.option("--ipv6", is_flag=True, help="Refused: these networks have IPv4 addresses.")
@click.option("--ingress", is_flag=True, help="Refused: published ports need no network.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="A bridge's option.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be asked for.")
@click.argument("name")
def create(
    name: str,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
    internal: bool,
    attachable: bool,
    ipv6: bool,
    ingress: bool,
    labels: tuple[str, ...],
    options: tuple[str, ...],
    dry_run: bool,
) -> None:
    _refuse(driver, ipv6=ipv6, ingress=ingress)
    given = _pairs("--opt", options)
    encrypted = given.pop(ENCRYPTED, "false").lower() in _TRUE
    spec = NetworkSpec(
        driver_options=given,
        internal=internal,
        attachable=attachable,
        pools=_pools(subnets, gateways, ranges, aux),
        labels=_pairs("--label", labels),
        encrypted=encrypted,
    )
    if dry_run:
        subnet = next((pool.subnet for pool in spec.pools), "a free subnet")
        out(f"Would create network {name} ({subnet})")
        return
    with connect() as client:
        out(client.create_network(name, spec).id)


def _refuse(driver: str, *, ipv6: bool, ingress: bool) -> None:
    if driver not in DRIVERS:
        raise _usage(f"--driver {driver}: this makes networks over all nodes; {_FILE_ONLY}")
    if ipv6:
        raise _usage(
            "--ipv6: networks over all nodes have IPv4 addresses; `x-bayplan: {scope: node}` in a file makes "
            "one with IPv6 on each node"
        )
    if ingress:
        raise _usage("--ingress: published ports answer on every node without a network of their own")


def _pools(
    subnets: tuple[str, ...], gateways: tuple[str, ...], ranges: tuple[str, ...], aux: tuple[str, ...]
) -> tuple[IpamPool, ...]:
    """The one range of addresses, if any flag speaks of it."""
    for flag, given in (("--subnet", subnets), ("--gateway", gateways), ("--ip-range", ranges)):
        if len(given) > 1:
            raise _usage(f"{flag} is given {len(given)} times: a network over all nodes has one subnet")
    if not (subnets or gateways or ranges or aux):
        return ()
    if not subnets:
        raise _usage("--gateway, --ip-range and --aux-address need --subnet")
    try:
        pool = IpamPool(
            subnet=str(ip_network(subnets[0])),
            gateway="".join(str(ip_address(each)) for each in gateways),
            ip_range="".join(str(ip_network(each)) for each in ranges),
            aux_addresses={key: str(ip_address(each)) for key, each in _pairs("--aux-address", aux).items()},
        )
    except ValueError as error:
        raise _usage(f"{error}; write 10.20.0.0/20, or 10.20.0.5 for an address") from None
    return (pool,)


def _pairs(flag: str, given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or (flag == "--aux-address" and not equals):
            raise _usage(f"{flag} {text!r}: write KEY=VALUE")
        found[key] = value
    return found


def _usage(text: str) -> click.UsageError:
    return click.UsageError(text, click.get_current_context())


@command(
    "ls",
    "List the networks that span the nodes, those of stacks included.",
    "bayplan network ls",
    "bayplan network ls -f stack=shop",
    "bayplan network ls --format '{{.Name}} {{.Subnet}}'",
)
@listing_options
def ls(layout: Layout) -> None:
    with connect() as client:
        found = client.networks()
    now_ms = int(time.time() * 1_000)
    print_list(rows.NETWORKS, [rows.network_row(network, now_ms) for network in found], layout)


@command(
    "inspect",
    "Show everything about networks, as JSON with Docker's keys.",
    "bayplan network inspect backbone",
    "bayplan network inspect --pretty shop_default",
    "bayplan network inspect --format '{{.VXLAN}}' backbone",
)
@inspect_options
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
def inspect(names: tuple[str, ...], format: str | None, pretty: bool) -> None:  # noqa: A002
    with connect() as client:
        found = [client.network(name) for name in names]
    print_inspected([Inspected(network_json(each), network_lines(each)) for each in found], format, pretty)


@command(
    "rm",
    "Remove networks that no service is in.",
    "bayplan network rm backbone",
    "bayplan network rm -y backbone another",
    "bayplan network rm --dry-run backbone",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-f", "--force", is_flag=True, help="Of networks that are not there, say nothing.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
def rm(names: tuple[str, ...], yes: bool, force: bool, dry_run: bool) -> None:
    with connect() as client:
        known = {each.name for each in client.networks()}
        found = [client.network(name) for name in names if not force or name in known]
        asking = not yes and sys.stdin.isatty()
        for network in found if dry_run or asking else ():
            out(f"Would remove network {network.name}{_used(network)}")
        if dry_run:
            return
        if asking and not click.confirm("Remove?", err=True):
            note("nothing was removed")
            click.get_current_context().exit(EXIT_DECLINED)
        problems: list[Problem] = []
        for network in found:
            try:
                client.remove_network(network.name)
            except ProblemError as error:
                problems += error.problems
            else:
                out(network.name)
        if problems:
            raise ProblemError(*problems)


def _used(network: NetworkView) -> str:
    users = ", ".join(each.service for each in network.services)
    return f", which {users} would lose" if users else ""
