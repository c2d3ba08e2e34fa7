"""Decoders of the fields that have a form of their own: health checks, restart words, networks, hosts.

Each takes a Field and gives the typed value, or raises ProblemError. Which key uses which is the
schema's business.
"""

from __future__ import annotations

import re
from typing import TypeVar

from bayplan.compose.fields import (
    Decoder,
    Field,
    Placed,
    Typed,
    each,
    loose_text,
    pairs,
    text,
    via,
    whole,
)
from bayplan.compose.names import parse_name
from bayplan.compose.nodes import List, Map, Scalar, is_null
from bayplan.compose.report import FormError, invalid, shown
from bayplan.model import RestartCondition, RestartPolicy
from bayplan.units import parse_bytes, parse_cpus, parse_duration_ms

#: Most entries of `services`, `networks` or `volumes`.
NAMED_MAX = 1_000
#: Most attempts, retries and the like: what an unsigned 32-bit field holds.
COUNT_MAX = 2**32 - 1
#: Least memory limit that an engine takes, in bytes.
MEMORY_BYTES_MIN = 6 * 1024 * 1024

_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9]*(?:[+-][0-9]{1,2})?|[0-9]{1,2}")
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_HOST = re.compile(r"(?P<name>[^:=\s]+)[:=](?P<address>\S+)")
_TEMPLATE = re.compile(r"\{\{\s*\.(?:Node|Task|Service)\b")

S = TypeVar("S", bound=Typed)

size = via(parse_bytes)
duration = via(parse_duration_ms)
cpus = via(parse_cpus)
count = whole(0, COUNT_MAX)


def memory_limit(field: Field) -> int:
    """A limit in bytes; 0 is none."""
    amount = size(field)
    if 0 < amount < MEMORY_BYTES_MIN:
        raise field.refuse(
            f"is {shown(text(field))}, less than the 6 MiB that an engine takes", hint="write 6m or more"
        )
    return amount


def absolute_path(field: Field) -> str:
    """A path inside the container."""
    if not text(field).startswith("/"):
        raise field.refuse(f"is not an absolute path: {shown(text(field))}", hint="begin it with /")
    return text(field)


def untemplated(field: Field) -> str:
    """Text without Swarm's templates, which nobody would fill in."""
    value = text(field)
    if _TEMPLATE.search(value):
        raise field.refuse("holds a template of Docker Swarm ({{.Node...}}), which is not supported yet")
    return value


def environment(field: Field) -> dict[str, str | None]:
    """The service's own variables."""
    values = pairs(field)
    for name, value in values.items():
        if value and _TEMPLATE.search(value):
            problem = f"has a template of Docker Swarm in {shown(name)}, which is not supported yet"
            raise field.refuse(problem, hint="remove the {{...}}")
    return values


def env_files(field: Field) -> tuple[Placed[str], ...]:
    """Paths as written, with their places. The long form is refused by name."""
    if isinstance(field.node, Scalar):
        return (Placed(field.place, text(field)),)
    return each(_env_file)(field)


def _env_file(field: Field) -> Placed[str]:
    if isinstance(field.node, Map):
        raise field.refuse(
            "in its long form (path, required, format) is not supported yet", hint="write the path alone"
        )
    return Placed(field.place, text(field))


def health_test(field: Field) -> tuple[str, ...]:
    """The command as the engine takes it: CMD with arguments, CMD-SHELL with a line, or NONE."""
    if not isinstance(field.node, List):
        line = text(field)
        return ("NONE",) if line == "NONE" else ("CMD-SHELL", line) if line else ()
    parts = each(loose_text)(field)
    kind = parts[0] if parts else ""
    if parts and kind not in ("NONE", "CMD", "CMD-SHELL"):
        raise field.refuse(f"begins with {shown(kind)}", hint='begin the list with "CMD" or "CMD-SHELL"')
    if kind in ("CMD", "CMD-SHELL") and len(parts) == 1:
        raise field.refuse(f"has nothing to run after {kind}")
    if kind == "CMD-SHELL" and len(parts) > 2:
        raise field.refuse("has several lines after CMD-SHELL", hint='write one, or begin with "CMD"')
    return parts


def restart(field: Field) -> RestartPolicy:
    """`no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`."""
    word, _, attempts = text(field).partition(":")
    match word:
        case "no" | "false" | "none" if not attempts:
            return RestartPolicy(condition=RestartCondition.NONE)
        case "always" | "unless-stopped" if not attempts:
            return RestartPolicy()
        case "on-failure" if not attempts or (
            attempts.isascii() and attempts.isdigit() and len(attempts) < 10
        ):
            return RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=int(attempts or 0))
        case _:
            hint = 'write "no", always, unless-stopped, on-failure or on-failure:3'
            raise field.refuse(f"has the unknown value {shown(text(field))}", hint=hint)


def stop_signal(field: Field) -> str:
    """A signal by name or number."""
    signal = text(field)
    if _SIGNAL.fullmatch(signal) is None:
        raise field.refuse(f"is not a signal: {shown(signal)}", hint="write it like SIGTERM or 15")
    return signal


def capability(field: Field) -> str:
    """A capability, without the prefix CAP_."""
    name = text(field).upper().removeprefix("CAP_")
    if _CAPABILITY.fullmatch(name) is None:
        raise field.refuse(
            f"is not a capability: {shown(text(field))}", hint="write it like NET_ADMIN or ALL"
        )
    return name


def extra_hosts(field: Field) -> tuple[str, ...]:
    """Lines for /etc/hosts, as name:address; a list of such, or a mapping."""
    if isinstance(field.node, List):
        return each(_host)(field)
    lines: list[str] = []
    for name, child in field.entries():
        addresses = each(text)(child) if isinstance(child.node, List) else (text(child),)
        lines += [f"{name}:{address}" for address in addresses]
    return tuple(lines)


def _host(field: Field) -> str:
    match = _HOST.fullmatch(text(field))
    if match is None:
        raise field.refuse(f"is not a host: {shown(text(field))}", hint='write "name:address"')
    return f"{match['name']}:{match['address'].removeprefix('[').removesuffix(']')}"


def names_or_map(decode: Decoder[S], empty: S) -> Decoder[dict[str, Placed[S]]]:
    """A list of names, or a mapping of names to structs or nothing."""

    def read(field: Field) -> dict[str, Placed[S]]:
        if not isinstance(field.node, List):
            return named(decode, empty)(field)
        found: dict[str, Placed[S]] = {}
        for item in field.items():
            with field.report.collect():
                found.setdefault(text(item), Placed(item.place, empty))
        return found

    return read


def named(decode: Decoder[S], empty: S | None = None) -> Decoder[dict[str, Placed[S]]]:
    """A mapping of checked names to structs; nothing stands for `empty` where that is given."""

    def read(field: Field) -> dict[str, Placed[S]]:
        found: dict[str, Placed[S]] = {}
        for name, child in field.entries():
            if len(found) >= NAMED_MAX:
                raise field.refuse(f"has more than {NAMED_MAX} entries")
            with field.report.collect():
                _check_name(child, name)
                value = empty if empty is not None and is_null(child.node) else decode(child)
                found[name] = Placed(child.place, value)
        return found

    return read


def _check_name(field: Field, name: str) -> None:
    try:
        parse_name(name)
    except FormError as error:
        raise invalid(field.place, str(error), hint=error.hint) from error


def external(field: Field) -> bool:
    """`external` of a volume: true or false; its old form, a mapping with a name, is refused by name."""
    if isinstance(field.node, Map):
        raise field.refuse(
            "with a name inside is not supported yet", hint="write `external: true` and `name: ...`"
        )
    if text(field) not in ("true", "false"):
        raise field.refuse(f"shall be true or false, not {shown(text(field))}")
    return text(field) == "true"


def only(word: str, hint: str) -> Decoder[str]:
    """The only supported word; others are refused by name."""

    def read(field: Field) -> str:
        if text(field) != word:
            raise field.refuse(f"{shown(text(field))} is not supported yet", hint=hint)
        return word

    return read
