"""A small language for the tests of the loader's front: texts in, one tree as Python values out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bayplan.compose.include import model
from bayplan.compose.interpolate import Variables
from bayplan.compose.nodes import List, Map, Node, Override, Reset, Scalar, Source, is_null
from bayplan.compose.opening import Opening, Scope
from bayplan.compose.project import Sent
from bayplan.compose.report import Report
from bayplan.errors import ProblemError, ProblemKind

FOLDER = Path("/srv/app")


def tree(*texts: str, files: dict[str, str] | None = None, **environment: str) -> Map:
    """The files `a.yml`, `b.yml` and so on as one tree; `files` lie beside them."""
    beside = Sent({FOLDER / name: dedent(text).encode() for name, text in (files or {}).items()})
    report = Report()
    opening = Opening(beside, FOLDER, "", report)
    sources = [
        Source(f"{letter}.yml", dedent(text).encode())
        for letter, text in zip("abcdefgh", texts, strict=False)
    ]
    parsed = [opening.parsed(source) for source in sources]
    done = model(parsed, Scope(FOLDER, Variables(environment)), opening)
    report.finish()
    return done


def said(*texts: str, files: dict[str, str] | None = None, **environment: str) -> Any:
    """As `tree`, as Python values; every single value is its text, nothing is None."""
    return plain(tree(*texts, files=files, **environment))


def web(*texts: str, files: dict[str, str] | None = None, **environment: str) -> Any:
    """The service `web` of such files."""
    return said(*texts, files=files, **environment)["services"]["web"]


def of_web(*bodies: str) -> Any:
    """The service `web` of files that say nothing else; each text is its body, on one line."""
    return web(*(f"services: {{web: {body}}}" for body in bodies))


def refusal(*texts: str, files: dict[str, str] | None = None, **environment: str) -> list[str]:
    """The lines of the error that such files give; fails if they give none."""
    with pytest.raises(ProblemError) as caught:
        tree(*texts, files=files, **environment)
    assert all(problem.kind is ProblemKind.INVALID for problem in caught.value.problems)
    return [line for problem in caught.value.problems for line in problem.lines()]


def plain(node: Node) -> Any:
    """A node as Python values; marks that are still there as `!reset` and a pair."""
    match node:
        case Map(entries=entries):
            return {name: plain(entry.value) for name, entry in entries.items()}
        case List(items=items):
            return [plain(item) for item in items]
        case Reset():
            return "!reset"
        case Override(value=value):
            return ("!override", plain(value))
        case Scalar(text=text):
            return None if is_null(node) else text
        case _:
            raise AssertionError(node)
