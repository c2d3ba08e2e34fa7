"""Whether a network that shall span nodes can be made as it is defined. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import IpamPool, NetworkSpec

#: As the engine has it; longer ones fit no label.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: Names that the engine has for itself.
_ENGINES = ("host", "none", "bridge", "default", "ingress", "docker_gwbridge")
#: Labels and options of one network.
ENTRIES_MAX = 256


def check(name: str, spec: NetworkSpec) -> None:
    """Raises ProblemError with all that is wrong with a network that shall be made by hand."""
    found = [*_of_name(name), *faults(name, spec)]
    if not spec.spans_nodes:
        found.append(("spans no nodes", "networks of one node's own are made by the services that name them"))
    if found:
        raise ProblemError(
            *(
                Problem(kind=ProblemKind.INVALID, summary=f"the network {name[:128]!r} {text}", hint=hint)
                for text, hint in found
            )
        )


def _of_name(name: str) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(name):
        yield (
            "has no good name",
            "write letters, digits, `_`, `.` and `-`, at most 128, a letter or digit first",
        )
    elif name in _ENGINES:
        yield "has a name of the engine's own", "choose another name"


def faults(name: str, spec: NetworkSpec) -> Iterator[tuple[str, str]]:
    """What is wrong with a network over all nodes, each with the way out; nothing of any other network."""
    if not spec.spans_nodes:
        return
    if spec.ipv6:
        yield "has IPv6, and networks over all nodes have IPv4 addresses only", "leave it out"
    if spec.ipam_driver:
        yield "has an address driver, but the cluster gives its addresses", "leave it out"
    if max(len(spec.labels), len(spec.driver_options), len(spec.ipam_options)) > ENTRIES_MAX:
        yield f"has more than {ENTRIES_MAX} labels or options", "remove some"
    if len(spec.pools) > 1:
        yield "has several subnets", "give it one, or none"
    for pool in spec.pools:
        yield from _of_pool(pool)


def _of_pool(pool: IpamPool) -> Iterator[tuple[str, str]]:
    subnet = _range(pool.subnet)
    if subnet is None:
        within = pool.gateway or pool.ip_range or pool.aux_addresses
        if pool.subnet or within:
            text = f"has the subnet {pool.subnet[:64]!r}" if pool.subnet else "has addresses without a subnet"
            yield text, "write one of IPv4, as 10.20.0.0/20"
        return
    part = _range(pool.ip_range)
    if pool.ip_range and (part is None or not part.subnet_of(subnet)):
        yield (
            f"has the range {pool.ip_range[:64]!r}, which is no part of {subnet}",
            "write a part of the subnet",
        )
    for what, text in (("gateway", pool.gateway), *pool.aux_addresses.items()):
        if text and not _is_in(text, subnet):
            yield f"has {what[:64]} {text[:64]!r}, which is no address of {subnet}", "write one of the subnet"


def _range(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text) if text else None
    except ValueError:
        return None


def _is_in(text: str, subnet: IPv4Network) -> bool:
    return is_address(text) and IPv4Address(text) in subnet


def is_address(text: str) -> bool:
    """Whether it is an address of IPv4."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
