"""`bayplan plan`: what a deploy would do now, decided by the controller, without doing it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from bayplan.cli.commands import command, connect
from bayplan.cli.given import Given, compose_options, read, tell_warnings
from bayplan.cli.output import coloured, note, out, print_problems
from bayplan.errors import ProblemError, ProblemKind
from bayplan.render.plan import SIGNS, is_changing, network_changes, plan_json, plan_lines, summary_line
from bayplan.render.template import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayplan.views import Plan, ServiceAction

#: Exit codes (docs/cli.md): there are changes, something cannot be placed, a deploy would be refused.
EXIT_CHANGES, EXIT_UNPLACEABLE, EXIT_REFUSED = 2, 5, 1

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "=": "bright_black"}
_SIGNED = re.compile(r"(\s*)([-+~=]) ")


@command(
    "plan",
    "Show what a deploy would do, and why; change nothing.",
    "bayplan plan -c docker-compose.yml shop",
    "bayplan plan -c docker-compose.yml --detailed-exitcode shop || [ $? = 2 ]",
    "bayplan plan -c docker-compose.yml --json shop | jq .services",
)
@compose_options()
@click.option("--prune", is_flag=True, help="Remove services of the stack that the files do not name.")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 when something would change.")
@click.option("--json", "as_json", is_flag=True, help="The whole plan as one object.")
@click.option("--verbose", "--no-trunc", "whole", is_flag=True, help="Every service, field and task.")
@click.argument("stack")
@click.pass_context
def plan(
    ctx: click.Context,
    /,
    stack: str,
    given: Given,
    prune: bool,
    detailed_exitcode: bool,
    as_json: bool,
    whole: bool,
) -> None:
    loaded = read(given, stack)
    with connect() as client:
        found = client.plan(loaded.stack, prune)
        networks = network_changes(loaded.stack, found, client.networks())
    tell_warnings([text for text in found.warnings if text not in loaded.warnings], given.strict)
    if as_json:
        warnings = tuple(dict.fromkeys((*loaded.warnings, *found.warnings)))
        out(to_json({**plan_json(found), "warnings": warnings}))
    else:
        print_plan(found, whole, networks)
    if found.problems:
        ctx.exit(tell_problems(found))
    if not as_json and is_changing(found):
        flags = f"{given.words()}{' --prune' if prune else ''}"
        note(f"hint: bayplan stack deploy {flags} --check-index {found.index} {found.stack}")
    if detailed_exitcode and is_changing(found):
        ctx.exit(EXIT_CHANGES)


def print_plan(plan: Plan, whole: bool = False, networks: Sequence[tuple[ServiceAction, str]] = ()) -> None:
    """The plan and its summary, to stdout."""
    for action, name in networks if is_changing(plan) else ():
        out(painted(f"{SIGNS[action]} {action} network {name}"))
    for line in plan_lines(plan, whole):
        out(painted(line))
    out(summary_line(plan))


def tell_problems(plan: Plan) -> int:
    """Prints why a deploy would be refused; the exit code."""
    print_problems(ProblemError(*plan.problems))
    unplaceable = any(problem.kind is ProblemKind.UNPLACEABLE for problem in plan.problems)
    return EXIT_UNPLACEABLE if unplaceable else EXIT_REFUSED


def painted(line: str) -> str:
    """A line of a plan with its sign in colour, where there is colour."""
    signed = _SIGNED.match(line)
    if signed is None or not coloured(sys.stdout):
        return line
    indent, sign = signed.groups()
    if indent:
        return f"{indent}{click.style(sign, fg=_COLOURS[sign])}{line[signed.end() - 1 :]}"
    return click.style(line, fg=_COLOURS[sign])
