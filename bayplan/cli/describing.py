"""How commands take the flags of `flags` from the command line, and what they give to a spec."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bayplan.cli.flags import FLAGS, Flag
from bayplan.model import ServiceSpec

F = TypeVar("F", bound=Callable[..., Any])
#: What was given of each flag, by the flag's key.
Given = Mapping[str, Sequence[str]]


_ENV_FILE = click.option(
    "--env-file",
    "env_files",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="Variables, NAME=VALUE a line, # before a remark.",
)


def spec_flags(name: str) -> Callable[[F], F]:
    """The flags that a command offers; it gets what was given of them as `given`."""
    offered = [flag for flag in FLAGS if name in flag.commands]

    def wrap(function: F) -> F:
        def command(*args: Any, env_files: Sequence[str], **kwargs: Any) -> Any:
            texts = {flag.key: _texts(kwargs.pop(flag.key)) for flag in offered}
            # What is written out counts more than what a file says.
            texts["env_add"] = (*(line for path in env_files for line in _variables(path)), *texts["env_add"])
            return function(*args, given={key: value for key, value in texts.items() if value}, **kwargs)

        command.__name__ = function.__name__
        command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for flag in reversed(offered):
            command = _option(flag)(command)
        return _ENV_FILE(command)  # type: ignore[return-value]

    return wrap


def edited(spec: ServiceSpec, given: Given) -> ServiceSpec:
    """The spec with every flag that was given. Raises click.UsageError that names the flag."""
    for flag in FLAGS:
        if flag.key in given:
            texts = given[flag.key]
            try:
                spec = flag.edit(spec, _with_shell(texts) if "-e" in flag.words else texts)
            except ValueError as error:
                raise _bad(flag, error) from None
    return spec


def _variables(path: str) -> list[str]:
    """The variables of a file, as `docker run --env-file` reads it: nothing is quoted or replaced."""
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"--env-file {path}: {error}", click.get_current_context(silent=True)
        ) from None
    return [line for line in lines if line and not line.startswith("#")]


def _with_shell(variables: Sequence[str]) -> list[str]:
    """Each `NAME` alone with its value here; one that is not set here is left out, as Docker does."""
    return [
        text if "=" in text else f"{text}={os.environ[text]}"
        for text in variables
        if "=" in text or text in os.environ
    ]


def _option(flag: Flag) -> Callable[[Any], Any]:
    if not flag.metavar:
        return click.option(*flag.words, flag.key, is_flag=True, help=flag.help)
    return click.option(*flag.words, flag.key, metavar=flag.metavar, multiple=flag.many, help=flag.help)


def _texts(value: Any) -> tuple[str, ...]:
    """What click gives of a flag, as texts; none for one that was not given."""
    if isinstance(value, bool):
        return ("",) if value else ()
    return (value,) if isinstance(value, str) else tuple(value or ())


def _bad(flag: Flag, error: ValueError) -> click.UsageError:
    hint = getattr(error, "hint", "")
    text = f"{error}; {hint}" if hint and hint not in str(error) else str(error)
    name = next(word for word in flag.words if word.startswith("--"))
    return click.UsageError(f"{name}: {text}", click.get_current_context(silent=True))
