"""`inspect`: JSON as Docker prints it, a Go template, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from bayplan.cli.listing import filled
from bayplan.cli.output import out
from bayplan.render.template import to_json

F = TypeVar("F", bound=Callable[..., Any])


class Inspected(NamedTuple):
    """One thing in both forms: Docker's JSON, and lines for people."""

    json: dict[str, Any]
    lines: list[str]


def inspect_options(function: F) -> F:
    """--format and --pretty."""
    pretty = click.option("--pretty", is_flag=True, help="For people, not as JSON.")
    form = click.option("--format", metavar="FORMAT", help="json, or a Go template such as '{{.ID}}'.")
    return form(pretty(function))


def print_inspected(found: Sequence[Inspected], template: str | None, pretty: bool) -> None:
    if template and pretty:
        raise click.UsageError("--format and --pretty exclude each other", click.get_current_context())
    if template is None and not pretty:
        out(json.dumps([each.json for each in found], indent=4, ensure_ascii=False))
        return
    for index, each in enumerate(found):
        if pretty:
            out("\n".join(["", *each.lines] if index else each.lines))
        elif template == "json":
            out(to_json(each.json))
        else:
            out(filled(template or "", each.json))
