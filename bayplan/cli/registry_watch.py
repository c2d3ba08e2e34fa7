"""`bayplan registry watch|health`: how the instances of services come, go and are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import click
import msgspec

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.drift import Drift, Drifted
from bayplan.cli.feed import Feed
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.output import note, out
from bayplan.cli.registry import resolve
from bayplan.client import Client, InstancesNow
from bayplan.errors import ProblemError, ProblemKind
from bayplan.model import Instance
from bayplan.render.amounts import clock

#: Time between two looks for Ctrl-C while nothing happens, in seconds.
TICK_S = 0.5
#: Time between two looks at the nodes' copies, in seconds.
COPIES_S = 2.0


@command(
    "watch",
    "Show a service's ready instances, then each that comes, goes or changes, and nodes that fall behind.",
    "bayplan registry watch shop/web",
    "bayplan registry watch shop_web",
    "bayplan registry watch --json shop/web",
)
@click.option("--json", "as_json", is_flag=True, help="The whole view at each change, one line each.")
@click.argument("names", nargs=-1, required=True, metavar="STACK/SERVICE")
def watch(names: tuple[str, ...], as_json: bool) -> None:
    with connect() as client:
        stack, service = resolve(client, names)
        stream = client.watch_instances(stack, service, notice=lambda text: note(f"warning: {text}"))
        before: dict[str, Instance] = {}
        for view in _views(client, Feed(stream)):
            if isinstance(view, Drifted):
                out(_json_of_drift(view) if as_json else f"{_now()} {view}")
                continue
            now = {each.id: each for each in view.instances}
            lines = [_json(view)] if as_json else _lines(f"{stack}/{service}", view, before, now)
            for line in lines:
                out(line)
            before = now


def _views(client: Client, feed: Feed[InstancesNow]) -> Iterator[InstancesNow | Drifted]:
    """The views, and between them which nodes' copies do not keep up."""
    drift, next_s = Drift(), time.monotonic()
    while True:
        view = feed.next(TICK_S)
        if view is not None:
            yield view
        if time.monotonic() >= next_s:
            yield from _drifted(client, drift)
            next_s = time.monotonic() + COPIES_S


def _drifted(client: Client, drift: Drift) -> Iterable[Drifted]:
    """Nothing while the controller is away: the stream of views tells that, and goes on or ends."""
    try:
        return drift.look(client.copies())
    except ProblemError:
        return ()


def _lines(
    name: str, view: InstancesNow, before: dict[str, Instance], now: dict[str, Instance]
) -> Iterable[str]:
    """`14:03:07 shop/web revision 7: 2 ready`, and a line for each change."""
    yield f"{_now()} {name} revision {view.revision}: {len(now)} ready"
    for gone in sorted(before.keys() - now.keys()):
        yield f"  - {_line(before[gone])}"
    for each in view.instances:
        old = before.get(each.id)
        if old != each:
            yield f"  {'+' if old is None else '~'} {_line(each)}"


def _line(instance: Instance) -> str:
    endpoint = rows.endpoint(instance.address, instance.port)
    weight = f" weight {instance.weight}" if instance.weight != 1 else ""
    return f"{instance.id} {endpoint} on {instance.node or '-'}{weight}"


def _now() -> str:
    return clock(int(time.time() * 1000))


def _json(view: InstancesNow) -> str:
    return msgspec.json.encode({"revision": view.revision, "instances": view.instances}).decode()


def _json_of_drift(drifted: Drifted) -> str:
    return msgspec.json.encode({"copies": {"nodes": drifted.nodes, "behind": drifted.behind}}).decode()


@command(
    "health",
    "Show the instances of a service, or of all, with what their checks say; exits 1 when one is not ready.",
    "bayplan registry health",
    "bayplan registry health shop/web",
    "bayplan registry health --filter health=unhealthy",
)
@listing_options
@click.argument("names", nargs=-1, metavar="[STACK/SERVICE]")
def health(names: tuple[str, ...], layout: Layout) -> None:
    with connect() as client:
        wanted = (
            [resolve(client, names)] if names else [(each.stack, each.service) for each in client.registry()]
        )
        found = [
            (f"{stack}/{service}", each) for stack, service in wanted for each in _all(client, stack, service)
        ]
    table = [{"Service": name, **rows.instance_row(each)} for name, each in found]
    print_list(rows.HEALTH, table, layout, "ID")
    if not all(each.ready for _, each in found):
        click.get_current_context().exit(1)


def _all(client: Client, stack: str, service: str) -> tuple[Instance, ...]:
    """Every instance; none where the service has none, or is gone meanwhile."""
    try:
        return client.lookup(stack, service, True)
    except ProblemError as error:
        if error.problem.kind is not ProblemKind.NOT_FOUND:
            raise
        return ()


@command(
    "xds-bootstrap",
    "Print what gRPC clients on a node need for `xds:///STACK/SERVICE`: the file of GRPC_XDS_BOOTSTRAP.",
    "bayplan registry xds-bootstrap > /etc/bayplan/xds.json",
    "bayplan registry xds-bootstrap --zone eu-1 > /etc/bayplan/xds.json",
    "GRPC_XDS_BOOTSTRAP=/etc/bayplan/xds.json ./client xds:///shop/web",
)
@click.option(
    "--address", default="127.0.0.1:7482", show_default=True, metavar="IP:PORT", help="The agent's."
)
@click.option("--node", default="", metavar="NAME", help="Of the client, in logs; this machine's name.")
@click.option("--zone", default="", metavar="ZONE", help="Where the client is.")
def xds_bootstrap(address: str, node: str, zone: str) -> None:
    import socket

    from bayplan.surfaces.bootstrap import bootstrap

    made = msgspec.json.encode(bootstrap(address, node or socket.gethostname(), zone))
    out(msgspec.json.format(made, indent=2).decode())
