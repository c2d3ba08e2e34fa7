"""The program `bayplan-agent`: run the daemon, or join a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from agent.goods import parse as parse_goods
from bayplan import __version__
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.logs import LogFormat, configure

DATA_DIR = "/var/lib/bayplan/agent"
DOCKER_SOCKET = "/var/run/docker.sock"
RUN_DIR = "/run/bayplan-agent"
#: Where a node answers by itself. Several agents on one machine need their own.
DNS_LISTEN, HTTP_LISTEN, XDS_LISTEN = "127.0.0.1:8600", "127.0.0.1:7481", "127.0.0.1:7482"

_data_dir = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), default=DATA_DIR, show_default=True
)
_generic = click.option(
    "--generic-resource",
    "goods",
    multiple=True,
    metavar="NAME=N|ID",
    help="Countable goods of this machine: gpu=2, or gpu=ID for each; repeatable. NVIDIA's GPUs are found.",
)
_docker_socket = click.option("--docker-socket", metavar="PATH", default=DOCKER_SOCKET, show_default=True)


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="bayplan-agent", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """The agent: makes its host run what the controller assigns.

    \b
    bayplan-agent join --token BPL1-a-... 10.0.0.1:7444
    bayplan-agent run
    """
    if context.invoked_subcommand is None:
        context.invoke(run)


@main.command()
@_data_dir
@_docker_socket
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUN_DIR,
    show_default=True,
    help="Where secrets lie while containers use them; must be in memory, such as a tmpfs.",
)
@_generic
@click.option(
    "--dns-listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    default=(DNS_LISTEN,),
    show_default=True,
    help="Where this node answers DNS for the registry's names; repeatable, or off.",
)
@click.option(
    "--dns-containers",
    multiple=True,
    metavar="ADDRESS:PORT",
    help="The same for containers that have no other name server, such as 172.17.0.1:53: other names are "
    "asked of those in /etc/resolv.conf; repeatable. Nowhere by default.",
)
@click.option("--dns-domain", metavar="NAME", default="bayplan", show_default=True, help="What names end in.")
@click.option(
    "--http-listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    default=(HTTP_LISTEN,),
    show_default=True,
    help="Where this node answers lookups, Consul's API and http_sd, on loopback only; repeatable, or off.",
)
@click.option(
    "--xds-listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    default=(XDS_LISTEN,),
    show_default=True,
    help="Where this node tells gRPC's xds:///STACK/SERVICE and Envoy, on loopback only; repeatable, or off.",
)
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    default=LogFormat.CONSOLE.value,
    show_default=True,
)
@click.option("--log-level", default="info", show_default=True)
def run(
    data_dir: Path = Path(DATA_DIR),
    docker_socket: str = DOCKER_SOCKET,
    run_dir: Path = Path(RUN_DIR),
    goods: tuple[str, ...] = (),
    dns_listen: tuple[str, ...] = (DNS_LISTEN,),
    dns_containers: tuple[str, ...] = (),
    dns_domain: str = "bayplan",
    http_listen: tuple[str, ...] = (HTTP_LISTEN,),
    xds_listen: tuple[str, ...] = (XDS_LISTEN,),
    log_format: str = LogFormat.CONSOLE,
    log_level: str = "info",
) -> None:
    """Run the daemon. Containers stay when it ends."""
    import uvloop

    from agent.daemon import Settings
    from agent.daemon import run as run_daemon
    from agent.doors.surfaces import SurfaceSettings, addresses

    try:
        configure(log_level, log_format)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    with _problems_shown():
        surfaces = SurfaceSettings(
            addresses("--dns-listen", dns_listen),
            addresses("--dns-containers", dns_containers),
            addresses("--http-listen", http_listen, loopback=True),
            dns_domain,
            addresses("--xds-listen", xds_listen, loopback=True),
        )
        settings = Settings(data_dir, docker_socket, run_dir, parse_goods(goods), surfaces)
        sys.exit(uvloop.run(run_daemon(settings)))


@main.command()
@click.argument("address", metavar="HOST:PORT")
@click.option("--token", required=True, help="As `bayplan join-token` prints it.")
@click.option("--name", default="", help="The node's name; by default the host's.")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of the node; repeatable."
)
@click.option("--advertise-addr", default="", help="The address under which others reach this host.")
@_generic
@_docker_socket
@_data_dir
def join(
    address: str,
    token: str,
    name: str,
    labels: tuple[str, ...],
    advertise_addr: str,
    goods: tuple[str, ...],
    docker_socket: str,
    data_dir: Path,
) -> None:
    """Make this host a node of a cluster.

    \b
    bayplan-agent join --token BPL1-a-... 10.0.0.1:7444
    bayplan-agent join --token BPL1-a-... --name web1 --label disk=ssd 10.0.0.1:7444
    """
    from agent.addresses import local_address
    from agent.join import join as join_cluster

    begun = time.monotonic()
    with _problems_shown():
        _refuse_second_join(data_dir)
        node_labels, declared = _parse_labels(labels), parse_goods(goods)
        joined = asyncio.run(
            join_cluster(
                token,
                address,
                name or socket.gethostname(),
                node_labels,
                advertise_addr or local_address(address),
                data_dir,
                goods=declared,
            )
        )
        machine = asyncio.run(_describe_machine(docker_socket))
    click.echo(f"joined as {joined.membership.name} in {time.monotonic() - begun:.1f} s ({machine})")


@main.command()
@_data_dir
@_docker_socket
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUN_DIR,
    show_default=True,
    help="As given to `run`.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def leave(data_dir: Path, docker_socket: str, run_dir: Path, yes: bool) -> None:
    """Take off this host what the agent has made: containers, networks, links, rules, its identity.

    \b
    systemctl stop bayplan-agent
    bayplan-agent leave
    """
    from agent.identity import in_use, load
    from agent.leave import leave as leave_cluster

    with _problems_shown():
        member = load(data_dir).membership
        if in_use(data_dir):
            raise refuse(
                ProblemKind.REFUSED,
                f"the agent of {member.name} runs, and would make all of it again",
                hint="systemctl stop bayplan-agent",
            )
        if not yes:
            click.confirm(f"remove all containers of {member.name} from this host?", abort=True)
        left = asyncio.run(leave_cluster(member, data_dir, run_dir, docker_socket))
    click.echo(
        f"{member.name} has left: {left.containers} containers, {left.networks} networks; volumes stay"
    )
    click.echo(f"on the controller's host: bayplan node rm --force {member.name}")


@contextlib.contextmanager
def _problems_shown() -> Iterator[None]:
    """Print problems in their one form and end with their exit code."""
    try:
        yield
    except ProblemError as error:
        for problem in error.problems:
            click.echo("\n".join(problem.lines()), err=True)
        sys.exit(error.problem.exit_code)


def _refuse_second_join(data_dir: Path) -> None:
    from agent.identity import load

    try:
        known = load(data_dir).membership
    except ProblemError:
        return
    raise refuse(
        ProblemKind.REFUSED,
        f"this host is already {known.name} of the cluster {known.cluster_id}",
        f"its controller is {known.controller_address}",
        hint="start it with `bayplan-agent run`; to leave: stop the agent, then `bayplan-agent leave`",
    )


def _parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise refuse(ProblemKind.INVALID, f"not a label: {label!r}", hint="write it as KEY=VALUE")
        parsed[key] = value
    return parsed


async def _describe_machine(docker_socket: str) -> str:
    from agent.events import NodeRef
    from agent.runtime.base import EngineError
    from agent.runtime.docker import DockerEngine

    nobody = NodeRef(node_id="", cluster_id="")
    async with DockerEngine(docker_socket, nobody, __version__) as engine:
        try:
            found = await engine.inventory()
        except EngineError as error:
            return f"docker does not answer at {docker_socket}: {error}"
    cpus, memory_gib = found.capacity.cpu_millis // 1000, round(found.capacity.memory_bytes / 2**30)
    return f"{cpus} CPU, {memory_gib} GiB, docker {found.engine_version}"


if __name__ == "__main__":
    main()
