"""Which nodes may take a task at all, each with the cause when it may not."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from bayplan import constraints
from bayplan.model import Availability, NodeStatus, PortSpec, Resources
from controller.records import Node


class Cause(StrEnum):
    """Why a node cannot take a task, in the order in which causes are tried."""

    NOT_READY = "not ready"
    PAUSED = "paused"
    DRAINING = "draining"
    CONSTRAINT = "excluded by a constraint"
    PER_NODE = "already run the most allowed per node"
    PORT = "have the port taken"
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


def eligible(candidate: Candidate, wanted: list[constraints.Constraint]) -> Cause | None:
    """Causes that do not depend on what already runs on the node."""
    if candidate.status is not NodeStatus.READY:
        return Cause.NOT_READY
    if candidate.node.availability is Availability.PAUSE:
        return Cause.PAUSED
    if candidate.node.availability is Availability.DRAIN:
        return Cause.DRAINING
    if not all(constraint.holds(attribute(candidate.node, constraint.key)) for constraint in wanted):
        return Cause.CONSTRAINT
    return None


def attribute(node: Node, key: str) -> str:
    """A node's value for a constraint's key; empty when it has none."""
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    return {
        "node.hostname": node.name,
        "node.id": node.id,
        "node.platform.os": node.inventory.os,
        "node.platform.arch": node.inventory.arch,
        "node.role": "worker",
    }[key]


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
