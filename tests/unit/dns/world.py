"""A small shop in DNS, and questions to it in a few words; dnspython is the oracle."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode

from bayplan.directory import Entry, Listing, Origin, Port, Standing
from bayplan.dns import Responder, Zone
from bayplan.model import Protocol
from tests.memory_source import MemorySource

APEX = "bayplan"


def entry(slot: int, address: str = "", *, node: str = "", version: int = 1, **more: object) -> Entry:
    """An instance on its own node, ready, with port 8000 and its slot."""
    known = {
        "id": f"i{slot}",
        "slot": slot,
        "node": node or f"n{slot}",
        "version": version,
        "port": 8000 + slot,
    }
    known["address"] = address or f"10.0.0.{slot}"
    return Entry(**(known | more))  # type: ignore[arg-type]


class World:
    """A source, its zone and its responder."""

    def __init__(self, *, apex: str = APEX) -> None:
        self.source = MemorySource()
        self.source.state = Origin(node="n1")
        self.responder = Responder(Zone(self.source, apex, ("127.0.0.1",)))
        self.apex = apex

    def put(self, name: str, *entries: Entry) -> None:
        """A service by its name, as `web.shop`."""
        service, _, stack = name.rpartition(".")
        self.source.put(stack, service, *entries)

    def nodes(self, **addresses: str) -> None:
        """The cluster's nodes with their addresses."""
        index = self.source.directory.index + 1
        entries = [Entry(id=name, node=name, address=address) for name, address in addresses.items()]
        self.source.directory.put(Listing.of("", "", index, entries), index)

    def ask(self, name: str, kind: str = "A", *, stream: bool = False, edns: int = -1) -> dns.message.Message:
        """The answer to a question about a name below the apex, or about one that ends in a dot."""
        full = name if name.endswith(".") else f"{name}.{self.apex}."
        query = dns.message.make_query(full, kind, use_edns=0 if edns >= 0 else -1, payload=max(edns, 0))
        return self.ask_raw(query, stream=stream)

    def ask_raw(self, query: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
        """The answer to a message, which must fit it."""
        packet = self.responder.respond(query.to_wire(), stream)
        assert isinstance(packet, bytes)
        assert stream or len(packet) <= max(query.payload, 512)
        answer = dns.message.from_wire(packet)
        assert query.is_response(answer)
        return answer

    def found(self, name: str, kind: str = "A") -> list[str]:
        """The data of the records in an answer, sorted."""
        return sorted(self.in_order(name, kind))

    def in_order(self, name: str, kind: str = "A") -> list[str]:
        answer = self.ask(name, kind, stream=True)
        assert answer.rcode() == dns.rcode.NOERROR, f"{name} {kind}: {answer}"
        return [str(record) for rrset in answer.answer for record in rrset]

    def rcode(self, name: str, kind: str = "A") -> str:
        """What came of a question: its code, or NODATA; both with the SOA that says for how long."""
        answer = self.ask(name, kind)
        if answer.answer:
            return "DATA"
        if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            (soa,) = answer.authority
            assert soa.ttl == 1 and soa[0].minimum == 1
        return "NODATA" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode())


def shop() -> World:
    """`web.shop` with three slots of two versions, one of them not ready; `db.shop` with nobody."""
    world = World()
    world.put(
        "web.shop",
        entry(1),
        entry(2, version=2),
        entry(3, standing=Standing.STARTING, version=2),
    )
    world.put("db.shop")
    return world


def ports(**numbers: int) -> tuple[Port, ...]:
    """Named ports, as published."""
    return tuple([Port(target=80, published=port, name=name) for name, port in numbers.items()])


def udp_port(number: int) -> Port:
    return Port(target=53, published=number, protocol=Protocol.UDP)
