"""`bayplan init|join-token|join`: how a cluster begins and grows."""

from __future__ import annotations

import click

from bayplan.cli.commands import Duration, command, connect
from bayplan.cli.output import note, out
from bayplan.client import Client

#: The controller's unit and the agent's, as in deploy/.
CONTROLLER_UNIT, AGENT_UNIT = "bayplan-controller", "bayplan-agent"


@command(
    "init",
    "Make this machine the controller of a new cluster, and print the line with which others join.",
    "bayplan init",
    "bayplan init --advertise-addr 10.0.0.1",
    "bayplan init --data-dir /srv/bayplan --socket /srv/bayplan/controller.sock",
)
@click.option("--advertise-addr", metavar="ADDR", help="The address under which the nodes reach it.")
@click.option("--listen", metavar="ADDR:PORT", help="Where agents connect (mTLS).")
@click.option("--bootstrap-listen", metavar="ADDR:PORT", help="Where machines join.")
@click.option("--http-listen", metavar="ADDR:PORT", help="Where lookups by HTTP are answered.")
@click.option("--witness-listen", metavar="ADDR:PORT", help="Where the nodes' witnesses connect; off: none.")
@click.option("--allow", metavar="WORDS", help="Privileges that containers may have: docs/install.md.")
@click.option("--default-cpus", metavar="CPUS", help="What a task sets aside that declares nothing.")
@click.option("--default-memory", metavar="SIZE", help="What a task sets aside that declares nothing.")
@click.option("--network-pool", metavar="CIDR", help="Where networks over all nodes get their subnets from.")
@click.option("--heartbeat", metavar="TIME", help="How often each node is asked for a sign of life.")
@click.option(
    "--preemption",
    is_flag=True,
    help="Tasks that find no room may stop less important ones.",
)
@click.option(
    "--consolidation",
    is_flag=True,
    help="After updates a few tasks move, start-first, so that nodes become free.",
)
@click.option("--data-dir", metavar="DIR", help="Where the controller keeps everything.")
@click.option("--socket", metavar="PATH", help="The unix socket for this command line.")
@click.pass_context
def init(
    ctx: click.Context,
    /,
    data_dir: str | None,
    socket: str | None,
    preemption: bool,
    consolidation: bool,
    **flags: str | None,
) -> None:
    from bayplan.cli.host import run_program, start_unit, tell_start, wait_for_controller
    from bayplan.client import DEFAULT_HOST

    where = [] if data_dir is None else ["--data-dir", data_dir]
    args = ["init", *where, *([] if socket is None else ["--socket", socket])]
    args += ["--preemption"] if preemption else []
    args += ["--consolidation"] if consolidation else []
    for name, value in flags.items():
        args += [] if value is None else [f"--{name.replace('_', '-')}", value]
    code = run_program("bayplan-controller", args)
    if code != 0:
        ctx.exit(code)
    host = DEFAULT_HOST if socket is None else f"unix://{socket}"
    # The unit runs with the default folder; another one is for those who start the daemon themselves.
    if data_dir is not None or not start_unit(CONTROLLER_UNIT):
        client = "bayplan" if socket is None else f"bayplan -H {host}"
        tell_start("bayplan-controller", where, [f"{client} join-token"])
        return
    wait_for_controller(host)
    with Client(host) as client_now:
        now = client_now.status()
        out(f"cluster {now.cluster_id} is up, the controller answers at {now.join_address}")
        _print_join_line(client_now, 0, 0)


@command(
    "join-token",
    "Make the line with which a machine joins. Each token works for a while and a number of times.",
    "bayplan join-token",
    "bayplan join-token --ttl 24h --uses 10",
    "bayplan join --token $(bayplan join-token -q) 10.0.0.1:7444",
)
@click.option("--ttl", "ttl_ms", type=Duration(), default="1h", show_default=True, help="How long it works.")
@click.option(
    "--uses", type=click.IntRange(1, 1_000), default=1, show_default=True, help="How many machines."
)
@click.option("-q", "--quiet", is_flag=True, help="Only the token.")
@click.argument("role", type=click.Choice(["agent"]), default="agent", metavar="[agent]")
def join_token(role: str, ttl_ms: int, uses: int, quiet: bool) -> None:
    del role  # agents are what can join today; the word is accepted for scripts
    with connect() as client:
        if quiet:
            out(client.create_join_token(ttl_ms, uses).token)
        else:
            _print_join_line(client, ttl_ms, uses)


def _print_join_line(client: Client, ttl_ms: int, uses: int) -> None:
    """The line on stdout, so that it can be piped to a shell; what it is for on stderr."""
    from bayplan.render.amounts import clock, counted

    made = client.create_join_token(ttl_ms, uses)
    note(
        f"run this on the machine that shall join, as root (until {clock(made.expires_ms)}, "
        f"{counted(uses or 1, 'machine')}):"
    )
    out(f"bayplan join --token {made.token} {made.join_address}")


@command(
    "join",
    "Make this machine a node of a cluster.",
    "bayplan join --token TOKEN 10.0.0.1:7444",
    "bayplan join --token TOKEN --name n3 --label zone=a --label disk=ssd 10.0.0.1:7444",
    "bayplan join --token TOKEN --advertise-addr 10.0.0.3 --generic-resource ssd=2 10.0.0.1:7444",
)
@click.option("--token", required=True, help="From `bayplan join-token`.")
@click.option("--name", help="The node's name; the host's name by default.")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label for placement constraints."
)
@click.option("--advertise-addr", metavar="ADDR", help="The address under which others reach this machine.")
@click.option(
    "--generic-resource",
    "goods",
    multiple=True,
    metavar="NAME=N|ID",
    help="Countable goods of this machine: ssd=2, or gpu=ID for each one.",
)
@click.option("--docker-socket", metavar="PATH", help="The engine's socket.")
@click.option("--data-dir", metavar="DIR", help="Where the agent keeps everything.")
@click.argument("controller", metavar="HOST:PORT")
@click.pass_context
def join(
    ctx: click.Context,
    /,
    controller: str,
    labels: tuple[str, ...],
    goods: tuple[str, ...],
    docker_socket: str | None,
    data_dir: str | None,
    **flags: str | None,
) -> None:
    from bayplan.cli.host import run_program, start_unit, tell_start

    where = [] if data_dir is None else ["--data-dir", data_dir]
    where += [] if docker_socket is None else ["--docker-socket", docker_socket]
    args = ["join", *where]
    for name, value in flags.items():
        args += [] if value is None else [f"--{name.replace('_', '-')}", value]
    for label in labels:
        args += ["--label", label]
    for good in goods:
        args += ["--generic-resource", good]
    code = run_program("bayplan-agent", [*args, controller])
    if code != 0:
        ctx.exit(code)
    # The unit runs with the default folder and socket.
    if where or not start_unit(AGENT_UNIT):
        tell_start("bayplan-agent", where)
