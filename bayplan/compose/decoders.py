"""Decoders of the fields that have a form of their own: health checks, restart words, networks, hosts.

Each takes a Field and gives the typed value, or raises ProblemError. Which key uses which is the
schema's business.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar

from bayplan import placeholders
from bayplan.compose import typed
from bayplan.compose.fields import (
    Decoder,
    Field,
    Placed,
    Typed,
    each,
    flag,
    loose_text,
    one_or_each,
    pairs,
    placed,
    text,
    via,
    whole,
)
from bayplan.compose.names import parse_alias, parse_name
from bayplan.compose.nodes import List, Map, Scalar, is_null
from bayplan.compose.report import FormError, invalid, shown
from bayplan.model import RestartCondition, RestartPolicy
from bayplan.units import parse_bytes, parse_cpus, parse_duration_ms, parse_duration_us

#: Most entries of `services`, `networks` or `volumes`.
NAMED_MAX = 1_000
#: Most `links`, or `volumes_from`, of one service.
LINKS_MAX = 32
#: Most attempts, retries and the like: what an unsigned 32-bit field holds.
COUNT_MAX = 2**32 - 1
#: Least memory limit that an engine takes, in bytes.
MEMORY_BYTES_MIN = 6 * 1024 * 1024

_SIGNAL = re.compile(
    r"(?:SIG)?(?:ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT"
    r"|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTM(?:IN|AX)(?:[+-][0-9]{1,2})?)"
    r"|[0-9]{1,2}"
)
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_HOST = re.compile(r"(?P<name>[^:=\s]+)[:=](?P<address>\S+)")

S = TypeVar("S", bound=Typed)
T = TypeVar("T")

size = via(parse_bytes)
duration = via(parse_duration_ms)
microseconds = via(parse_duration_us)
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


def templated(field: Field) -> str:
    """Text in which the node fills in Swarm's placeholders, such as `{{.Task.Slot}}`."""
    return _known_placeholders(field, text(field))


def environment(field: Field) -> dict[str, str | None]:
    """The service's own variables; placeholders in their values are filled in on the node."""
    values = pairs(field)
    for value in values.values():
        if value and "{{" in value:
            _known_placeholders(field, value)
    return values


def _known_placeholders(field: Field, written: str) -> str:
    for placeholder in placeholders.PLACEHOLDER.findall(written):
        if placeholder not in placeholders.KNOWN:
            raise field.refuse(
                f"holds the unknown placeholder {shown(placeholder)}",
                hint=f"write one of {placeholders.listed()}",
            )
    return written


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
        field.warn(
            "has several texts after CMD-SHELL: the first is the whole command, the others its $0, $1..."
        )
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
    signal = text(field).upper()
    if _SIGNAL.fullmatch(signal) is None:
        raise field.refuse(f"is not a signal: {shown(text(field))}", hint="write it like SIGTERM or 15")
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


def external(field: Field) -> str | None:
    """`external`: None when false, the name of its old form `{name: ...}`, else empty."""
    if not isinstance(field.node, Map):
        return "" if flag(field) else None
    names = [text(child) for key, child in field.entries() if key == "name"]
    if not names:
        raise field.refuse("shall be true, false, or a mapping with a name", hint="write `external: true`")
    return names[0]


def ratio(field: Field) -> float:
    """A share, from 0 to 1."""
    try:
        value = float(text(field))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise field.refuse(f"shall be a share from 0 to 1, not {shown(text(field))}")
    return value


def swap_limit(field: Field) -> int:
    """Memory and swap together in bytes; -1 is without limit."""
    return -1 if text(field) == "-1" else size(field)


def pids(field: Field) -> int:
    """The most processes; 0 or -1 is without limit, and becomes -1: an absent key is the node's default."""
    return whole(-1, 2**31 - 1)(field) or -1


def address(versions: tuple[int, ...] = (4, 6)) -> Decoder[str]:
    """An IP address in canonical form."""

    def read(field: Field) -> str:
        try:
            found = ipaddress.ip_address(text(field).strip())
        except ValueError:
            found = None
        if found is None or found.version not in versions:
            kind = f"IPv{versions[0]}" if len(versions) == 1 else "IP"
            raise field.refuse(f"is not an {kind} address: {shown(text(field))}")
        return str(found)

    return read


def subnet(field: Field) -> str:
    """A range of addresses in CIDR form."""
    try:
        return str(ipaddress.ip_network(text(field).strip(), strict=False))
    except ValueError as error:
        hint = "write it like 172.28.0.0/16"
        raise field.refuse(f"is not a range of addresses: {shown(text(field))}", hint=hint) from error


def fitting(pattern: str, what: str, good: str) -> Decoder[str]:
    """A text of a form; `good` is an example of it."""
    form = re.compile(pattern, re.ASCII)

    def read(field: Field) -> str:
        if form.fullmatch(text(field)) is None:
            raise field.refuse(f"is not {what}: {shown(text(field))}", hint=f"write it like {good}")
        return text(field)

    return read


mac_address = fitting(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}", "a MAC address", "02:42:ac:11:00:03")
cpu_set = fitting(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*", "a set of CPUs", "0-3 or 0,2")


def texts(read: Callable[[Field], str] = text) -> Decoder[tuple[str, ...]]:
    """A single text or a list, each text once."""
    decode = one_or_each(read)
    return lambda field: tuple(dict.fromkeys(decode(field)))


def hook(decode: Decoder[typed.Hook]) -> Decoder[typed.Hook]:
    """A hook, which needs a command."""

    def read(field: Field) -> typed.Hook:
        found = decode(field)
        if not found.command and "command" not in found.places:
            raise field.refuse("has no command", hint="add `command: [...]`")
        return found

    return read


def env_files(decode: Decoder[typed.EnvFile]) -> Decoder[tuple[Placed[typed.EnvFile], ...]]:
    """A path, or a list of paths and of long forms, with their places."""

    def read(field: Field) -> typed.EnvFile:
        if not isinstance(field.node, Map):
            return typed.EnvFile(path=text(field))
        found = decode(field)
        if not found.path:
            raise field.refuse("has no path", hint="add `path: ./FILE`")
        return found

    either = one_or_each(placed(read))
    return lambda field: (placed(read)(field),) if isinstance(field.node, Map) else either(field)


def _link(field: Field) -> typed.Link:
    service, _, alias = text(field).partition(":")
    for name, parse in ((service, parse_name), (alias, parse_alias)):
        if name or parse is parse_name:
            via(parse)(field._replace(node=Scalar("", 0, name)))
    return typed.Link(service=service, alias=alias)


def few(decode: Decoder[tuple[T, ...]]) -> Decoder[tuple[T, ...]]:
    """A list of other services, at most LINKS_MAX."""

    def read(field: Field) -> tuple[T, ...]:
        found = decode(field)
        if len(found) > LINKS_MAX:
            raise field.refuse(f"has more than {LINKS_MAX} entries")
        return found

    return read


#: A service's `links`, with their places.
links: Decoder[tuple[Placed[typed.Link], ...]] = few(one_or_each(placed(_link)))
#: Paths of files as written, with their places.
paths: Decoder[tuple[Placed[str], ...]] = one_or_each(placed(text))
