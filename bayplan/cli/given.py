"""The compose files that a command line names: their options, reading them, and the same words again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bayplan.cli.output import note

if TYPE_CHECKING:
    from bayplan.compose import Loaded

F = TypeVar("F", bound=Callable[..., Any])

#: Warnings printed; the rest is counted.
WARNINGS_MAX = 20


class Given(NamedTuple):
    """Which files describe the stack, and how they are read."""

    paths: tuple[str, ...]
    env_files: tuple[str, ...]
    profiles: tuple[str, ...]
    project_directory: str | None
    strict: bool = False
    build: bool = False

    def words(self) -> str:
        """The options as they were given, for a command that the user shall run next."""
        pairs = [("-c", path) for path in self.paths]
        pairs += [("--env-file", path) for path in self.env_files]
        pairs += [("--profile", profile) for profile in self.profiles]
        pairs += [("--project-directory", self.project_directory)] if self.project_directory else []
        words = [word for pair in pairs for word in pair]
        return shlex.join([*words, "--build"] if self.build else words)


def compose_options(required: bool = True) -> Callable[[F], F]:
    """-c, --env-file, --profile, --project-directory, --strict, --build; the command gets them as `given`."""

    def wrap(function: F) -> F:
        def command(
            *args: Any, paths: Any, env_files: Any, profiles: Any, project_directory: str | None,
            strict: bool, build: bool, **kwargs: Any,
        ) -> Any:  # fmt: skip
            given = Given(tuple(paths), tuple(env_files), tuple(profiles), project_directory, strict, build)
            return function(*args, given=given, **kwargs)

        command.__name__ = function.__name__
        command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for option in _options(required):
            command = option(command)
        return command  # type: ignore[return-value]

    return wrap


def _options(required: bool) -> Sequence[Callable[[Any], Any]]:
    return (
        click.option("--build", is_flag=True, help="Images of `build` count as built; deploy builds them."),
        click.option("--strict", is_flag=True, help="Warnings are errors."),
        click.option("--project-directory", metavar="DIR", help="Where relative paths start."),
        click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Enable a profile."),
        click.option(
            "--env-file", "env_files", multiple=True, metavar="FILE",
            help="Variables for ${NAME}, instead of .env in the project folder; the last wins.",
        ),
        click.option(
            "-c", "--compose-file", "paths", multiple=True, required=required, metavar="FILE",
            help="A compose file, or - for standard input; later files are merged into earlier ones.",
        ),
    )  # fmt: skip


def read(given: Given, stack: str) -> Loaded:
    """What the files describe. Tells their warnings; with --strict these are errors. Raises ProblemError."""
    from bayplan import compose

    loaded = compose.read(
        stack,
        given.paths,
        env_files=given.env_files,
        profiles=given.profiles,
        project_directory=given.project_directory,
        build=given.build,
    )
    tell_warnings(loaded.warnings, given.strict)
    return loaded


def tell_warnings(warnings: Sequence[str], strict: bool) -> None:
    """Prints the warnings. Raises ProblemError where they are errors."""
    if strict and warnings:
        raise _strictly(warnings)
    for warning in warnings[:WARNINGS_MAX]:
        note(f"warning: {warning}")
    if len(warnings) > WARNINGS_MAX:
        note(f"warning: and {len(warnings) - WARNINGS_MAX} more; `bayplan plan --json` has all")


def _strictly(warnings: Sequence[str]) -> Exception:
    from bayplan.errors import Problem, ProblemError, ProblemKind

    more = [f"and {len(warnings) - WARNINGS_MAX} more"] if len(warnings) > WARNINGS_MAX else []
    return ProblemError(
        *(
            Problem(kind=ProblemKind.INVALID, summary=text)
            for text in (*warnings[:WARNINGS_MAX], *more, "--strict: warnings are errors; nothing was sent")
        )
    )
