"""`bayplan service ls|ps|inspect`."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.inspecting import Inspected, inspect_options, print_inspected
from bayplan.cli.listing import Layout, listing_options, print_list
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import note
from bayplan.client import Client
from bayplan.render.amounts import until
from bayplan.render.docker_json import service_json
from bayplan.render.pretty import service_lines
from bayplan.views import ServiceView


@command(
    "ls",
    "List the services.",
    "bayplan service ls",
    "bayplan service ls -f health=degraded",
    "bayplan service ls --format '{{.Name}} {{.Replicas}}'",
)
@listing_options
def ls(layout: Layout) -> None:
    with connect() as client:
        print_list(
            rows.SERVICES, [rows.service_row(service, _now_ms()) for service in client.services()], layout
        )


@command(
    "ps",
    "List the tasks of services, with those that ended and why.",
    "bayplan service ps shop_web",
    "bayplan service ps -f node=n1 shop_web shop_api",
    "bayplan service ps --format '{{.Name}} {{.Error}}' shop/web",
)
@listing_options
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
def ps(services: tuple[str, ...], layout: Layout) -> None:
    with connect() as client:
        found = [_service(client, full_name(service)) for service in services]
        tasks = [task for view in found for task in client.tasks(service=view.name)]
    print_list(rows.TASKS, rows.task_rows(tasks, found, _now_ms()), layout)
    tell_waiting(found)


@command(
    "inspect",
    "Show everything about services, as JSON with Docker's keys.",
    "bayplan service inspect shop_web",
    "bayplan service inspect --pretty shop_web",
    "bayplan service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' shop_web",
)
@inspect_options
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
def inspect(services: tuple[str, ...], format: str | None, pretty: bool) -> None:  # noqa: A002
    found = []
    with connect() as client:
        for name in map(full_name, services):
            with offering(name, client, "service"):
                view, spec = client.service(name)
            networks = client.networks() if spec.container.networks else ()
            lines = service_lines(view, spec, networks)
            found.append(Inspected(service_json(view, spec, networks), lines))
    print_inspected(found, format, pretty)


def _service(client: Client, name: str) -> ServiceView:
    with offering(name, client, "service"):
        return client.service(name)[0]


def _now_ms() -> int:
    return int(time.time() * 1_000)


def tell_waiting(services: Iterable[ServiceView]) -> None:
    """Says of each service that is held back what it waits for, and of each schedule when it is due."""
    for service in services:
        if service.waits_for:
            note(f"{service.name} waits for {service.waits_for}")
        if service.next_run_ms:
            note(f"{service.name} runs {until(service.next_run_ms, _now_ms())}")
