"""Names as a container sees them: bare ones and those below the zone's apex, of its own networks only. Pure.

Of a name that is found on no network of his an asker is told that it does not exist. What is neither a bare
name, nor below the apex, nor a service's is None: it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, ip_address
from typing import NamedTuple

from msgspec.structs import replace

from bayplan.directory import EXTERNAL, Entry, Listing, Origin, Source
from bayplan.dns import records, wire
from bayplan.dns.network_names import NetworkNames
from bayplan.dns.parts import is_part, part
from bayplan.dns.records import RecordGroups
from bayplan.dns.wire import QUESTION_POINTER, Rcode, Type
from bayplan.dns.zone import APEX, REVERSE_MAX, Answer
from bayplan.model import Protocol
from bayplan.model.container import CONTAINER_PREFIX

_PROTOCOLS = {f"_{each.value}": each for each in Protocol}


class Scope(NamedTuple):
    """Who asks: the networks that he is on, the first first, with their subnets, and his stack."""

    networks: tuple[str, ...]
    subnets: tuple[IPv4Network, ...] = ()
    stack: str = ""


class _Found(NamedTuple):
    """A service, and the network on which the asker meets it; "" for an outsider."""

    listing: Listing
    network: str

    def inner(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries with the address and the port that they have there."""
        if not self.network:
            return list(entries)
        return [_inner(each, self.network) for each in entries if self.network in each.networks]


class _Meaning(NamedTuple):
    """What a name stands for: its records by type, which listing they hang on, whether nobody is there."""

    make: Callable[[int], RecordGroups]
    key: str
    absent: bool = False


class NetworkZone:
    """What there is for one scope; see `bayplan.dns.zone.Zone`, in whose place it stands."""

    def __init__(self, source: Source, names: NetworkNames, scope: Scope, apex: str = APEX) -> None:
        self._source, self._names, self._scope = source, names, scope
        self._labels = apex.lower().rstrip(".").split(".")
        self._apex = wire.name(*self._labels)
        self.directory = source.directory
        self.index = -1
        self.update()

    def update(self) -> list[str] | None:
        """Take notice of what has changed: the keys of it, None for all."""
        self._names.update()
        renamed = self._names.renamed_at > self.index
        keys = None if renamed else self.directory.changed_since(self.index)
        self.index = self.directory.index
        return keys

    def origin(self) -> Origin:
        """How good the directory is now."""
        return self._source.origin()

    def answer(self, name: bytes, kind: int) -> Answer | None:
        """What there is at a name (lower case, in the wire's form); None for one that is not ours."""
        labels = [each.decode("latin-1") for each in wire.labels(name)]
        inner, below = self._inside(labels)
        meaning, ours = self._found(labels, inner, below)
        if meaning is None and not ours:
            return None
        owner = wire.pointer(wire.HEADER_BYTES + len(name) - len(self._apex)) if below else QUESTION_POINTER
        denial = records.authority(owner, self._apex, self.directory.index)
        if meaning is None:
            return Answer(Rcode.NXDOMAIN, (), denial, absent=True)
        if kind == Type.ANY:
            return Answer(Rcode.OK, records.ANY, key=meaning.key)
        found = meaning.make(kind)
        if any(found):
            return Answer(Rcode.OK, found, key=meaning.key)
        return Answer(Rcode.OK, (), denial, meaning.key, meaning.absent)

    # --- what a name stands for ---

    def _found(self, labels: list[str], inner: list[str], below: bool) -> tuple[_Meaning | None, bool]:
        """What a name stands for, and whether it is for us to say where it stands for nothing."""
        if any("." in label for label in labels):
            return None, below or len(labels) == 1  # a dot within a label: it would look like another name
        address = records.reverse(labels)
        if address is not None:
            return self._reverse(address), self._is_inside(address)
        meaning = self._meaning(inner, below)
        ours = below or len(labels) == 1 or meaning is not None or self._is_elsewhere(inner)
        return meaning, ours

    def _inside(self, labels: list[str]) -> tuple[list[str], bool]:
        """The labels of a name before the apex, and whether it is at or below it."""
        depth = len(self._labels)
        below = labels[-depth:] == self._labels
        return (labels[:-depth] if below else labels), below

    def _meaning(self, inner: list[str], below: bool) -> _Meaning | None:
        """None for a name that does not exist."""
        match inner:
            case []:
                return _Meaning(_nothing, "") if below else None
            case [label, "addr"] if below:
                address = records.labelled(label)
                return _addresses([Entry(id="", address=address)], "") if address is not None else None
        services = self._services(".".join(inner), below)
        if services:
            return self._service(services)
        return self._part(inner, below) or self._port(inner, below) or self._task(inner)

    def _services(self, name: str, below: bool) -> list[_Found]:
        """Who goes by a name: a service by its full one, else those that the asker's first network has, if
        there are any of his own stack only those."""
        listing = self._names.service(name)
        if listing is not None:
            network = self._shared(listing)
            if network or (below and listing.stack == EXTERNAL):
                return [_Found(listing, network)]
        for mine in (True, False):
            for network in self._scope.networks:
                called = self._names.called(network, name)
                found = [each for each in called if not mine or each.stack == self._scope.stack]
                if found:
                    return [_Found(each, network) for each in found]
        return []

    def _shared(self, listing: Listing) -> str:
        """The asker's first network on which a service is; "" where there is none."""
        return next((each for each in self._scope.networks if each in listing.facade.names), "")

    def _service(self, services: list[_Found]) -> _Meaning:
        """Services by their own names: the virtual address of each, else its instances."""
        fronts, inside = [], []
        for found in services:
            given = found.inner(found.listing.given())
            vip = found.listing.facade.vips.get(found.network)
            fronts += [Entry(id="", address=vip)] if vip else given
            inside += given
        return self._entries(services, inside, fronts)

    def _part(self, inner: list[str], below: bool) -> _Meaning | None:
        """A word before a service's name: `tasks.web`, `2.web.shop`."""
        services = self._services(".".join(inner[1:]), below)
        parts = [(found, part(inner[0], found.listing)) for found in services]
        entries = [each for found, some in parts if some is not None for each in found.inner(some)]
        if all(some is None for _, some in parts):
            return None
        return self._entries(services, entries, local=inner[0] == "local")

    def _port(self, inner: list[str], below: bool) -> _Meaning | None:
        """`_http._tcp.web` a port of a service by its name, `_web._tcp.shop` its first."""
        if len(inner) < 3 or inner[0][:1] != "_" or inner[1] not in _PROTOCOLS:
            return None
        protocol, rest = _PROTOCOLS[inner[1]], ".".join(inner[2:])
        for name, port_name in ((rest, inner[0][1:]), (f"{inner[0][1:]}.{rest}", "")):
            port = records.port_of(protocol, port_name)
            services = self._services(name, below)
            entries = [each for found in services for each in found.inner(found.listing.given())]
            if any(port(each) for each in entries):
                return self._entries(services, entries, port=port, kinds=(Type.SRV,))
        return None

    def _task(self, inner: list[str]) -> _Meaning | None:
        """A task by the name of its container."""
        name = inner[0]
        if len(inner) != 1 or not name.startswith(CONTAINER_PREFIX):
            return None
        task_id = name.removeprefix(CONTAINER_PREFIX)
        listing = self._names.of_task(task_id)
        network = self._shared(listing) if listing is not None else ""
        if listing is None or not network:
            return None
        found = _Found(listing, network)
        entries = found.inner([each for each in listing.entries if each.id.lower() == task_id])
        return self._entries([found], entries)

    def _entries(
        self,
        services: list[_Found],
        entries: list[Entry],
        fronts: list[Entry] | None = None,
        *,
        port: records.PortOf = records.main_port,
        local: bool = False,
        kinds: tuple[int, ...] = (Type.A, Type.AAAA, Type.SRV, Type.TXT),
    ) -> _Meaning:
        """Entries, as they are inside; addresses are those of `fronts` where these are given."""
        near = local or any(found.listing.facade.local_first for found in services)
        node = self._source.origin().node if near else ""
        groups = records.groups(entries, node)
        shown = groups if fronts is None else records.groups(fronts, node)

        def make(kind: int) -> RecordGroups:
            if kind not in kinds:
                return ()
            if kind == Type.SRV:
                return records.services(groups, port, tuple(self._labels))
            return records.texts(groups) if kind == Type.TXT else records.addresses(kind, shown)

        key = services[0].listing.key if len(services) == 1 else ""
        return _Meaning(make, key, absent=not any(shown))

    # --- what is not a name of ours ---

    def _is_elsewhere(self, inner: list[str]) -> bool:
        """Whether it is a service that the asker shares no network with, or asks for a part or a port of one
        that does not have it: nobody else's business."""
        whole, names = ".".join(inner), []
        match inner:
            case [word, protocol, *rest] if word[:1] == "_" and protocol in _PROTOCOLS:
                names = [".".join(rest), ".".join([word[1:], *rest])]
            case [word, *rest] if is_part(word):
                names = [".".join(rest)]
        # By themselves names with dots that are no service's are aliases: elsewhere they may be domains.
        if any(self._names.is_called(each) for each in names):
            return True
        return any(self._names.service(each) is not None for each in (whole, *names))

    def _is_inside(self, address: str) -> bool:
        return any(ip_address(address) in subnet for subnet in self._scope.subnets)

    def _reverse(self, address: str) -> _Meaning | None:
        """The names of an address on the asker's networks."""
        names: list[tuple[str, ...]] = []
        for network in self._scope.networks:
            for listing in self._names.having(network, address):
                base = (*listing.service.split("."), listing.stack, *self._labels)
                if listing.facade.vips.get(network) == address:
                    names.append(base)
                slots = [each.slot for each in listing.entries if each.networks.get(network) == address]
                names += [(str(slot), *base) if slot else base for slot in slots]
        found = records.pointers(names[:REVERSE_MAX])
        return _Meaning(lambda kind: (found,) if kind == Type.PTR else (), "") if names else None


def _inner(entry: Entry, network: str) -> Entry:
    """An instance with its address on a network and the ports that it has there."""
    ports = tuple([replace(port, published=0) for port in entry.ports])
    return replace(entry, address=entry.networks[network], port=entry.target, ports=ports)


def _addresses(entries: list[Entry], key: str) -> _Meaning:
    groups = records.groups(entries)
    return _Meaning(lambda kind: records.addresses(kind, groups) if kind in (Type.A, Type.AAAA) else (), key)


def _nothing(kind: int) -> RecordGroups:
    return ()
