"""The grammars of names, image references and placement constraints. Text in, a value or FormError out."""

from __future__ import annotations

import re

from bayplan import constraints
from bayplan.compose.report import FormError, shown
from bayplan.limits import FULL_NAME, NAME_CHARS_MAX, SERVICE_NAME, STACK_NAME

#: Longest image reference without its digest, as in Docker.
IMAGE_CHARS_MAX = 255

#: Longest name of a container on a network: what DNS allows (RFC 1035, 2.3.4).
ALIAS_CHARS_MAX = 253

_ALIAS = re.compile(rf"[A-Za-z0-9_*][A-Za-z0-9_.*-]{{0,{ALIAS_CHARS_MAX - 1}}}")
_NAME_HINT = f"letters, digits, '-' and '_', a letter or digit first, at most {NAME_CHARS_MAX} in all"

_HOST_PART = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,128})?"
)


def parse_stack_name(written: str) -> str:
    """A stack's name. Raises FormError."""
    if STACK_NAME.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a stack's name", f"write lower case {_NAME_HINT}")
    return written


def parse_name(written: str) -> str:
    """The name of a service, network or volume. Raises FormError."""
    if SERVICE_NAME.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a name", f"write {_NAME_HINT}")
    return written


def parse_alias(written: str) -> str:
    """A name that others on a network find a container by. Raises FormError."""
    if _ALIAS.fullmatch(written) is None:
        hint = f"write letters, digits, '.', '-' and '_', at most {ALIAS_CHARS_MAX} in all"
        raise FormError(f"{shown(written)} is not a name on a network", hint)
    return written


def parse_reference(written: str) -> str:
    """The name of a service of the file, or another one's full name. Raises FormError."""
    if FULL_NAME.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a service's name", f"write {_NAME_HINT}")
    return written


def parse_image(written: str) -> str:
    """An image reference, `[host[:port]/]path[:tag][@digest]`. Raises FormError."""
    if not written:
        raise FormError("it is empty", "is a variable in it not set?")
    match = _IMAGE.fullmatch(written) if len(written) <= 2 * IMAGE_CHARS_MAX else None
    if match is not None and len(written) - len(match["digest"] or "") <= IMAGE_CHARS_MAX:
        return written
    name = written.rpartition("/")[2].partition(":")[0]
    advice = (
        "write it in lower case"
        if name != name.lower()
        else "write it like nginx:1.27 or host:5000/team/app:2"
    )
    raise FormError(f"{shown(written)} is not an image reference", advice)


def parse_constraint(written: str) -> str:
    """A placement constraint with single blanks. Raises FormError, with the nearest of a misspelt key."""
    try:
        return str(constraints.parse(written))
    except constraints.ConstraintError as error:
        raise FormError(error.summary, error.hint) from error


def parse_attribute(written: str) -> str:
    """What tasks are spread over or kept together by: `node.labels.NAME`, or another attribute of nodes.

    Raises FormError.
    """
    try:
        return constraints.parse_attribute(written)
    except constraints.ConstraintError as error:
        raise FormError(error.summary, error.hint) from error
