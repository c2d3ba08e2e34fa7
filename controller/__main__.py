"""bayplan-controller: the daemon, and the making of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import uvloop

import bayplan
from bayplan import logs
from bayplan.errors import ProblemError
from controller import config as configuration
from controller.config import DATA_DIR, Config

_DATA_DIR_OPTION = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=DATA_DIR,
    show_default=True,
    help="Where the cluster is kept.",
)


@click.group(invoke_without_command=True)
@click.version_option(bayplan.__version__, prog_name="bayplan-controller")
@click.pass_context
def main(context: click.Context) -> None:
    """The bayplan controller: holds the cluster's state and tells the agents what to run.

    \b
    Examples:
      bayplan-controller init --advertise-addr 10.0.0.1
      bayplan-controller run
      bayplan-controller run --data-dir /srv/bayplan --log-format json
    """
    if context.invoked_subcommand is None:
        context.invoke(run)


@main.command()
@_DATA_DIR_OPTION
@click.option("--advertise-addr", help="The host or address under which agents reach this controller.")
@click.option("--listen", default=configuration.LISTEN, show_default=True, help="Agents' port (mTLS).")
@click.option(
    "--bootstrap-listen",
    default=configuration.BOOTSTRAP_LISTEN,
    show_default=True,
    help="Joining machines' port.",
)
@click.option(
    "--http-listen",
    default=configuration.HTTP_LISTEN,
    show_default=True,
    help="The lookup's loopback port.",
)
@click.option(
    "--witness-listen",
    default="",
    help="The port of the nodes' witnesses; by default 2 above the agents'. `off`: none.",
)
@click.option(
    "--allow",
    default="",
    help="What containers may be given beyond the ordinary, as privileged,devices,...: docs/install.md.",
)
@click.option(
    "--default-cpus",
    default="",
    help="CPUs that a task sets aside whose service declares nothing, as 0.05.",
)
@click.option(
    "--default-memory",
    default="",
    help="Memory that a task sets aside whose service declares nothing, as 64MiB.",
)
@click.option(
    "--heartbeat",
    default="",
    help="How often each node is asked for a sign of life; after three unanswered it is down. Default 2s.",
)
@click.option(
    "--preemption",
    is_flag=True,
    help="A task that finds no room may stop tasks whose priority is lower by 10 or more.",
)
@click.option(
    "--consolidation",
    is_flag=True,
    help="After updates a few tasks, of other services, too, move start-first so that nodes become free.",
)
@click.option(
    "--network-pool",
    default="",
    help="The range from which networks that span nodes get their subnets. Default 10.64.0.0/10.",
)
@click.option("--socket", default=configuration.SOCKET, show_default=True, help="The commands' unix socket.")
def init(
    data_dir: Path,
    advertise_addr: str | None,
    listen: str,
    bootstrap_listen: str,
    http_listen: str,
    witness_listen: str,
    socket: str,
    allow: str,
    default_cpus: str,
    default_memory: str,
    heartbeat: str,
    preemption: bool,
    consolidation: bool,
    network_pool: str,
) -> None:
    """Make a new cluster on this host."""
    from controller.making import make_cluster

    with _problems_shown():
        config = Config(
            advertise_addr=advertise_addr or configuration.guess_address(),
            listen=listen,
            bootstrap_listen=bootstrap_listen,
            http_listen=http_listen,
            witness_listen=witness_listen,
            socket=socket,
            timing=configuration.parse_heartbeat(heartbeat),
            allow=configuration.parse_allow(allow),
            default_reservation=configuration.parse_default(default_cpus, default_memory),
            preemption=preemption,
            consolidation=consolidation,
            network_pool=configuration.parse_pool(network_pool),
        )
        make_cluster(config, data_dir)


@main.command()
@_DATA_DIR_OPTION
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def run(data_dir: Path = DATA_DIR, log_format: str = "console", log_level: str = "info") -> None:
    """Run the controller until it is asked to stop."""
    from controller import allocator

    allocator.economise()
    from controller import daemon

    logs.configure(log_level, log_format)
    with _problems_shown():
        uvloop.run(daemon.run(configuration.load(data_dir), data_dir))


class _problems_shown:  # noqa: N801 - used like a function
    """Prints an expected failure as the command line does, and ends with its exit code."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from controller.store.base import StoreError

        if isinstance(error, ProblemError):
            for problem in error.problems:
                click.echo("\n".join(problem.lines()), err=True)
            sys.exit(error.problem.exit_code)
        if isinstance(error, StoreError):
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


if __name__ == "__main__":
    main()
