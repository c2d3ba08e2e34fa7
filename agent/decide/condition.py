"""What is the matter with this node, in words: out of what was found, what its controller is told.

Pure. The order is the one in which one would look: what keeps all from working comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network

from agent.events import Fault, FaultKind, Underlay
from bayplan.model import NodeCondition, NodeFault, NodeFaultKind, Overlay
from bayplan.node_faults import bounded

#: What VXLAN's headers take of a packet over IPv4, in bytes (RFC 7348, 5).
HEADER_BYTES = 50
_ORDER = tuple(NodeFaultKind)


def condition_of(
    found: Iterable[NodeFault], refused: Mapping[str, Fault], overlays: Sequence[Overlay], underlay: Underlay
) -> NodeCondition:
    """All of it: what was `found` elsewhere, the networks that were `refused`, by name, and what follows from
    the link between the nodes for those in which this one takes part."""
    faults = {*found, *_of_networks(refused), *_of_mtu(underlay), *_of_subnets(overlays, underlay.routes)}
    ordered = sorted(faults, key=lambda fault: (_ORDER.index(fault.kind), fault.subject, fault.text))
    return bounded(NodeCondition(faults=tuple(ordered), link_mtu=underlay.mtu))


def _of_networks(refused: Mapping[str, Fault]) -> Iterable[NodeFault]:
    """An engine that did not answer is asked again at once, and told of otherwise."""
    for network, fault in refused.items():
        if fault.kind is not FaultKind.UNANSWERED:
            text = f"network {network} cannot be made: {fault.reason}"
            yield NodeFault(kind=NodeFaultKind.NETWORK, subject=network, text=text)


def _of_mtu(underlay: Underlay) -> Iterable[NodeFault]:
    most = underlay.mtu - HEADER_BYTES
    for network, mtu in underlay.containers.items():
        if underlay.mtu and mtu > most:
            text = (
                f"containers in {network} send packets of {mtu} bytes, and the link between the nodes, "
                f"whose MTU is {underlay.mtu}, takes {most} of them"
            )
            hint = (
                f"set the link's MTU to {mtu + HEADER_BYTES}, or stop all tasks in {network} on this node: "
                "it is made anew with the link's"
            )
            yield NodeFault(kind=NodeFaultKind.MTU, subject=network, text=text, hint=hint)


def _of_subnets(overlays: Sequence[Overlay], routes: Sequence[str]) -> Iterable[NodeFault]:
    known = [IPv4Network(route) for route in routes]
    for overlay in overlays:
        subnet = IPv4Network(overlay.subnet)
        for route in known:
            if subnet.overlaps(route):
                text = f"network {overlay.network}, {subnet}, overlaps {route}, a route of this node"
                hint = f"`ip route show to match {route}`; give one of both another subnet"
                yield NodeFault(kind=NodeFaultKind.SUBNET, subject=overlay.network, text=text, hint=hint)
