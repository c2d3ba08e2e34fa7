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
    log_format: str = LogFormat.CONSOLE,
    log_level: str = "info",
) -> None:
    """Run the daemon. Containers stay when it ends."""
    import uvloop

    from agent.daemon import Settings
    from agent.daemon import run as run_daemon

    try:
        configure(log_level, log_format)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    with _problems_shown():
        settings = Settings(data_dir, docker_socket, run_dir, parse_goods(goods))
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
                advertise_addr or _local_address(address),
                data_dir,
                goods=declared,
            )
        )
        machine = asyncio.run(_describe_machine(docker_socket))
    click.echo(f"joined as {joined.membership.name} in {time.monotonic() - begun:.1f} s ({machine})")


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
        hint=f"start it with `bayplan-agent run`; to leave: stop the agent and remove {data_dir}",
    )


def _parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise refuse(ProblemKind.INVALID, f"not a label: {label!r}", hint="write it as KEY=VALUE")
        parsed[key] = value
    return parsed


def _local_address(controller: str) -> str:
    """The address of this host on the way to the controller; "" lets the controller take what it sees."""
    host, _, port = controller.rpartition(":")
    try:
        target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(target[0], socket.SOCK_DGRAM) as probe:
            probe.connect(target[4])  # sends nothing: asks the routing table
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""


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
