"""`bayplan version`."""

from __future__ import annotations

import platform

import click

from bayplan import __version__
from bayplan.cli.commands import command, connect
from bayplan.cli.listing import filled
from bayplan.cli.output import out
from bayplan.render.template import to_json


@command(
    "version",
    "Show the versions of client and controller.",
    "bayplan version",
    "bayplan --version",
    "bayplan version --format '{{.Server.Version}}'",
)
@click.option(
    "--format", "template", metavar="FORMAT", help="json, or a Go template such as '{{.Client.Version}}'."
)
def version(template: str | None) -> None:
    client = {"Version": __version__, "Python": platform.python_version()}
    if template is None:
        _print("Client", client)
    with connect() as connection:
        now = connection.status()
    server = {"Version": now.controller_version, "Epoch": str(now.epoch), "Cluster": now.cluster_id}
    if template is None:
        _print("Server", server)
    elif template == "json":
        out(to_json({"Client": client, "Server": server}))
    else:
        out(filled(template, {"Client": client, "Server": server}))


def _print(title: str, fields: dict[str, str]) -> None:
    out(f"{title}:")
    for key, value in fields.items():
        out(f" {key + ':':<9} {value}")
