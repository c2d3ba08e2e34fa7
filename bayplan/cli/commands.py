"""What all commands are made of: lazy groups, help with examples, the connection, common options."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from bayplan.client import Client

F = TypeVar("F", bound=Callable[..., Any])
#: Most of what is counted on a command line.
COUNT_MAX = 2**31 - 1


class Lazy(NamedTuple):
    """A command that is imported when it is used: where it is, and its line in the help."""

    where: str
    help: str


class Command(click.Command):
    """A command whose help is one line, examples, then flags."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)
        self.format_options(ctx, formatter)


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it runs or shows its own help."""

    def __init__(
        self, *args: Any, lazy: Mapping[str, Lazy], examples: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **{"no_args_is_help": True, **kwargs})
        self.lazy = lazy
        self.examples = examples

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name].where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.lazy and not name.startswith("-"):
            from bayplan.nearest import nearest

            near = nearest(name, self.lazy)
            hint = f": did you mean `{ctx.command_path} {near}`?" if near else ""
            raise click.UsageError(f"`{ctx.command_path}` has no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in self.lazy.items()])
        click.Command.format_options(self, ctx, formatter)


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(
    name: str,
    help: str,  # noqa: A002
    *examples: str,
    takes_command: bool = False,
) -> Callable[[Callable[..., Any]], Command]:
    """Makes a Command of a function. `takes_command`: what follows its first argument is a container's."""
    settings = {"allow_interspersed_args": not takes_command}

    def wrap(function: Callable[..., Any]) -> Command:
        make = click.command(
            name, cls=Command, help=help, short_help=help, examples=examples, context_settings=settings
        )
        return make(function)

    return wrap


def connect() -> Client:
    """The connection that the command line asks for: -H, BAYPLAN_HOST, or the default socket."""
    from bayplan.client import DEFAULT_HOST, Client

    chosen = click.get_current_context().find_root().params.get("host")
    return Client(chosen or os.environ.get("BAYPLAN_HOST") or DEFAULT_HOST)


def whole(least: int = 0) -> click.IntRange:
    """A whole number that every field of the wire holds."""
    return click.IntRange(least, COUNT_MAX)


class Amount(click.ParamType[int]):
    """Text of an amount, such as 16g, to a number; 0 is none."""

    def __init__(self, parse: Callable[[str], int]) -> None:
        self.name, self._parse = "amount", parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[int]):
    """A duration such as 90s, 10m or 1h30m, in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from bayplan.units import parse_duration_ms

        if isinstance(value, int):
            return value
        try:
            return parse_duration_ms(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def timeout_option(function: F) -> F:
    """--timeout, for commands that wait."""
    timeout = click.option(
        "--timeout",
        "timeout_ms",
        type=Duration(),
        default="5m",
        show_default=True,
        help="Give up after so long without any progress.",
    )
    return timeout(function)


class Moment(click.ParamType[int]):
    """A moment such as 10m (ago), 2026-01-31T12:00:00Z or Unix seconds, in Unix milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from bayplan.render.amounts import parse_moment_ms

        if isinstance(value, int):
            return value
        try:
            return parse_moment_ms(value, int(time.time() * 1_000))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def since_option(function: F) -> F:
    """--since, for what has happened."""
    text = "Only since then: 10m, 2026-01-31T12:00:00Z or Unix seconds."
    return click.option("--since", "since_ms", type=Moment(), default=0, metavar="TIME", help=text)(function)


def waiting_options(function: F) -> F:
    """-d and --timeout, for commands that wait until the cluster is as it was asked to be."""
    detach = click.option("-d", "--detach", is_flag=True, help="Do not wait for the tasks.")
    return detach(timeout_option(function))
