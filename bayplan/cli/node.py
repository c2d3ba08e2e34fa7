"""`bayplan node ls|ps|inspect`."""

from __future__ import annotations

import time

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.inspecting import Inspected, inspect_options, print_inspected
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.names import offering
from bayplan.render.docker_json import node_json
from bayplan.render.pretty import node_lines
from bayplan.views import TaskView


@command(
    "ls",
    "List the nodes; CPU and MEM are reserved/all.",
    "bayplan node ls",
    "bayplan node ls -f status=ready",
    "bayplan node ls --format '{{.Hostname}} {{.CPU}}'",
)
@listing_options
def ls(layout: Layout) -> None:
    now_ms = int(time.time() * 1_000)
    with connect() as client:
        print_list(rows.NODES, [rows.node_row(node, now_ms) for node in client.nodes()], layout)


@command(
    "inspect",
    "Show everything about nodes, as JSON with Docker's keys.",
    "bayplan node inspect n1",
    "bayplan node inspect --pretty n1",
    "bayplan node inspect --format '{{.Status.Addr}}' n1",
)
@inspect_options
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def inspect(nodes: tuple[str, ...], format: str | None, pretty: bool) -> None:  # noqa: A002
    found = []
    with connect() as client:
        for name in nodes:
            with offering(name, client, "node"):
                view = client.node(name)
            found.append(Inspected(node_json(view), node_lines(view)))
    print_inspected(found, format, pretty)


@command(
    "ps",
    "List the tasks of nodes.",
    "bayplan node ps n1",
    "bayplan node ps -f desired-state=running n1 n2",
    "bayplan node ps --format '{{.Name}} {{.CurrentState}}' n1",
)
@listing_options
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def ps(nodes: tuple[str, ...], layout: Layout) -> None:
    with connect() as client:
        tasks: list[TaskView] = []
        for name in nodes:
            with offering(name, client, "node"):
                tasks += client.tasks(node=client.node(name).name)
        services = client.services()
    print_list(rows.TASKS, rows.task_rows(tasks, services, int(time.time() * 1_000)), layout)
