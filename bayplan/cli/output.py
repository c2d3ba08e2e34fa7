"""The one place that prints errors, warnings and hints, and that decides about colour."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

import click

from bayplan.render.printable import printable

if TYPE_CHECKING:
    from bayplan.errors import ProblemError

_COLOURS = {"error": "red", "warning": "yellow", "hint": "cyan", "why": "cyan"}

#: What stands beside a word of state, so that colour is never all that tells it.
GLYPHS = {
    "ready": "✓",
    "healthy": "✓",
    "active": "✓",
    "done": "✓",
    "complete": "✓",
    "updating": "↻",
    "running": "↻",
    "waiting": "↻",
    "rolling": "↻",
    "rolling back": "↻",
    "starting": "↻",
    "removing": "↻",
    "degraded": "!",
    "suspect": "!",
    "unknown": "!",
    "pause": "!",
    "paused": "!",
    "rollback paused": "!",
    "awaiting promotion": "!",
    "canary": "!",
    "held": "!",
    "shaky": "!",
    "engine silent": "!",
    "draining": "↻",
    "scheduled": "✓",
    "fits": "✓",
    "drain": "!",
    "down": "✗",
    "unhealthy": "✗",
    "rolled back": "✗",
    "no": "✗",
}
_GLYPH_COLOURS = {"✓": "green", "↻": "cyan", "!": "yellow", "✗": "red"}


def coloured(stream: TextIO) -> bool:
    """Whether to use colour there: a terminal, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def out(text: str = "") -> None:
    """One line of data."""
    click.echo(text, color=coloured(sys.stdout))


def note(text: str) -> None:
    """One line for people beside the data."""
    click.echo(_styled(text), err=True, color=coloured(sys.stderr))


def marked(word: str) -> str:
    """A word of state behind its glyph; `out` takes the colour away where there is none."""
    glyph = GLYPHS.get(word.lower())
    return f"{click.style(glyph, fg=_GLYPH_COLOURS[glyph])} {word}" if glyph else word


def print_problems(error: ProblemError) -> None:
    for problem in error.problems:
        for line in problem.lines():
            note(printable(line))


def print_usage_error(error: click.UsageError) -> None:
    """A wrong command line, in the same form as every other error."""
    note(f"error: {error.format_message()}")
    if error.ctx is not None:
        note(f"hint: {error.ctx.command_path} --help")


def _styled(text: str) -> str:
    word, colon, rest = text.partition(":")
    if not colon or word not in _COLOURS:
        return text
    return click.style(f"{word}:", fg=_COLOURS[word], bold=word == "error") + rest
