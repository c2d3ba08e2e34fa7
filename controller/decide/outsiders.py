"""Whether somebody who is no task may be registered as asked: names, addresses, sizes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from bayplan.directory.registrar import TTL_MS_MAX, TTL_MS_MIN, Registration, Renewal
from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.limits import PORT_MAX, SERVICE_NAME, STACK_NAME, TAG_CHARS_MAX, TAGS_MAX, WEIGHT_MAX

#: All outsiders, and those of one service.
OUTSIDERS_MAX, OUTSIDERS_PER_SERVICE_MAX = 10_000, 1_000
#: Operators' words about instances.
OVERRIDES_MAX = 10_000
#: Characters of an id, of a node's name, of a reason, and of what a check said: longer ones of the last two
#: are cut, the others refused.
ID_CHARS_MAX, NODE_CHARS_MAX, REASON_CHARS_MAX, OUTPUT_CHARS_MAX = 255, 255, 255, 4_096
#: Ports; entries of `meta`, and characters of their names and values.
PORTS_MAX = 32
META_MAX, META_NAME_CHARS_MAX, META_VALUE_CHARS_MAX = 64, 128, 512

#: An id stands in URLs and in lists for people.
_ID = re.compile(rf"[!-~]{{1,{ID_CHARS_MAX}}}")


def check(registration: Registration) -> None:
    """Raises ProblemError (INVALID) with all that is wrong with a registration."""
    found = tuple(Problem(kind=ProblemKind.INVALID, summary=text) for text in _faults(registration))
    if found:
        raise ProblemError(*found)


def _faults(asked: Registration) -> Iterator[str]:
    if not _ID.fullmatch(asked.id):
        yield f"an instance's id has 1 to {ID_CHARS_MAX} printable characters of ASCII and no spaces"
    if not SERVICE_NAME.fullmatch(asked.service):
        yield f"{asked.service[:80]!r} is no service's name: letters, digits, '-', '_' and '.', at most 63"
    if not STACK_NAME.fullmatch(asked.stack):
        yield f"{asked.stack[:80]!r} is no stack's name: lower case letters, digits, '-' and '_', at most 63"
    if not _is_address(asked.address):
        yield f"{asked.address[:80]!r} is not the IPv4 or IPv6 address of a host"
    ports = (asked.port, *(number for each in asked.ports for number in (each.target, each.published)))
    if not all(0 <= port <= PORT_MAX for port in ports) or len(asked.ports) > PORTS_MAX:
        yield f"ports are 0 to {PORT_MAX}, and at most {PORTS_MAX}"
    if not 0 <= asked.weight <= WEIGHT_MAX:
        yield f"a weight is 0 to {WEIGHT_MAX}, not {asked.weight}"
    if not TTL_MS_MIN <= asked.ttl_ms <= TTL_MS_MAX:
        most_h = TTL_MS_MAX // 3_600_000
        yield f"a lease lasts {TTL_MS_MIN // 1000} s to {most_h} h, not {asked.ttl_ms} ms"
    if len(asked.node) > NODE_CHARS_MAX:
        yield f"a node's name has at most {NODE_CHARS_MAX} characters"
    if len(asked.tags) > TAGS_MAX or any(len(tag) > TAG_CHARS_MAX for tag in asked.tags):
        yield f"an instance has at most {TAGS_MAX} tags of {TAG_CHARS_MAX} characters"
    if len(asked.meta) > META_MAX or any(
        len(name) > META_NAME_CHARS_MAX or len(value) > META_VALUE_CHARS_MAX
        for name, value in asked.meta.items()
    ):
        yield (
            f"an instance has at most {META_MAX} entries of meta, with names of {META_NAME_CHARS_MAX} and "
            f"values of {META_VALUE_CHARS_MAX} characters"
        )


def _is_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast) and "%" not in text


def cut(said: Registration | Renewal) -> tuple[str, str]:
    """The reason and the output of a check, as much as is kept of them."""
    return said.reason[:REASON_CHARS_MAX], said.output[:OUTPUT_CHARS_MAX]
