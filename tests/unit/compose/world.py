"""A small language for the loader's tests: text in, a service or the lines of an error out."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from bayplan.compose import Loaded, Source, load
from bayplan.compose.project import Sent
from bayplan.errors import ProblemError, ProblemKind
from bayplan.model import ServiceSpec

FILE = "compose.yml"
FOLDER = Path("/srv/app")


def loaded(text: str, files: dict[str, str] | None = None, /, **environment: str) -> Loaded:
    """Loads a file as the stack `shop`; `files` lie beside it."""
    beside = Sent({FOLDER / name: dedent(content).encode() for name, content in (files or {}).items()})
    return load("shop", [Source(FILE, dedent(text).encode())], environment, FOLDER, project=beside)


def service(body: str, files: dict[str, str] | None = None, /, **environment: str) -> ServiceSpec:
    """The service `web` of a file; its body begins in line 4."""
    return loaded(wrapped(body), files, **environment).stack.services[0]


def wrapped(body: str, uses: str = "") -> str:
    """A file around the body of the service `web`; the body begins in line 4.

    The volumes `data` and `old` and the network `back` are declared where the body or `uses` names them.
    """
    head = "services:\n  web:\n    image: nginx\n"
    declared = {"data": "data: ", "old": "old: {external: true, name: legacy}", "back": "back: "}
    used = {
        name: text for name, text in declared.items() if re.search(rf"(?<![./\w]){name}\b", f"{body} {uses}")
    }
    volumes = ", ".join(used[name] for name in ("data", "old") if name in used)
    tail = f"volumes: {{{volumes}}}\nnetworks: {{{used.get('back', '')}}}\n"
    return head + indent(dedent(body).strip("\n"), "    ") + "\n" + tail


def refusal(text: str, files: dict[str, str] | None = None, /, **environment: str) -> list[str]:
    """The lines of the error that a file gives; fails if it gives none or one without its kind."""
    with pytest.raises(ProblemError) as caught:
        loaded(text, files, **environment)
    assert all(problem.kind is ProblemKind.INVALID for problem in caught.value.problems)
    return [line for problem in caught.value.problems for line in problem.lines()]


def service_refusal(body: str, files: dict[str, str] | None = None, /, **environment: str) -> list[str]:
    """As `refusal`, for the body of a service; the body begins in line 4."""
    return refusal(wrapped(body, uses="data old back"), files, **environment)


def nested(path: str, inner: str) -> str:
    """The mapping `{inner}` at a path of the schema's tables; `*` becomes the name a, `[]` a list of one."""
    text = f"{{{inner}}}"
    for step in reversed([step.replace("*", "a") for step in path.split(".") if step]):
        name, of_list, _ = step.partition("[]")
        text = f"{{{name}: [{text}]}}" if of_list else f"{{{name}: {text}}}"
    return text
