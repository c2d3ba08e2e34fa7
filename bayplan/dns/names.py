"""Which names a directory makes: services by their names in lower case (DNS knows no case), stacks, nodes and
addresses. Kept up with the directory by what has changed in it, so that a question is a few lookups.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections import Counter
from typing import NamedTuple

from bayplan.directory import Directory, Entry, Listing, key_of

#: The key of the listing that has the nodes.
_NODES = key_of("", "")


class _Seen(NamedTuple):
    """What a listing had when it was looked at last."""

    name: str
    addresses: frozenset[str]


class Names:
    """The names of a directory, as they were when `update` was called last."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._seen: dict[str, _Seen] = {}
        #: The directory's key by the name in lower case. Of two that differ by case only the later is found.
        self._keys: dict[str, str] = {}
        #: How many services there are at or below each name that has some below it.
        self._above: Counter[str] = Counter()
        self._by_address: dict[str, set[str]] = {}
        self._nodes: dict[str, Entry] = {}
        self._node_names: dict[str, str] = {}
        self.update(None)

    def update(self, keys: list[str] | None) -> None:
        """Look at the listings with these keys again; None: at all."""
        for key in [*self._seen, *_keys_of(self._directory)] if keys is None else keys:
            self._forget(key)
            listing = self._directory.get(*_parts(key))
            if listing is not None and listing.stack:
                self._learn(listing)
        if keys is None or _NODES in keys:
            nodes = self._directory.nodes
            self._nodes = {each.node.lower(): each for each in nodes}
            self._node_names = {_plain(each.address): each.node for each in nodes if each.address}

    def _learn(self, listing: Listing) -> None:
        key = listing.key
        addresses = frozenset(address for entry in listing.entries for address in addresses_of(entry))
        self._seen[key] = _Seen(key.lower(), addresses)
        self._keys[key.lower()] = key
        self._above.update(_above(key.lower()))
        for address in addresses:
            self._by_address.setdefault(address, set()).add(key)

    def _forget(self, key: str) -> None:
        seen = self._seen.pop(key, None)
        if seen is None:
            return
        if self._keys.get(seen.name) == key:
            del self._keys[seen.name]
        for name in _above(seen.name):
            self._above[name] -= 1
            if not self._above[name]:
                del self._above[name]
        for address in seen.addresses:
            keys = self._by_address[address]
            keys.discard(key)
            if not keys:
                del self._by_address[address]

    # --- for those who ask; names are in lower case ---

    def listing(self, name: str) -> Listing | None:
        """The service of this name, as `web.shop`."""
        key = self._keys.get(name)
        return self._directory.get(*_parts(key)) if key is not None else None

    def has_below(self, name: str) -> bool:
        """Whether there are services below this name: a stack, or a part of a service's name with dots."""
        return name in self._above

    def node(self, name: str) -> Entry | None:
        """The node of this name."""
        return self._nodes.get(name)

    def node_at(self, address: str) -> str | None:
        """The name of the node with this address."""
        return self._node_names.get(address)

    def listings_at(self, address: str) -> list[Listing]:
        """The services that have this address somewhere, by name."""
        keys = sorted(self._by_address.get(address, ()))
        found = [self._directory.get(*_parts(key)) for key in keys]
        return [each for each in found if each is not None]


def _keys_of(directory: Directory) -> list[str]:
    return [listing.key for listing in directory]


def _parts(key: str) -> tuple[str, str]:
    """Stack and service of a key."""
    service, _, stack = key.rpartition(".")
    return stack, service


def _above(name: str) -> list[str]:
    """The names above one: of `a.b.shop` these are `b.shop` and `shop`."""
    parts = name.split(".")
    return [".".join(parts[at:]) for at in range(1, len(parts))]


def addresses_of(entry: Entry) -> list[str]:
    """All addresses of an entry, each in its plain form."""
    return [_plain(address) for address in (entry.address, *entry.networks.values()) if address]


def _plain(address: str) -> str:
    """The address as `str(ip_address)` has it: IPv6 can be written in many ways."""
    if ":" in address:
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(address))
    return address
