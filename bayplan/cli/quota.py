"""`bayplan stack quota set|ls|rm`."""

from __future__ import annotations

import click

from bayplan.cli import rows
from bayplan.cli.commands import Amount, Lazy, LazyGroup, command, connect, whole
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.output import note, out
from bayplan.model import Resources
from bayplan.units import parse_bytes, parse_cpus

_HERE = "bayplan.cli.quota"

quota = LazyGroup(
    "quota",
    help="Limit what all services of a stack together may set aside.",
    examples=(
        "bayplan stack quota set --cpus 8 --memory 16g --tasks 50 shop",
        "bayplan stack quota ls",
        "bayplan stack quota rm shop",
    ),
    lazy={
        "set": Lazy(f"{_HERE}:set_quota", "Limit a stack; what runs already stays"),
        "ls": Lazy(f"{_HERE}:ls", "List the quotas with what is used of them"),
        "rm": Lazy(f"{_HERE}:rm", "Take the quotas of stacks away"),
    },
)


@command(
    "set",
    "Limit what all services of a stack together may set aside. What runs already stays; what goes beyond it "
    "is refused. An amount that is not named has no limit.",
    "bayplan stack quota set --cpus 8 --memory 16g shop",
    "bayplan stack quota set --tasks 50 shop",
    "bayplan stack quota set --cpus 8 --memory 16g --disk 100g --pids 5000 --tasks 50 shop",
)
@click.option("--cpus", type=Amount(parse_cpus), default=0, metavar="N", help="CPUs, such as 2.5.")
@click.option("--memory", type=Amount(parse_bytes), default=0, metavar="SIZE", help="Memory, such as 16g.")
@click.option("--disk", type=Amount(parse_bytes), default=0, metavar="SIZE", help="Disk, such as 100g.")
@click.option("--pids", type=whole(), default=0, metavar="N", help="Processes.")
@click.option("--tasks", type=whole(), default=0, metavar="N", help="Tasks.")
@click.argument("stack")
def set_quota(stack: str, cpus: int, memory: int, disk: int, pids: int, tasks: int) -> None:
    limit = Resources(cpu_millis=cpus, memory_bytes=memory, disk_bytes=disk, pids=pids)
    with connect() as client:
        row = rows.quota_row(client.set_quota(stack, limit, tasks))
    used = ", ".join(
        f"{column.heading} {row[column.key]}" for column in rows.QUOTAS[1:] if " of " in row[column.key]
    )
    note(f"{stack} uses now: {used}")


@command(
    "ls",
    "List the quotas with what is used of them.",
    "bayplan stack quota ls",
    "bayplan stack quota ls --format json",
    "bayplan stack quota ls --format '{{.Stack}} {{.Memory}}'",
)
@listing_options
def ls(layout: Layout) -> None:
    with connect() as client:
        print_list(rows.QUOTAS, [rows.quota_row(each) for each in client.quotas()], layout, "Stack")


@command(
    "rm",
    "Take the quotas of stacks away.",
    "bayplan stack quota rm shop",
    "bayplan stack quota rm shop blog",
    "bayplan stack quota ls -q | xargs bayplan stack quota rm",
)
@click.argument("stacks", nargs=-1, required=True, metavar="STACK...")
def rm(stacks: tuple[str, ...]) -> None:
    with connect() as client:
        for stack in stacks:
            client.remove_quota(stack)
            out(stack)
