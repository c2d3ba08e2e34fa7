"""The grammar of published and exposed ports, short and long form. It knows no other service's ports."""

from __future__ import annotations

import ipaddress
import re

from bayplan.compose.fields import Decoder, Field, Placed, Typed, choice, refused, struct, text, via, yes
from bayplan.compose.nodes import Map
from bayplan.compose.report import FormError, shown
from bayplan.model import PortSpec, Protocol

#: Most ports of one service: an engine's bridge has no room for more (facts: the 1,024th fails).
PORTS_MAX = 1_000

_GOOD = 'write "8080:80", "127.0.0.1:8080:80/tcp", "8000-8005:80-85" or "80"'
_SHORT = re.compile(
    r"(?:(?P<ip>\[[0-9A-Fa-f:.%\w]*\]|[0-9.]+):(?=[^:]*:))?"
    r"(?:(?P<published>[0-9-]*):)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>\w+))?",
    re.ASCII,
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


def parse_port(written: str) -> tuple[PortSpec, ...]:
    """The ports of `[[host ip:]published:]target[/protocol]`, where both may be ranges of one length.

    Raises FormError with the good forms.
    """
    match = _SHORT.fullmatch(written.strip())
    if match is None:
        raise FormError(f"{shown(written)} is not a port", _GOOD)
    targets = parse_range(match["target"])
    publisheds = parse_range(match["published"]) if match["published"] else None
    if publisheds is not None and len(publisheds) != len(targets):
        raise FormError(
            f"{shown(written)} maps {len(publisheds)} ports to {len(targets)}, which is not supported yet",
            _GOOD,
        )
    protocol = parse_protocol(match["protocol"] or "tcp")
    host_ip = parse_host_ip(match["ip"] or "")
    return tuple(
        PortSpec(
            target=target,
            published=publisheds[index] if publisheds else 0,
            protocol=protocol,
            host_ip=host_ip,
        )
        for index, target in enumerate(targets)
    )


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
        raise FormError(f"{shown(written)} are more than the {PORTS_MAX} ports that a service may have")
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


class _Port(Typed, frozen=True, kw_only=True):
    target: range | None = None
    published: range | None = None
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""
    mode: str = ""


def _published(field: Field) -> range | None:
    return None if text(field) in ("", "0") else via(parse_range)(field)


_LONG = struct(
    _Port,
    {
        "target": yes(via(parse_range)),
        "published": yes(_published),
        "protocol": yes(via(parse_protocol)),
        "host_ip": yes(via(parse_host_ip)),
        "mode": yes(choice({"host": "host", "ingress": "ingress"}), "both mean a port of the task's node"),
        **refused("name", "app_protocol"),
    },
    "a port",
)


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
            raise field.refuse(f"has more than {PORTS_MAX} ports")
    return found


def _long(field: Field) -> tuple[PortSpec, ...]:
    port = _LONG(field)
    if "target" not in port.places:
        raise field.refuse("has no target port", hint="add `target: 80`, the port inside the container")
    if port.target is None:
        return ()
    if port.published is not None and len(port.published) != len(port.target):
        raise field.refuse("maps a range to another number of targets, which is not supported yet")
    return tuple(
        PortSpec(
            target=target,
            published=port.published[index] if port.published else 0,
            protocol=port.protocol,
            host_ip=port.host_ip,
        )
        for index, target in enumerate(port.target)
    )
