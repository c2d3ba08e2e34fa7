"""Lists: a table, JSON lines, a Go template, or the names alone, filtered the same way everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from bayplan.cli.output import marked, out
from bayplan.render.table import table
from bayplan.render.template import TemplateError, render, to_json

F = TypeVar("F", bound=Callable[..., Any])

#: Characters of an id in a table, as in Docker's.
ID_CHARS = 12


class Column(NamedTuple):
    """A column: its heading, its key in JSON and templates, and whether it is a word of state."""

    heading: str
    key: str
    state: bool = False


class Layout(NamedTuple):
    """How the user wants a list."""

    format: str
    quiet: bool
    no_trunc: bool
    filters: tuple[str, ...]


Row = dict[str, str]


def listing_options(function: F) -> F:
    """--format, -q, --no-trunc and -f; the command gets them as `layout`."""

    def command(*args: Any, format: str, quiet: bool, no_trunc: bool, filters: Any, **kwargs: Any) -> Any:  # noqa: A002
        return function(*args, layout=Layout(format, quiet, no_trunc, tuple(filters)), **kwargs)

    command.__name__ = function.__name__
    command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    options = (
        click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only such rows."),
        click.option("--no-trunc", is_flag=True, help="Whole ids."),
        click.option("-q", "--quiet", is_flag=True, help="Only the ids, one a line."),
        click.option(
            "--format",
            default="table",
            metavar="FORMAT",
            help="table, json (an object a line), or a Go template such as '{{.Name}}'.",
        ),
    )
    for option in options:
        command = option(command)
    return command  # type: ignore[return-value]


def print_list(columns: Sequence[Column], rows: Sequence[Row], layout: Layout, quiet_key: str = "ID") -> None:
    """Prints the rows as asked. A row holds every column's key and may hold more."""
    kept = [row for row in rows if all(_matches(row, item) for item in layout.filters)]
    if not layout.no_trunc:
        kept = [{**row, "ID": row["ID"][:ID_CHARS]} if "ID" in row else row for row in kept]
    if layout.quiet:
        lines = [row[quiet_key].strip() for row in kept]
    elif layout.format == "table":
        lines = table([column.heading for column in columns], [_cells(columns, row) for row in kept])
    elif layout.format == "json":
        lines = [to_json(row) for row in kept]
    else:
        lines = _filled(layout.format, columns, kept)
    for line in lines:
        out(line)


def filled(template: str, value: dict[str, Any]) -> str:
    """The template filled in, a bad template being a usage error."""
    try:
        return render(template, value)
    except TemplateError as error:
        raise click.UsageError(f"--format: {error}", click.get_current_context(silent=True)) from None


def _filled(template: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """`table TEMPLATE` has headings and columns, as in Docker; any other template is a line a row."""
    if not template.startswith("table "):
        return [filled(template, row) for row in rows]
    body = template.removeprefix("table ")
    headings: dict[str, Any] = {column.key: column.heading for column in columns}
    lines = [filled(body, row).split("\t") for row in [headings, *rows]]
    return table(lines[0], lines[1:])


def _cells(columns: Sequence[Column], row: Row) -> list[str]:
    return [marked(row[column.key]) if column.state else row[column.key] for column in columns]


def _matches(row: Row, item: str) -> bool:
    """`key=value`: ids and names match from their beginning, all else whole, as in Docker."""
    key, equals, value = item.partition("=")
    name = next((name for name in row if name.lower() == key.replace("-", "").lower()), None)
    if not equals or name is None:
        known = ", ".join(sorted(row))
        raise click.UsageError(
            f"--filter {item!r}: write KEY=VALUE with one of {known}", click.get_current_context()
        )
    if name in ("ID", "Name"):
        return row[name].removeprefix(" \\_ ").startswith(value)
    return row[name].lower() == value.lower()
