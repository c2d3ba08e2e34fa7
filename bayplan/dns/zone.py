"""The zone of a directory: what a name means and which records it has. Pure; knows no packets and no sockets.

Every name that exists answers types that it does not have with NODATA, never NXDOMAIN: resolvers give up a
name for that. What is in no zone of ours is None: it is refused, or asked of somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bayplan.directory import Entry, Listing, Origin, Source
from bayplan.dns import records, wire
from bayplan.dns.names import Names, addresses_of
from bayplan.dns.parts import part
from bayplan.dns.records import RecordGroups
from bayplan.dns.wire import QUESTION_POINTER, Rcode, Record, Type
from bayplan.model import Protocol

#: The name below which all others are.
APEX = "bayplan"
#: Names that one address is given back for.
REVERSE_MAX = 16

_PROTOCOLS = {f"_{each.value}": each for each in Protocol}


class Answer(NamedTuple):
    """What the zone says of a question. `groups` are records by preference, `authority` at most one SOA.

    `key`: it holds until the listing with this key changes; "": until anything does; None: only now.
    `absent`: nobody or nothing is there now, of which a directory that is not whole cannot be sure.
    """

    rcode: Rcode
    groups: RecordGroups = ()
    authority: bytes = b""
    key: str | None = ""
    absent: bool = False


class _Meaning(NamedTuple):
    """What a name stands for: its records by type, which listing they hang on, and whether it is one that
    has nobody at the moment."""

    make: Callable[[int], RecordGroups]
    key: str | None = ""
    absent: bool = False


def _nothing(kind: int) -> RecordGroups:
    return ()


class Zone:
    """The zone of a source's directory, which must stay one and the same object. `apex` is the name below
    which all is, `addresses` are those of the name server. Raises ValueError for an apex that is no name."""

    def __init__(self, source: Source, apex: str = APEX, addresses: tuple[str, ...] = ()) -> None:
        self._source, self._addresses = source, addresses
        self._labels = tuple(apex.lower().rstrip(".").split("."))
        self._apex = wire.name(*self._labels)
        self.directory = source.directory
        self._names = Names(self.directory)
        self.index = self.directory.index

    def update(self) -> list[str] | None:
        """Take notice of what has changed: the keys of it, None for all."""
        keys = self.directory.changed_since(self.index)
        self._names.update(keys)
        self.index = self.directory.index
        return keys

    def origin(self) -> Origin:
        """How good the directory is now."""
        return self._source.origin()

    def answer(self, name: bytes, kind: int) -> Answer | None:
        """What there is at a name (lower case, in the wire's form); None for one in no zone of ours."""
        labels = [each.decode("latin-1") for each in wire.labels(name)]
        inner = self._inside(name)
        if inner is None:
            meaning = self._reverse(labels)
            if meaning is None:
                return None
            owner = QUESTION_POINTER
        else:
            meaning = self._meaning(inner)
            owner = wire.pointer(wire.HEADER_BYTES + len(name) - len(self._apex))
        if meaning is None:
            return Answer(Rcode.NXDOMAIN, (), self._soa(owner), absent=True)
        if kind == Type.ANY:
            return Answer(Rcode.OK, records.ANY, key=meaning.key)
        found = meaning.make(kind)
        if any(found):
            return Answer(Rcode.OK, found, key=meaning.key)
        return Answer(Rcode.OK, (), self._soa(owner), meaning.key, meaning.absent)

    # --- what a name stands for ---

    def _inside(self, name: bytes) -> list[str] | None:
        """The labels of a name before the apex; None for one that is not below it."""
        if not name.endswith(self._apex):
            return None
        labels = [each.decode("latin-1") for each in wire.labels(name)]
        depth = len(self._labels)
        # The bytes of the apex may also be the end of a longer label.
        return labels[:-depth] if tuple(labels[-depth:]) == self._labels else None

    def _meaning(self, inner: list[str]) -> _Meaning | None:
        """None for a name that does not exist."""
        if any("." in label for label in inner):
            return None  # a dot within a label: it would look like another name
        found = self._own(inner) or self._of_service(inner) or self._of_protocol(inner)
        if found is not None:
            return found
        if self._names.has_below(".".join(inner)) or inner in (["addr"], ["node"]):
            return _Meaning(_nothing)
        return self._infrastructure(inner)

    def _own(self, inner: list[str]) -> _Meaning | None:
        """The apex and its name server."""
        if not inner:
            return _Meaning(self._apex_records, key=None)
        return _Meaning(_at(*self._addresses)) if inner == ["ns"] else None

    def _infrastructure(self, inner: list[str]) -> _Meaning | None:
        """Nodes, and addresses as targets of SRV. A stack of such a name comes before."""
        match inner:
            case [*parts, "node"]:
                node = self._names.node(".".join(parts))
                return _Meaning(_at(node.address)) if node is not None else None
            case [label, "addr"]:
                address = records.labelled(label)
                return _Meaning(_at(address)) if address is not None else None
        return None

    def _of_service(self, inner: list[str]) -> _Meaning | None:
        """`web.shop`, and with a word before it."""
        listing = self._names.listing(".".join(inner))
        if listing is not None:
            return self._entries(listing, listing.given())
        listing = self._names.listing(".".join(inner[1:]))
        if listing is None:
            return None
        entries = part(inner[0], listing)
        near = self._source.origin().node if inner[0] == "local" else ""
        return self._entries(listing, entries, near=near) if entries is not None else None

    def _entries(
        self,
        listing: Listing,
        entries: Sequence[Entry],
        port: records.PortOf = records.main_port,
        near: str = "",
    ) -> _Meaning:
        groups = records.groups(entries, near)

        def make(kind: int) -> RecordGroups:
            if kind in (Type.A, Type.AAAA):
                return records.addresses(kind, groups)
            if kind == Type.SRV:
                return records.services(groups, port, self._labels)
            return records.texts(groups) if kind == Type.TXT else ()

        return _Meaning(make, listing.key, absent=not entries)

    def _of_protocol(self, inner: list[str]) -> _Meaning | None:
        """`_web._tcp.shop` a service, `_http._tcp.web.shop` a port of one by its name; what is above them."""
        match inner:
            case [word, protocol, *rest] if word[:1] == "_" and protocol in _PROTOCOLS:
                spoken, port_name = _PROTOCOLS[protocol], ""
                listing = self._names.listing(".".join(rest))
                if listing is not None:
                    port_name = word[1:]
                else:
                    listing = self._names.listing(".".join([word[1:], *rest]))
                if listing is None or not rest:
                    return None
                port = records.port_of(spoken, port_name)
                if port_name and not any(port(each) for each in listing.entries):
                    return None
                found = self._entries(listing, listing.given(), port)
                return found._replace(make=_only(Type.SRV, found.make))
            case [protocol, *rest] if protocol in _PROTOCOLS and rest:
                above = ".".join(rest)
                exists = self._names.has_below(above) or self._names.listing(above) is not None
                return _Meaning(_nothing) if exists else None
        return None

    def _reverse(self, labels: list[str]) -> _Meaning | None:
        """The names of an address; None when it is not known here."""
        address = records.reverse(labels)
        if address is None:
            return None
        names: list[tuple[str, ...]] = []
        node = self._names.node_at(address)
        if node is not None:
            names.append((*node.split("."), "node", *self._labels))
        else:
            for listing in self._names.listings_at(address):
                names += self._names_of(listing, address)
        found = records.pointers(names[:REVERSE_MAX])
        return _Meaning(_only(Type.PTR, lambda kind: (found,))) if names else None

    def _names_of(self, listing: Listing, address: str) -> list[tuple[str, ...]]:
        base = (*listing.service.split("."), listing.stack, *self._labels)
        slots = [each.slot for each in listing.entries if address in addresses_of(each)]
        return [(str(slot), *base) if slot else base for slot in slots]

    # --- the zone's own records ---

    def _apex_records(self, kind: int) -> RecordGroups:
        match kind:
            case Type.SOA:
                return ((Record(self._soa(QUESTION_POINTER)),),)
            case Type.NS:
                target = b"\x02ns" + QUESTION_POINTER
                return ((Record(wire.record(QUESTION_POINTER, Type.NS, records.TTL_S, target)),),)
            case Type.TXT:
                return ((self._state(),),)
        return ()

    def _state(self) -> Record:
        """How good the directory is: the way to see how old answers are."""
        origin = self._source.origin()
        index, age = f"index={self.directory.index}", f"age_ms={origin.age_ms}"
        return records.text(f"node={origin.node}", index, age, f"whole={'yes' if origin.whole else 'no'}")

    def _soa(self, owner: bytes) -> bytes:
        """The SOA record, for a packet in which its owner stands where this pointer says."""
        return records.authority(owner, self._apex, self.directory.index)


def _at(*addresses: str) -> Callable[[int], RecordGroups]:
    """The addresses of something that is no service."""
    entries = (tuple([Entry(id="", address=address) for address in addresses]),)
    return lambda kind: records.addresses(kind, entries) if kind in (Type.A, Type.AAAA) else ()


def _only(kind: Type, make: Callable[[int], RecordGroups]) -> Callable[[int], RecordGroups]:
    return lambda asked: make(asked) if asked == kind else ()
