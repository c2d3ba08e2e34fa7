"""`bayplan stack config|export`: a stack as one YAML file, from compose files or out of the cluster."""

from __future__ import annotations

import click
from msgspec.structs import replace

from bayplan.cli.commands import command, connect, whole
from bayplan.cli.given import Given, compose_options, read
from bayplan.cli.names import offering
from bayplan.cli.output import out
from bayplan.client import Client
from bayplan.model import FileKind, StackSpec


@command(
    "config",
    "Print what compose files say once all is resolved; needs no controller.",
    "bayplan stack config -c docker-compose.yml shop",
    "bayplan stack config -c docker-compose.yml -c production.yml --profile debug shop",
    "bayplan stack config -c docker-compose.yml --strict shop >/dev/null && echo good",
)
@compose_options()
@click.argument("stack", required=False, default="")
def config(stack: str, given: Given) -> None:
    from bayplan.render.compose_yaml import render

    out(render(read(given, stack).stack).rstrip("\n"))


@command(
    "export",
    "Print a stack of the cluster as a compose file; contents of secrets stay in the cluster.",
    "bayplan stack export shop > docker-compose.yml",
    "bayplan stack export --revision 3 shop",
    "bayplan stack export shop | bayplan plan -c - shop",
)
@click.option("--revision", type=whole(1), metavar="N", help="An older revision.")
@click.argument("stack")
def export(stack: str, revision: int | None) -> None:
    from bayplan.render.compose_yaml import render

    with connect() as client, offering(stack, client, "stack"):
        spec, _number = client.get_stack(stack, revision or 0)
        if revision is None:
            spec = _with_contents(client, spec)
    out(render(spec, contents=revision is None).rstrip("\n"))


def _with_contents(client: Client, spec: StackSpec) -> StackSpec:
    """The current stack with the contents of its configs; older contents are not shown."""
    own = [file for file in spec.files if file.kind is FileKind.CONFIG and not file.external]
    contents = {file.name: client.file(file.kind, file.name).content or b"" for file in own}
    files = (replace(file, content=contents[file.name]) if file in own else file for file in spec.files)
    return replace(spec, files=tuple(files))
