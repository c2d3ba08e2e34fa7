"""What is asked over HTTP and what is answered, as values: the surfaces are functions from one to the other.

Nothing here knows sockets or waits: `http.py` does, and `quick.py`.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from bayplan.directory import Directory, Listing, Origin
from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.units import parse_duration_ms

#: Parameters of one query.
PARAMETERS_MAX = 64
#: A query with an index waits this long for a change, in milliseconds, if it says nothing else, and at most
#: (https://developer.hashicorp.com/consul/api-docs/features/blocking).
WAIT_MS_USUAL, WAIT_MS_MAX = 300_000, 600_000
#: Indexes are below this: 64 bits.
INDEX_END = 2**64

JSON, TEXT = "application/json", "text/plain; charset=utf-8"

#: While the controller starts, and before it was ever heard.
NOT_KNOWN_YET = Problem(
    kind=ProblemKind.UNREACHABLE,
    summary="what is asked for is not known yet, and may exist all the same",
    hint="the controller has just started, or was never heard: try again in a few seconds",
)

_TRUE, _FALSE = ("", "1", "t", "true"), ("0", "f", "false")


class Answer(NamedTuple):
    """A response."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class View(NamedTuple):
    """What answers are made of."""

    directory: Directory
    origin: Origin


class Asked(NamedTuple):
    """A request: the parts of its path, decoded, its parameters, and what it accepts."""

    path: tuple[str, ...]
    query: dict[str, list[str]]
    accept: str = ""

    @classmethod
    def of(cls, target: str, accept: str = "") -> Asked:
        """The request of `/path?query`. Raises ProblemError (INVALID)."""
        path, _, query = target.partition("?")
        try:
            pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
        except ValueError as error:
            raise invalid(f"more than {PARAMETERS_MAX} parameters") from error
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name, []).append(value)
        parts = path.removeprefix("/").removesuffix("/").split("/")
        return cls(tuple([urllib.parse.unquote(part) for part in parts]), found, accept)

    def first(self, name: str) -> str:
        """A parameter's first value; empty when it is not there."""
        return self.query.get(name, [""])[0]

    def flag(self, name: str) -> bool:
        """Whether a flag is set: its name suffices, `=false` unsets it. Raises ProblemError (INVALID)."""
        if name not in self.query:
            return False
        value = self.first(name).lower()
        if value not in (*_TRUE, *_FALSE):
            raise invalid(f"Invalid value for ?{name}")
        return value in _TRUE

    def number(self, name: str) -> int:
        """A number from 0; 0 when it is not there. Raises ProblemError (INVALID)."""
        text = self.first(name)
        if not text:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < INDEX_END):
            raise invalid(f"Invalid {name}", hint=f"{name} is a whole number from 0")
        return int(text)

    def wait_ms(self) -> int:
        """How long to wait for a change. Raises ProblemError (INVALID)."""
        try:
            wait_ms = parse_duration_ms(self.first("wait") or "0")
        except ValueError as error:
            raise invalid("Invalid wait time", hint=str(error)) from error
        return min(wait_ms or WAIT_MS_USUAL, WAIT_MS_MAX)

    def accepts(self, kind: str) -> bool:
        """Whether the caller names this kind of content, such as "json"."""
        return kind in self.accept.lower()


class Read(NamedTuple):
    """A request that is understood. `names` are the services (stack, service) of which it may speak, none for
    all of them. `after` an index (0: none) its answer waits until one of them has changed. `kept`: it is the
    same as long as those listings and the origin are, and worth keeping. `nodes`: it speaks of them, too.
    `own`: it speaks of the daemon that answers, which is always known."""

    answer: Callable[[View], Answer]
    names: tuple[tuple[str, str], ...] = ()
    after: int = 0
    wait_ms: int = WAIT_MS_USUAL
    kept: bool = False
    nodes: bool = False
    own: bool = False

    def listings(self, directory: Directory) -> tuple[Listing | None, ...]:
        """The listings of its names."""
        return tuple([directory.get(stack, service) for stack, service in self.names])

    def made(self, view: View) -> Answer:
        """The answer. Raises ProblemError: UNREACHABLE when what is not there may exist all the same."""
        if not self.own and not view.origin.whole:
            unheard = not view.directory.index
            if unheard or (self.names and not any(self.listings(view.directory))):
                raise ProblemError(NOT_KNOWN_YET)
        return self.answer(view)


class Surface(NamedTuple):
    """A family of paths, which begin with one of its `prefixes`. `read` gives None for what is not its own
    and raises ProblemError for what is wrong; `refusal` puts problems into the family's words."""

    prefixes: tuple[str, ...]
    read: Callable[[Asked], Read | None]
    refusal: Callable[[Problem, View], Answer]


def invalid(summary: str, hint: str = "") -> ProblemError:
    """The refusal of a request that cannot be understood."""
    return refuse(ProblemKind.INVALID, summary, hint=hint)


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer in JSON, with a new line at its end for people."""
    return Answer(msgspec.json.encode(value) + b"\n", status, headers=headers)


def text_answer(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer in plain text."""
    return Answer(text.encode(errors="replace"), status, TEXT, headers)
