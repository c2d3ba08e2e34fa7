"""Which nodes may take a task at all, each with the cause when it may not."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from bayplan import constraints
from bayplan.model import Availability, NodeStatus, PortSpec, Resources, ServiceSpec
from controller.records import Node

#: Other names of architectures (uname's), by Docker's name for them
#: (https://github.com/containerd/platforms, normalizeArch).
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
#: Before the name of a label of a node; the labels of its engine are not told apart from its own.
_LABELS = ("node.labels.", "engine.labels.")
_ARCHITECTURE = "node.platform.arch"


class Cause(StrEnum):
    """Why a node cannot take a task, in the order in which causes are tried."""

    ELSEWHERE = "serve other slots of it"
    NOT_READY = "not ready"
    ENGINE = "with an engine that does not answer"
    PAUSED = "paused"
    DRAINING = "draining"
    PLATFORM = "of another platform"
    CONSTRAINT = "excluded by a constraint"
    PER_NODE = "already run the most allowed per node"
    PORT = "have the port taken"
    GENERIC = "short of generic resources"
    CPU = "short of CPU"
    MEMORY = "short of memory"


PortKey = tuple[int, str, str]


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
    if candidate.status is not NodeStatus.READY:
        return Cause.NOT_READY
    if candidate.engine_silent:
        return Cause.ENGINE
    if candidate.node.availability is Availability.PAUSE:
        return Cause.PAUSED
    if candidate.node.availability is Availability.DRAIN:
        return Cause.DRAINING
    return unfit(candidate.node, spec, wanted)


def unfit(node: Node, spec: ServiceSpec, wanted: list[constraints.Constraint]) -> Cause | None:
    """Causes that lie in what a node is, whatever its state."""
    if not runs(node, spec.container.platform):
        return Cause.PLATFORM
    return None if all(_holds(node, each) for each in wanted) else Cause.CONSTRAINT


def fits(node: Node, spec: ServiceSpec, wanted: list[constraints.Constraint]) -> bool:
    """Whether a node is of the kind that a service wants."""
    return unfit(node, spec, wanted) is None


def runs(node: Node, platform: str) -> bool:
    """Whether a node is of a platform (`os/arch[/variant]`); what is not known of it does not exclude it."""
    os, _, rest = platform.partition("/")
    arch = rest.partition("/")[0]
    inventory = node.inventory
    same_os = not os or inventory.os in ("", os.lower())
    return same_os and (not arch or inventory.arch == "" or _arch(inventory.arch) == _arch(arch))


def _holds(node: Node, constraint: constraints.Constraint) -> bool:
    """Cases: an architecture, which has several names; everything else."""
    if constraint.key == _ARCHITECTURE:
        return (_arch(node.inventory.arch) == _arch(constraint.value)) is not constraint.negated
    return constraint.holds(attribute(node, constraint.key))


def _arch(name: str) -> str:
    return _ARCHITECTURES.get(name.lower(), name.lower())


def attribute(node: Node, key: str) -> str:
    """A node's value for a constraint's or a preference's key; empty when it has none."""
    for before in _LABELS:
        if key.startswith(before):
            return node.labels.get(key.removeprefix(before), "")
    return {
        "node.hostname": node.name,
        "node.id": node.id,
        "node.platform.os": node.inventory.os,
        _ARCHITECTURE: node.inventory.arch,
        "node.role": "worker",
    }.get(key, "")


def port_keys(ports: tuple[PortSpec, ...]) -> frozenset[PortKey]:
    """The fixed ports of a spec: number, protocol, address (empty is all)."""
    return frozenset(
        (port.published, port.protocol.value, "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip)
        for port in ports
        if port.published
    )


def clash(wanted: frozenset[PortKey], taken: frozenset[PortKey]) -> PortKey | None:
    """The first wanted port that is taken: same number and protocol, and addresses that overlap."""
    for key in sorted(wanted):
        number, protocol, address = key
        for other in taken:
            if (number, protocol) == other[:2] and (not address or not other[2] or address == other[2]):
                return key
    return None
