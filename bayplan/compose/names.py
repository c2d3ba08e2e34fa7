"""The grammars of names, image references and placement constraints. Text in, a value or FormError out."""

from __future__ import annotations

import re

from bayplan.compose.report import FormError, did_you_mean, shown

#: Longest name of a stack or service: a DNS label has as many characters.
NAME_CHARS_MAX = 63
#: Longest image reference without its digest, as in Docker.
IMAGE_CHARS_MAX = 255

_NAME_HINT = f"letters, digits, '-' and '_', a letter or digit first, at most {NAME_CHARS_MAX} in all"
_STACK = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{NAME_CHARS_MAX - 1}}}")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{NAME_CHARS_MAX - 1}}}")

_HOST_PART = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,128})?"
)

_CONSTRAINT = re.compile(r"\s*(?P<key>[^=!\s]+)\s*(?P<operator>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*")
_CONSTRAINT_KEYS = ("node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch")
_LABEL_PREFIXES = ("node.labels.", "engine.labels.")


def parse_stack_name(written: str) -> str:
    """A stack's name. Raises FormError."""
    if _STACK.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a stack's name", f"write lower case {_NAME_HINT}")
    return written


def parse_name(written: str) -> str:
    """The name of a service, network or volume. Raises FormError."""
    if _NAME.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a name", f"write {_NAME_HINT}")
    return written


def parse_image(written: str) -> str:
    """An image reference, `[host[:port]/]path[:tag][@digest]`. Raises FormError."""
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
    """A placement constraint as `key == value` or `key != value`, with single blanks.

    Keys as in Docker Swarm: node.labels.K, node.hostname, node.id, node.role, node.platform.os,
    node.platform.arch, engine.labels.K. Raises FormError, with the nearest key for a misspelt one.
    """
    match = _CONSTRAINT.fullmatch(written)
    if match is None:
        raise FormError(f"{shown(written)} is not a constraint", "write it like node.labels.zone == a")
    key = match["key"]
    known = key in _CONSTRAINT_KEYS or any(
        key.startswith(prefix) and len(key) > len(prefix) for prefix in _LABEL_PREFIXES
    )
    if not known:
        raise FormError(f"{shown(key)} is not a key of a constraint", _nearest_key(key))
    return f"{key} {match['operator']} {match['value']}"


def _nearest_key(key: str) -> str:
    name = key.rpartition(".")[2]
    candidates = (*_CONSTRAINT_KEYS, *(prefix + name for prefix in _LABEL_PREFIXES))
    return did_you_mean(key, candidates, f"write one of {', '.join(_CONSTRAINT_KEYS)}, node.labels.NAME")
