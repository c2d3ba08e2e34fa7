"""Who may go on answering what UDP callers have begun: a flow to an instance that is gone is to be let go of.

UDP has no connections that would end with the instance: the kernel sends a caller who keeps his local port to
the same place for as long as he speaks. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.decide.dataplane import Place, at_container, at_node, is_ipv4
from agent.flow import Flow
from bayplan.directory import Listing
from bayplan.model.base import Protocol


class Answerers(NamedTuple):
    """The addresses of instances by virtual address, and their ends by published UDP port."""

    virtual: Mapping[str, frozenset[str]] = {}
    published: Mapping[int, frozenset[tuple[str, int]]] = {}

    def lets_go_of(self, flow: Flow) -> bool:
        """Is it to one of these, and answered by nobody who may?"""
        if flow.address in self.virtual:
            return flow.server not in self.virtual[flow.address]
        ends = self.published.get(flow.port)
        return ends is not None and (flow.server, flow.server_port) not in ends


NOBODY = Answerers()


def answerers(listing: Listing, place: Place) -> Answerers:
    """Those of a service, ready or not: who drains may end what he has begun."""
    virtual = {
        vip: frozenset(filter(is_ipv4, (entry.networks.get(network, "") for entry in listing.entries)))
        for network, vip in listing.facade.vips.items()
    }
    published = {}
    for each in listing.facade.published:
        if each.protocol is Protocol.UDP:
            local = [entry for entry in listing.entries if entry.node_id == place.node_id]
            ends = [at_container(entry, each, place) for entry in local]
            ends += [at_node(entry, each) for entry in listing.entries]
            published[each.published] = frozenset((end.address, end.port) for end in ends if end)
    return Answerers(virtual, published)


def shrunk(before: Answerers, now: Answerers) -> Answerers:
    """What has lost somebody, with who is left of it."""
    virtual = {key: now.virtual.get(key, frozenset()) for key in before.virtual}
    published = {key: now.published.get(key, frozenset()) for key in before.published}
    return Answerers(
        {key: left for key, left in virtual.items() if before.virtual[key] - left},
        {key: left for key, left in published.items() if before.published[key] - left},
    )


def together(parts: Iterable[Answerers]) -> Answerers:
    """Those of several services, or of one at several times: the last one counts."""
    virtual: dict[str, frozenset[str]] = {}
    published: dict[int, frozenset[tuple[str, int]]] = {}
    for part in parts:
        virtual |= part.virtual
        published |= part.published
    return Answerers(virtual, published)
