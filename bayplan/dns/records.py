"""The records of entries: addresses, ports with their targets, texts. Entries come in groups, those of the
first are preferred; records are in the same groups. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from bayplan.directory import Entry, Standing
from bayplan.dns import wire
from bayplan.dns.wire import QUESTION_POINTER, Record, Type
from bayplan.model import Protocol

#: How long an answer, and a "no", may be kept (seconds): what is gone shall be asked for no longer.
TTL_S, NEGATIVE_TTL_S = 1, 1

#: Who is to be written to about the zone, below its apex.
_CONTACT = "hostmaster"
#: Addresses that are kept parsed.
ADDRESSES_MAX = 16_384

Groups = tuple[tuple[Entry, ...], ...]
RecordGroups = tuple[tuple[Record, ...], ...]

#: RFC 8482, 4.2: the answer to ANY.
ANY: RecordGroups = (
    (Record(wire.record(QUESTION_POINTER, Type.HINFO, TTL_S, wire.txt("RFC8482") + b"\0")),),
)


def groups(entries: Iterable[Entry], near: str = "") -> Groups:
    """Entries by preference: those on the node `near`, the others, at last those whose node is not heard."""
    found = list(entries)
    sure = [each for each in found if each.standing is not Standing.SUSPECT]
    suspect = tuple([each for each in found if each.standing is Standing.SUSPECT])
    at_hand = tuple([each for each in sure if near and each.node == near])
    return at_hand, tuple([each for each in sure if not (near and each.node == near)]), suspect


def addresses(kind: int, entries: Groups) -> RecordGroups:
    """A or AAAA records, each address once."""
    seen: set[str] = set()
    found: list[tuple[Record, ...]] = []
    for group in entries:
        fresh = dict.fromkeys([each.address for each in group if each.address not in seen])
        seen.update(fresh)
        encoded = [_address(kind, address) for address in fresh]
        found.append(tuple([each for each in encoded if each is not None]))
    return tuple(found)


def _address(kind: int, address: str) -> Record | None:
    ip = _ip(address)
    if ip is None or _type_of(ip) != kind:
        return None
    return Record(wire.record(QUESTION_POINTER, Type(kind), TTL_S, ip.packed))


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=ADDRESSES_MAX)
def _ip(address: str) -> _Ip | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _type_of(ip: _Ip) -> Type:
    return Type.A if ip.version == 4 else Type.AAAA


def address_label(ip: _Ip) -> str:
    """The label below `addr` that stands for an address: a target for SRV that nothing else shares."""
    return ip.packed.hex()


def labelled(label: str) -> str | None:
    """The address that such a label stands for; None for one that stands for none."""
    try:
        packed = bytes.fromhex(label)
        return str(ipaddress.ip_address(packed)) if label.isalnum() else None
    except ValueError:
        return None


PortOf = Callable[[Entry], int]


def main_port(entry: Entry) -> int:
    """The port to connect to; 0 for none."""
    return entry.port


def port_of(protocol: Protocol, port_name: str = "") -> PortOf:
    """The first port of this protocol, and of this name if one is given."""

    def find(entry: Entry) -> int:
        for port in entry.ports:
            asked = port.protocol is protocol and port_name in ("", port.name.lower())
            if asked and (number := entry.number_of(port)):
                return number
        bare = not entry.ports and protocol is Protocol.TCP and not port_name
        return entry.port if bare else 0

    return find


def services(entries: Groups, port: PortOf, apex: tuple[str, ...]) -> RecordGroups:
    """SRV records with their targets' addresses; a later group has a later priority, those without a port
    have no record."""
    found: list[tuple[Record, ...]] = []
    for group in entries:
        priority = sum(1 for each in found if each)
        found.append(tuple(dict.fromkeys(_service_records(group, port, apex, priority))))
    return tuple(found)


def _service_records(
    group: Iterable[Entry], port: PortOf, apex: tuple[str, ...], priority: int
) -> Iterator[Record]:
    for entry in group:
        ip, number = _ip(entry.address), port(entry)
        if ip is None or not number:
            continue
        target = wire.name(address_label(ip), "addr", *apex)
        data = wire.srv(priority, entry.weight, number, target)
        glue = wire.record(b"", _type_of(ip), TTL_S, ip.packed)
        yield Record(wire.record(QUESTION_POINTER, Type.SRV, TTL_S, data), glue)


def texts(entries: Groups) -> RecordGroups:
    """One TXT record for each entry, with strings as DNS-SD has them (RFC 6763, 6)."""
    return tuple([tuple([text(*_facts(entry)) for entry in group]) for group in entries])


def text(*strings: str) -> Record:
    """A TXT record."""
    return Record(wire.record(QUESTION_POINTER, Type.TXT, TTL_S, wire.txt(*strings)))


def _facts(entry: Entry) -> list[str]:
    facts: dict[str, object] = {
        "id": entry.id,
        "address": entry.address,
        "port": entry.port,
        "node": entry.node,
        "zone": entry.zone,
        "slot": entry.slot,
        "version": entry.version,
        "weight": entry.weight,
        "standing": entry.standing.value,
        "tags": ",".join(entry.tags),
    }
    return [f"{key}={value}" for key, value in facts.items() if value not in ("", 0)]


def authority(owner: bytes, apex: bytes, serial: int) -> bytes:
    """The SOA record of our zone for an owner, both in wire form: where the owner is the name asked for,
    which may be as long as names are, nothing fits before it."""
    contact = bytes([len(_CONTACT)]) + _CONTACT.encode() + apex
    data = wire.soa(b"\x02ns" + apex, contact, serial, NEGATIVE_TTL_S)
    return wire.record(owner, Type.SOA, NEGATIVE_TTL_S, data)


def reverse(labels: list[str]) -> str | None:
    """The address that a name below in-addr.arpa or ip6.arpa stands for; None for any other name."""
    match labels:
        case [*octets, "in-addr", "arpa"] if len(octets) == 4:
            ip = _ip(".".join(reversed(octets)))
        case [*nibbles, "ip6", "arpa"] if len(nibbles) == 32 and all(len(each) == 1 for each in nibbles):
            digits = "".join(reversed(nibbles))
            ip = _ip(":".join(digits[at : at + 4] for at in range(0, 32, 4)))
        case _:
            return None
    return str(ip) if ip is not None else None


def pointers(names: Iterable[tuple[str, ...]]) -> tuple[Record, ...]:
    """PTR records of names given as labels; what is no name in DNS has none."""
    found: list[Record] = []
    for labels in names:
        try:
            target = wire.name(*labels)
        except ValueError:
            continue
        found.append(Record(wire.record(QUESTION_POINTER, Type.PTR, TTL_S, target)))
    return tuple(dict.fromkeys(found))
