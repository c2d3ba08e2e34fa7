"""Services on networks that span nodes, and what containers on these are told; dnspython is the oracle."""

from __future__ import annotations

from ipaddress import IPv4Network

import dns.flags
import dns.message
import dns.rcode

from bayplan.directory import Entry, Facade, Origin, Port
from bayplan.dns import NetworkNames, NetworkZone, Responder, Scope
from bayplan.dns.wire import Question
from tests.memory_source import MemorySource

SUBNETS = {
    "front": IPv4Network("10.64.0.0/20"),
    "back": IPv4Network("10.65.0.0/20"),
    "far": IPv4Network("10.66.0.0/20"),
}


def on(slot: int, *, task: str = "", **networks: str) -> Entry:
    """An instance that is ready, with these addresses by network, and a published port of its node."""
    return Entry(
        id=task or f"task{slot}",
        slot=slot,
        node=f"n{slot}",
        address=f"192.0.2.{slot}",
        port=30_000 + slot,
        networks=networks,
        target=8080,
        ports=(Port(target=8080, published=30_000 + slot, name="http"),),
    )


class NetworkWorld:
    """A directory, and a responder for each scope that asks."""

    def __init__(self) -> None:
        self.source = MemorySource()
        self.source.state = Origin(node="n1")
        self.names = NetworkNames(self.source.directory)
        self._responders: dict[Scope, Responder] = {}

    def put(
        self,
        name: str,
        *entries: Entry,
        on: dict[str, tuple[str, ...]] | None = None,
        vips: dict[str, str] | None = None,
        local_first: bool = False,
    ) -> None:
        """A service as `web.shop`, with its names beside its own by network."""
        service, _, stack = name.rpartition(".")
        names = {network: (service, *more) for network, more in (on or {}).items()}
        facade = Facade(names=names, vips=vips or {}, local_first=local_first)
        self.source.put(stack, service, *entries, facade=facade)

    def drop(self, name: str) -> None:
        service, _, stack = name.rpartition(".")
        self.source.drop(stack, service)

    def said(self, name: str, kind: str = "A", *, by: str = "front", stack: str = "shop") -> list[str] | str:
        """The data of the records in order, or NODATA, NXDOMAIN, ...; ELSEWHERE for what is not ours.

        `by`: the networks of who asks, as `front back`.
        """
        networks = tuple(by.split())
        scope = Scope(networks, tuple(SUBNETS[each] for each in networks), stack)
        if scope not in self._responders:
            zone = NetworkZone(self.source, self.names, scope)
            self._responders[scope] = Responder(zone)
        query = dns.message.make_query(name, kind)
        packet = self._responders[scope].respond(query.to_wire(), True)
        if isinstance(packet, Question):
            return "ELSEWHERE"
        assert packet is not None
        answer = dns.message.from_wire(packet)
        assert query.is_response(answer)
        if answer.answer:
            assert all(rrset.ttl <= 1 for rrset in answer.answer)
            return [str(record) for rrset in answer.answer for record in rrset]
        if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            (soa,) = answer.authority
            assert soa.ttl == 1
        return "NODATA" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode())


def shop() -> NetworkWorld:
    """`web.shop` on front and back with a virtual address, `db.shop` on back by its instances, `web.blog`
    on front and far."""
    world = NetworkWorld()
    world.put(
        "web.shop",
        on(1, front="10.64.0.17", back="10.65.0.17"),
        on(2, front="10.64.0.33", back="10.65.0.33"),
        on={"front": ("www",), "back": ()},
        vips={"front": "10.64.1.1", "back": "10.65.1.1"},
    )
    world.put("db.shop", on(1, task="db1", back="10.65.0.18"), on={"back": ("postgres", "db-main")})
    world.put(
        "web.blog", on(7, front="10.64.0.50", far="10.66.0.50"), on={"front": ("www",), "far": ()}, vips={}
    )
    return world
