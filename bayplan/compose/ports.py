"""The grammar of published and exposed ports, short and long form. It knows no other service's ports."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from bayplan.compose.fields import (
    Decoder,
    Field,
    Keys,
    Placed,
    Typed,
    choice,
    struct,
    text,
    via,
    warned,
    yes,
)
from bayplan.compose.nodes import Map
from bayplan.compose.report import FormError, shown
from bayplan.model import PortMode, PortSpec, Protocol

#: Most ports of one service: an engine's bridge has no room for more (facts: the 1,024th fails).
PORTS_MAX = 1_000

_GOOD = 'write "8080:80", "127.0.0.1:8080:80/tcp", "8000-8005:80-85" or "80"'
_MANY = "publish fewer, or write `network_mode: host`, where each port of the container is the node's"
_SHORT = re.compile(
    r"(?:(?P<ip>\[[0-9A-Fa-f:.%\w]*\]|[0-9.]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*):(?=[^:]*:[^:]*\Z))?"
    r"(?:(?P<published>[0-9-]*):)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>\w+))?",
    re.ASCII,
)
#: With `_` before it a label of SRV records (RFC 2782), which has at most 63 letters.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,61}", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


def parse_port(written: str) -> tuple[PortSpec, ...]:
    """The ports of `[[host ip:]published:]target[/protocol]`, where both may be ranges of one length.

    They answer on every node. Raises FormError with the good forms.
    """
    match = _SHORT.fullmatch(written.strip())
    if match is None:
        raise FormError(f"{shown(written)} is not a port", _GOOD)
    targets = parse_range(match["target"])
    usual = PortSpec(
        target=0,
        protocol=parse_protocol(match["protocol"] or "tcp"),
        host_ip=parse_host_ip(match["ip"] or ""),
        mode=PortMode.INGRESS,
    )
    return _ports(targets, parse_published(match["published"] or ""), usual)


def _ports(targets: range, published: range | None, usual: PortSpec) -> tuple[PortSpec, ...]:
    """The usual port for each target. Raises FormError when there is not one published port for each.

    Of a range for one target the engine would take any free port: it is the first here, so that it is known.
    """
    if published is not None and len(published) != len(targets) and len(targets) > 1:
        raise FormError(f"{len(published)} published ports cannot be mapped to {len(targets)} targets", _GOOD)
    return tuple(
        msgspec.structs.replace(usual, target=target, published=published[index] if published else 0)
        for index, target in enumerate(targets)
    )


def parse_published(written: str) -> range | None:
    """The published ports; None lets the engine choose. Raises FormError."""
    return None if written in ("", "0") else parse_range(written)


def parse_expose(written: str) -> tuple[PortSpec, ...]:
    """The ports of `target[/protocol]`, where target may be a range. Raises FormError."""
    ports, _, protocol = written.partition("/")
    return tuple(
        PortSpec(target=target, protocol=parse_protocol(protocol or "tcp")) for target in parse_range(ports)
    )


def parse_range(written: str) -> range:
    """The ports of "80" or "80-85". Raises FormError outside 1 to 65535 and above PORTS_MAX ports."""
    match = _RANGE.fullmatch(written)
    if match is None:
        raise FormError(f"{shown(written)} is not a port or a range of ports", _GOOD)
    first = int(match[1])
    last = int(match[2] or first)
    if not 1 <= first <= last <= 65_535:
        raise FormError(f"{shown(written)} is not within 1 to 65535, low to high")
    if last - first >= PORTS_MAX:
        raise FormError(
            f"{shown(written)} are more than the {PORTS_MAX} ports that a service may have", _MANY
        )
    return range(first, last + 1)


def parse_protocol(written: str) -> Protocol:
    """tcp, udp or sctp, in any case. Raises FormError."""
    try:
        return Protocol(written.lower())
    except ValueError:
        raise FormError(f"{shown(written)} is not a protocol", "write tcp, udp or sctp") from None


def parse_host_ip(written: str) -> str:
    """An IPv4 or IPv6 address, or nothing; without brackets, in canonical form. Raises FormError."""
    bare = written.removeprefix("[").removesuffix("]")
    if not bare:
        return ""
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        raise FormError(f"{shown(written)} is not an IP address", _GOOD) from None


def parse_port_name(written: str) -> str:
    """A name of at most 62 letters, digits, `-` and `_`. Raises FormError."""
    if written and not _NAME.fullmatch(written):
        hint = "write letters, digits, - and _, such as http"
        raise FormError(f"{shown(written)} is not a name for a port", hint)
    return written


class _Port(Typed, frozen=True, kw_only=True):
    target: range | None = None
    published: range | None = None
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""
    mode: PortMode = PortMode.INGRESS
    name: str = ""


PORT: Keys = {
    "target": yes(via(parse_range)),
    "published": yes(via(parse_published), "of a range for one target the first"),
    "protocol": yes(via(parse_protocol)),
    "host_ip": yes(via(parse_host_ip)),
    "mode": yes(
        choice({each.value: each for each in PortMode}),
        "`ingress`: answers on every node; `host`: on the nodes of the tasks only; `ingress`",
    ),
    "name": yes(via(parse_port_name), "by which the registry tells the ports of an instance apart"),
    "app_protocol": warned(text, "is a word for people and has no effect"),
}
_LONG = struct(_Port, PORT, "a port")


def ports(field: Field) -> tuple[Placed[PortSpec], ...]:
    """A service's published ports with their places, equal ones once."""
    found: dict[PortSpec, str] = {}
    for item, port in _all(
        field, lambda item: _long(item) if isinstance(item.node, Map) else via(parse_port)(item)
    ):
        found.setdefault(port, item.place)
    return tuple(Placed(place, port) for port, place in found.items())


def expose(field: Field) -> tuple[PortSpec, ...]:
    """A service's ports that are not published, equal ones once."""
    return tuple(dict.fromkeys(port for _, port in _all(field, via(parse_expose))))


def _all(field: Field, read: Decoder[tuple[PortSpec, ...]]) -> list[tuple[Field, PortSpec]]:
    found: list[tuple[Field, PortSpec]] = []
    for item in field.items():
        with field.report.collect():
            found += [(item, port) for port in read(item)]
        if len(found) > PORTS_MAX:
            raise field.refuse(f"has more than {PORTS_MAX} ports", hint=_MANY)
    return found


def _long(field: Field) -> tuple[PortSpec, ...]:
    port = _LONG(field)
    if "target" not in port.places:
        raise field.refuse("has no target port", hint="add `target: 80`, the port inside the container")
    if port.target is None:
        return ()
    try:
        usual = PortSpec(
            target=0, protocol=port.protocol, host_ip=port.host_ip, mode=port.mode, name=port.name
        )
        return _ports(port.target, port.published, usual)
    except FormError as error:
        raise field.refuse(f"is wrong: {error}", hint=error.hint) from error
