"""`bayplan secret|config create|ls|inspect|rm|update`: small files that the cluster keeps for containers.

Both nouns have the same commands; they differ in what may be shown: a secret's content never is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bayplan.cli import rows
from bayplan.cli.arrival import await_goals, goals_of
from bayplan.cli.commands import Command, command, connect, waiting_options
from bayplan.cli.inspecting import Inspected, inspect_options, print_inspected
from bayplan.cli.listing import ID_CHARS, Layout, listing_options, print_list
from bayplan.cli.output import note, out
from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind
from bayplan.nearest import did_you_mean
from bayplan.render.amounts import size
from bayplan.render.docker_json import file_json
from bayplan.render.pretty import file_lines
from bayplan.views import FileView

if TYPE_CHECKING:
    from bayplan.client import Client

#: Exit code when the user does not want it after all.
EXIT_DECLINED = 1
#: Fewest characters of an id that are taken for one.
ID_PREFIX_CHARS_MIN = 4
#: Stands for standard input.
STDIN = "-"

#: A name for the examples in the help.
_NAME = {FileKind.SECRET: "db_password", FileKind.CONFIG: "nginx.conf"}


def _create(kind: FileKind) -> Command:
    name_shown = _NAME[kind]

    @command(
        "create",
        f"Make a {kind} from a file, or from standard input.",
        f"bayplan {kind} create {name_shown} ./{name_shown}",
        f"pass show {name_shown} | bayplan {kind} create {name_shown} -",
        f"bayplan {kind} create -l team=shop {name_shown} ./{name_shown}",
    )
    @click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
    @click.option("--dry-run", is_flag=True, help="Only tell what would be made.")
    @click.argument("name")
    @click.argument("file", metavar="FILE|-")
    def create(name: str, file: str, labels: tuple[str, ...], dry_run: bool) -> None:
        content = _content(file)
        if dry_run:
            out(f"Would create {kind} {name} ({size(len(content))})")
            return
        with connect() as client:
            made = client.create_file(kind, name, content, dict(map(_label, labels)))
        out(made.digest[:ID_CHARS])

    return create


def _ls(kind: FileKind) -> Command:
    @command(
        "ls",
        f"List the {kind}s, those of stacks included.",
        f"bayplan {kind} ls",
        f"bayplan {kind} ls -f stack=shop",
        f"bayplan {kind} ls --format '{{{{.Name}}}} {{{{.Version}}}} {{{{.UsedBy}}}}'",
    )
    @listing_options
    def ls(layout: Layout) -> None:
        with connect() as client:
            found = client.files(kind)
        now_ms = int(time.time() * 1_000)
        columns = rows.SECRETS if kind is FileKind.SECRET else rows.CONFIGS
        print_list(columns, [rows.file_row(file, now_ms) for file in found], layout)

    return ls


def _inspect(kind: FileKind) -> Command:
    shown = "all of secrets but their content" if kind is FileKind.SECRET else "everything about configs"
    field = "ID" if kind is FileKind.SECRET else "Spec.Data"

    @command(
        "inspect",
        f"Show {shown}, as JSON with Docker's keys.",
        f"bayplan {kind} inspect {_NAME[kind]}",
        f"bayplan {kind} inspect --pretty {_NAME[kind]}",
        f"bayplan {kind} inspect --format '{{{{.{field}}}}}' {_NAME[kind]}",
    )
    @inspect_options
    @click.argument("names", nargs=-1, required=True, metavar=f"{kind.upper()}...")
    def inspect(names: tuple[str, ...], format: str | None, pretty: bool) -> None:  # noqa: A002
        with connect() as client:
            found = [client.file(kind, each.name) for each in _named(client, kind, names)]
        print_inspected([Inspected(file_json(file), file_lines(file)) for file in found], format, pretty)

    return inspect


def _rm(kind: FileKind) -> Command:
    @command(
        "rm",
        f"Remove {kind}s that no service mounts.",
        f"bayplan {kind} rm {_NAME[kind]}",
        f"bayplan {kind} rm -y {_NAME[kind]} another",
        f"bayplan {kind} rm --dry-run {_NAME[kind]}",
    )
    @click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Only tell what would go.")
    @click.argument("names", nargs=-1, required=True, metavar=f"{kind.upper()}...")
    def rm(names: tuple[str, ...], yes: bool, dry_run: bool) -> None:
        with connect() as client:
            found = _named(client, kind, names)
            if dry_run or (not yes and sys.stdin.isatty()):
                for file in found:
                    out(f"Would remove {kind} {file.name}{_used(file)}")
            if dry_run:
                return
            if not yes and sys.stdin.isatty() and not click.confirm("Remove?", err=True):
                note("nothing was removed")
                click.get_current_context().exit(EXIT_DECLINED)
            _remove(client, kind, found)

    return rm


def _update(kind: FileKind) -> Command:
    @command(
        "update",
        f"Give a {kind} new content, and the services that mount it new tasks.",
        f"bayplan {kind} update {_NAME[kind]} ./{_NAME[kind]}",
        f"pass show {_NAME[kind]} | bayplan {kind} update {_NAME[kind]} -",
        f"bayplan {kind} update --dry-run {_NAME[kind]} ./{_NAME[kind]}",
    )
    @click.option("--dry-run", is_flag=True, help="Only tell which services would roll.")
    @waiting_options
    @click.argument("name")
    @click.argument("file", metavar="FILE|-")
    def update(name: str, file: str, dry_run: bool, detach: bool, timeout_ms: int) -> None:
        content = _content(file)
        with connect() as client:
            (before,) = _named(client, kind, (name,))
            if dry_run:
                out(f"Would update {kind} {before.name}{_used(before)}")
                return
            goals = goals_of(client, before.used_by)
            after, rolled = client.update_file(kind, before.name, content)
            same = after.version == before.version
            out(f"{after.name} is unchanged" if same else f"{after.name} is now version {after.version}")
            for service in rolled:
                out(f"Updating service {service}")
            await_goals(client, goals, rolled, detach, timeout_ms)

    return update


def _remove(client: Client, kind: FileKind, found: Iterable[FileView]) -> None:
    """Removes what can be removed, then raises the problems of the others together."""
    problems: list[Problem] = []
    for file in found:
        try:
            client.remove_file(kind, file.name)
        except ProblemError as error:
            problems += error.problems
        else:
            out(file.name)
    if problems:
        raise ProblemError(*problems)


def _named(client: Client, kind: FileKind, names: Iterable[str]) -> list[FileView]:
    """Those of these names, or of these beginnings of an id. Raises ProblemError if one is not there."""
    known = {file.name: file for file in client.files(kind)}
    return [known.get(name) or _of_id(kind, name, known.values()) for name in names]


def _of_id(kind: FileKind, prefix: str, known: Iterable[FileView]) -> FileView:
    found = [file for file in known if file.digest.startswith(prefix)]
    if len(prefix) < ID_PREFIX_CHARS_MIN or not found:
        otherwise = f"`bayplan {kind} ls` shows what there is"
        hint = did_you_mean(prefix, [file.name for file in known], otherwise)
        raise refuse(ProblemKind.NOT_FOUND, f"no {kind} {prefix}", hint=hint)
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise refuse(ProblemKind.NOT_FOUND, f"{prefix} begins the ids of {names}", hint="use the name")
    return found[0]


def _used(file: FileView) -> str:
    return f", mounted by {', '.join(file.used_by)}" if file.used_by else ""


def _content(file: str) -> bytes:
    """The bytes of a file or of standard input. Raises ProblemError."""
    try:
        with sys.stdin.buffer if file == STDIN else Path(file).open("rb") as source:
            content = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise refuse(ProblemKind.INVALID, f"{file} cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise refuse(
            ProblemKind.INVALID,
            f"{'standard input' if file == STDIN else file} is larger than {size(FILE_BYTES_MAX)}",
            hint="configs and secrets are small; put larger files into the image or on a volume",
        )
    return content


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"--label {text!r}: write KEY=VALUE", click.get_current_context())
    return key, value


secret_create, config_create = _create(FileKind.SECRET), _create(FileKind.CONFIG)
secret_ls, config_ls = _ls(FileKind.SECRET), _ls(FileKind.CONFIG)
secret_inspect, config_inspect = _inspect(FileKind.SECRET), _inspect(FileKind.CONFIG)
secret_rm, config_rm = _rm(FileKind.SECRET), _rm(FileKind.CONFIG)
secret_update, config_update = _update(FileKind.SECRET), _update(FileKind.CONFIG)
