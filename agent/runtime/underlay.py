"""The link between the nodes as this host has it: its MTU, those of containers, and what else is reached.

Synchronous, for a thread. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.events import Underlay
from agent.labels import BRIDGE_PREFIX, bridge_name
from agent.runtime.kernel import ROUTES_MAX
from agent.runtime.links import LinkError, open_links
from bayplan.model import Overlay

#: The kind of a container's link.
_VETH = "veth"


def look(address: str, overlays: Iterable[Overlay]) -> Underlay:
    """`address`: the one under which others reach this node. Raises LinkError."""
    with open_links() as links:
        every = links.all()
        bridges = {every[name].number: network for name, network in _bridges(overlays) if name in every}
        containers: dict[str, int] = {}
        for link in every.values():
            if link.kind == _VETH and link.master in bridges:
                network = bridges[link.master]
                containers[network] = max(link.mtu, containers.get(network, 0))
        routes = tuple(map(str, links.routes(BRIDGE_PREFIX)[:ROUTES_MAX]))
        try:
            mtu = links.mtu_at(address)
        except LinkError:  # an address that no link has is told of when a network is made
            mtu = 0
        return Underlay(mtu, containers, routes)


def _bridges(overlays: Iterable[Overlay]) -> list[tuple[str, str]]:
    return [(bridge_name(overlay.vni), overlay.network) for overlay in overlays]
