"""The bodies of Consul's writing endpoints: JSON to typed values. Pure.

As Consul does, keys are taken in any case and with or without underscores, null is what is missing, and keys
that are not known are passed over.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, TypeVar

import msgspec

from bayplan.model import ProbeKind
from bayplan.surfaces.asking import invalid
from bayplan.surfaces.consul.held import Asking
from bayplan.units import parse_duration_ms

#: Limits of a service: its tags and the bytes of each; pairs of metadata and the bytes of key and value
#: (Consul's own, https://developer.hashicorp.com/consul/docs/reference/service); bytes of an id or a name.
TAGS_MAX, TAG_BYTES_MAX = 64, 255
META_MAX, META_KEY_BYTES_MAX, META_VALUE_BYTES_MAX = 64, 128, 512
ID_BYTES_MAX = 200
#: What a check says is cut to this (https://developer.hashicorp.com/consul/api-docs/agent/check#outputmaxsize).
OUTPUT_CHARS_MAX = 4_096

#: A check that is asked: no more often, its patience where it says nothing (both Consul's), and at most, in
#: milliseconds; letters of whom to ask, and of an HTTP method.
ASKED_INTERVAL_MS_MIN, ASKED_TIMEOUT_MS_USUAL, ASKED_TIMEOUT_MS_MAX = 1_000, 10_000, 60_000
TARGET_CHARS_MAX, METHOD_CHARS_MAX = 2_000, 16

#: Fields whose own keys are the user's.
_USERS_KEYS = frozenset(("meta", "nodemeta", "header", "taggedaddresses"))

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


class WeightsBody(msgspec.Struct):
    passing: int = 1


class CheckBody(msgspec.Struct):
    """A check, in a service's body or by itself."""

    id: str = ""
    checkid: str = ""
    name: str = ""
    status: str = ""
    output: str = ""
    serviceid: str = ""
    ttl: str = ""
    deregistercriticalserviceafter: str = ""
    http: str = ""
    tcp: str = ""
    udp: str = ""
    grpc: str = ""
    h2ping: str = ""
    aliasservice: str = ""
    aliasnode: str = ""
    dockercontainerid: str = ""
    args: list[str] = []
    scriptargs: list[str] = []
    script: str = ""
    interval: str = ""
    timeout: str = ""
    method: str = ""
    header: dict[str, list[str]] = {}
    body: str = ""
    tlsskipverify: bool = False
    tcpusetls: bool = False
    grpcusetls: bool = False

    @property
    def asks(self) -> bool:
        """Whether it wants to be asked over the network."""
        return bool(self.http or self.tcp or self.grpc)

    @property
    def foreign(self) -> str:
        """The first field that asks for what nobody does here; empty when there is none."""
        kinds = ("udp", "h2ping", "aliasservice", "aliasnode", "dockercontainerid", "args", "scriptargs")
        return next(
            (kind for kind in (*kinds, "script", "tcpusetls", "grpcusetls") if getattr(self, kind)), ""
        )


class ServiceBody(msgspec.Struct):
    """A service; /agent has its name in Name, /catalog in Service."""

    name: str = ""
    service: str = ""
    id: str = ""
    tags: list[str] = []
    address: str = ""
    port: int = 0
    meta: dict[str, str] = {}
    weights: WeightsBody | None = None
    check: CheckBody | None = None
    checks: list[CheckBody] = []
    kind: str = ""

    def all_checks(self) -> list[CheckBody]:
        return [*([self.check] if self.check else []), *self.checks]


class EntityBody(msgspec.Struct):
    """What /catalog/register takes."""

    node: str = ""
    address: str = ""
    service: ServiceBody | None = None
    check: CheckBody | None = None
    checks: list[CheckBody] = []

    def all_checks(self) -> list[CheckBody]:
        return [*([self.check] if self.check else []), *self.checks]


class LeavingBody(msgspec.Struct):
    """What /catalog/deregister takes."""

    node: str = ""
    serviceid: str = ""
    checkid: str = ""


def decode(body: bytes, kind: type[BodyT]) -> BodyT:
    """A body as a value. Raises ProblemError (INVALID)."""
    try:
        return msgspec.convert(_normal(msgspec.json.decode(body or b"{}")), kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise invalid(f"Request decode failed: {error}") from error


def _normal(value: Any, *, users: bool = False) -> Any:
    if isinstance(value, list):
        return [_normal(each) for each in value if each is not None]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, each in value.items():
        name = key if users else key.replace("_", "").lower()
        if each is not None:
            found[name] = _normal(each, users=not users and name in _USERS_KEYS)
    return found


def check_service(body: ServiceBody) -> None:
    """Raises ProblemError (INVALID) for what is too much, or belongs to Consul's mesh."""
    if body.kind:
        raise invalid(f"Kind {body.kind!r} belongs to Consul's service mesh", "register the service itself")
    if len(body.tags) > TAGS_MAX or any(len(tag.encode()) > TAG_BYTES_MAX for tag in body.tags):
        raise invalid(f"Invalid Tags: at most {TAGS_MAX}, each of at most {TAG_BYTES_MAX} bytes")
    for key, value in body.meta.items():
        if len(key.encode()) > META_KEY_BYTES_MAX or len(value.encode()) > META_VALUE_BYTES_MAX:
            raise invalid(
                f"Invalid Service Meta: a key has at most {META_KEY_BYTES_MAX} bytes, "
                f"a value {META_VALUE_BYTES_MAX}"
            )
    if len(body.meta) > META_MAX:
        raise invalid(f"Invalid Service Meta: at most {META_MAX} pairs")


def identity(text: str, field: str) -> str:
    """An id or a name that is fit to be one. Raises ProblemError (INVALID)."""
    if len(text.encode(errors="replace")) > ID_BYTES_MAX or not text.isprintable():
        raise invalid(f"Invalid {field}: at most {ID_BYTES_MAX} printable bytes")
    return text


def asking(body: CheckBody) -> Asking | None:
    """How a check is asked over the network; None where it is told by its service. Raises ProblemError
    (INVALID)."""
    if not body.asks:
        return None
    kinds = {ProbeKind.HTTP: body.http, ProbeKind.TCP: body.tcp, ProbeKind.GRPC: body.grpc}
    given = {kind: target for kind, target in kinds.items() if target}
    interval_ms = duration_ms(body.interval, "Interval")
    if len(given) > 1 or body.ttl or not interval_ms:
        raise invalid("a check has one of HTTP, TCP, GRPC and TTL; all but TTL need an Interval")
    ((kind, target),) = given.items()
    timeout_ms = duration_ms(body.timeout, "Timeout") or ASKED_TIMEOUT_MS_USUAL
    return Asking(
        kind=kind,
        target=_target(kind, target),
        interval_ms=max(interval_ms, ASKED_INTERVAL_MS_MIN),
        timeout_ms=min(timeout_ms, ASKED_TIMEOUT_MS_MAX),
        method=_method(body.method or "GET"),
        headers={name: ", ".join(values) for name, values in body.header.items()},
        body=body.body,
        verify=not body.tlsskipverify,
    )


def _target(kind: ProbeKind, text: str) -> str:
    """A URL, `host:port`, or `host:port/service`. Raises ProblemError (INVALID)."""
    url = text if kind is ProbeKind.HTTP else f"tcp://{text}"
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") or (kind is not ProbeKind.HTTP and bool(parts.port))
        good = good and bool(parts.hostname) and len(text) <= TARGET_CHARS_MAX and text.isprintable()
    except ValueError:
        good = False
    if not good:
        example = {ProbeKind.HTTP: "http://127.0.0.1:80/health", ProbeKind.TCP: "127.0.0.1:80"}
        raise invalid(
            f"Invalid {kind.value.upper()}: {text[:80]!r}", f"such as {example.get(kind, '127.0.0.1:80/web')}"
        )
    return text


def _method(text: str) -> str:
    """Raises ProblemError (INVALID)."""
    if not (text.isascii() and text.isalpha() and len(text) <= METHOD_CHARS_MAX):
        raise invalid(f"Invalid Method: {text[:40]!r}")
    return text.upper()


def duration_ms(text: str, field: str) -> int:
    """A duration; 0 when it is empty. Raises ProblemError (INVALID)."""
    try:
        return parse_duration_ms(text or "0")
    except ValueError as error:
        raise invalid(f"Invalid {field}: {error}") from error
