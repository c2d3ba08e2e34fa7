"""Which nodes may take a task at all, each with the cause when it may not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bayplan import constraints
from bayplan.model import Availability, NodeStatus, PortMode, PortSpec, Resources, ServiceSpec
from bayplan.platforms import architecture
from controller.records import Node


class Cause(StrEnum):
    """Why a node cannot take a task, in the order in which causes are tried."""

    ELSEWHERE = "serve other slots of it"
    NOT_READY = "not ready"
    ENGINE = "with an engine that does not answer"
    PAUSED = "paused"
    DRAINING = "draining"
    PLATFORM = "of another platform"
    NETWORK = "cannot take part in networks that span nodes"
    CONSTRAINT = "excluded by a constraint"
    AFFINITY = "kept away by an affinity"
    PER_NODE = "already run the most allowed per node"
    PORT = "have the port taken"
    GENERIC = "short of generic resources"
    CPU = "short of CPU"
    MEMORY = "short of memory"
    DISK = "short of disk"
    PIDS = "short of pids"


PortKey = tuple[int, str, str]
#: In what a node may have to be able to take part: networks that span nodes, and encrypted ones.
NETWORKED, ENCRYPTED = "networked", "encrypted"


class Candidate(NamedTuple):
    """A node as the scheduler sees it: what it is, what is free, which ports and services are on it."""

    node: Node
    status: NodeStatus
    free: Resources
    ports: frozenset[PortKey]
    counts: dict[str, int]
    generic: dict[str, int] = {}
    engine_silent: bool = False
    #: It came and went lately: taken only where no other node fits.
    shaky: bool = False


def parsed(spec: ServiceSpec) -> list[constraints.Constraint]:
    """The constraints of a spec, read."""
    return [constraints.parse(text) for text in spec.constraints]


def eligible(candidate: Candidate, spec: ServiceSpec, wanted: list[constraints.Constraint]) -> Cause | None:
    """Causes that do not depend on what already runs on the node; `wanted` are the spec's constraints."""
    barred = barrier(candidate.node, candidate.status, silent=candidate.engine_silent)
    return barred or unfit(candidate.node, spec, wanted)


def barrier(node: Node, status: NodeStatus, *, silent: bool) -> Cause | None:
    """Why a node takes no new tasks at all; `silent`: its engine does not answer."""
    if status is not NodeStatus.READY:
        return Cause.NOT_READY
    if silent:
        return Cause.ENGINE
    if node.availability is Availability.PAUSE:
        return Cause.PAUSED
    return Cause.DRAINING if node.availability is Availability.DRAIN else None


def unfit(node: Node, spec: ServiceSpec, wanted: list[constraints.Constraint]) -> Cause | None:
    """Causes that lie in what a node is, whatever its state."""
    if not runs(node, spec.container.platform):
        return Cause.PLATFORM
    if network_fault(node, network_need(spec)):
        return Cause.NETWORK
    return None if all(each.holds(attribute(node, each.key)) for each in wanted) else Cause.CONSTRAINT


def network_need(spec: ServiceSpec) -> str:
    """In what a service's nodes must be able to take part: NETWORKED, ENCRYPTED or nothing. A network that is
    not its stack's own is known for what it is by then (`core.network_requests.resolve`)."""
    spanning = [
        each.spec
        for each in spec.container.networks
        if each.spec.spans_nodes or (each.spec.external and each.spec.driver)
    ]
    if any(each.encrypted for each in spanning):
        return ENCRYPTED
    return NETWORKED if spanning else ""


def network_fault(node: Node, need: str) -> str:
    """Why a node can take no part in what a service needs; empty: it can."""
    found = node.inventory
    if not need or found.overlay_fault:
        return found.overlay_fault if need else ""
    if need == ENCRYPTED and not found.tunnel_key:
        return f"it cannot encrypt: {found.tunnel_fault or 'its agent is too old'}"
    return ""


def fits(node: Node, spec: ServiceSpec, wanted: list[constraints.Constraint]) -> bool:
    """Whether a node is of the kind that a service wants."""
    return unfit(node, spec, wanted) is None


def runs(node: Node, platform: str) -> bool:
    """Whether a node is of a platform (`os/arch[/variant]`); what is not known of it does not exclude it."""
    return runs_on(platform_of(node), platform)


def platform_of(node: Node) -> str:
    """A node's own platform, `os/arch`, each of which may be empty."""
    return f"{node.inventory.os}/{node.inventory.arch}"


def runs_on(own: str, platform: str) -> bool:
    """As `runs`, of a node's own platform."""
    known_os, _, known_arch = own.partition("/")
    os, _, rest = platform.partition("/")
    arch = rest.partition("/")[0]
    same_os = not os or known_os in ("", os.lower())
    return same_os and (not arch or not known_arch or architecture(known_arch) == architecture(arch))


def attribute(node: Node, key: str) -> str:
    """A node's value for a constraint's or a preference's key; empty when it has none."""
    if key.startswith(constraints.LABELS):
        return node.labels.get(key.removeprefix(constraints.LABELS), "")
    if key.startswith(constraints.ENGINE_LABELS):
        return node.inventory.engine_labels.get(key.removeprefix(constraints.ENGINE_LABELS), "")
    read = _ATTRIBUTES.get(key)
    return read(node) if read else ""


#: How each key is read off a node.
_ATTRIBUTES: dict[str, Callable[[Node], str]] = {
    "node.hostname": lambda node: node.name,
    "node.id": lambda node: node.id,
    "node.ip": lambda node: node.address,
    "node.platform.os": lambda node: node.inventory.os,
    "node.platform.arch": lambda node: node.inventory.arch,
    "node.role": lambda _: "worker",
    "engine.version": lambda node: node.inventory.engine_version,
    constraints.CPUS: lambda node: _known(node.inventory.capacity.cpu_millis, 1000),
    constraints.MEMORY: lambda node: _known(node.inventory.capacity.memory_bytes),
    constraints.DISK: lambda node: _known(node.inventory.capacity.disk_bytes),
}


def _known(amount: int, parts: int = 1) -> str:
    """An amount as text; what a node has nothing of, it has not told."""
    return f"{Decimal(amount) / parts:f}" if amount else ""


def port_keys(ports: tuple[PortSpec, ...]) -> frozenset[PortKey]:
    """The fixed ports that a spec's tasks take on their node: number, protocol, address (empty is all)."""
    return keys_of(ports, PortMode.HOST)


def keys_of(ports: tuple[PortSpec, ...], mode: PortMode) -> frozenset[PortKey]:
    """The fixed ports of this mode: number, protocol, address (empty is all)."""
    return frozenset(
        (port.published, port.protocol.value, "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip)
        for port in ports
        if port.published and port.mode is mode
    )


def clash(wanted: frozenset[PortKey], taken: frozenset[PortKey]) -> PortKey | None:
    """The first wanted port that is taken: same number and protocol, and addresses that overlap."""
    for key in sorted(wanted):
        number, protocol, address = key
        for other in taken:
            if (number, protocol) == other[:2] and (not address or not other[2] or address == other[2]):
                return key
    return None
