"""Which names and addresses a directory has on each network that spans nodes. One for all who ask on a node,
kept up with the directory by what has changed in it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bayplan.directory import Directory, Listing

#: A network, and a name (lower case) or an address on it.
_At = tuple[str, str]

#: In place of a network: each of them.
_ANYWHERE = ""


class _Seen(NamedTuple):
    """What a listing had when it was looked at last."""

    name: str
    names: frozenset[_At]
    addresses: frozenset[_At]
    ids: frozenset[str]


class _Index:
    """Keys of listings by what they have."""

    def __init__(self) -> None:
        self._keys: dict[_At, set[str]] = {}

    def add(self, key: str, places: Iterable[_At]) -> None:
        for place in places:
            self._keys.setdefault(place, set()).add(key)

    def remove(self, key: str, places: Iterable[_At]) -> None:
        for place in places:
            keys = self._keys[place]
            keys.discard(key)
            if not keys:
                del self._keys[place]

    def get(self, place: _At) -> list[str]:
        return sorted(self._keys.get(place, ()))


class NetworkNames:
    """The names of a directory on its networks, as they were when `update` was called last."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._seen: dict[str, _Seen] = {}
        #: The directory's key by the name in lower case. Of two that differ by case only the later is found.
        self._keys: dict[str, str] = {}
        self._names, self._addresses = _Index(), _Index()
        self._tasks: dict[str, str] = {}
        self.index = -1
        #: The directory's index when names, and not only who answers to them, were found changed last.
        self.renamed_at = 0
        self.update()

    def update(self) -> None:
        """Look at what has changed in the directory."""
        if self.index == self._directory.index:
            return
        keys = self._directory.changed_since(self.index)
        if keys is None:
            keys = [*self._seen, *[listing.key for listing in self._directory]]
            self.renamed_at = self._directory.index
        self.index = self._directory.index
        for key in dict.fromkeys(keys):
            self._look(key)

    def _look(self, key: str) -> None:
        listing = self._at(key)
        old = self._seen.pop(key, None)
        new = _seen(listing) if listing is not None and listing.stack else None
        if (old and old.names) != (new and new.names) or (old is None) != (new is None):
            self.renamed_at = self.index
        if old is not None:
            self._forget(key, old)
        if new is not None:
            self._seen[key] = new
            self._keys[new.name] = key
            self._names.add(key, new.names)
            self._addresses.add(key, new.addresses)
            self._tasks.update(dict.fromkeys(new.ids, key))

    def _forget(self, key: str, seen: _Seen) -> None:
        if self._keys.get(seen.name) == key:
            del self._keys[seen.name]
        self._names.remove(key, seen.names)
        self._addresses.remove(key, seen.addresses)
        for task_id in seen.ids:
            if self._tasks.get(task_id) == key:
                del self._tasks[task_id]

    def _at(self, key: str) -> Listing | None:
        service, _, stack = key.rpartition(".")
        return self._directory.get(stack, service)

    def _listings(self, keys: Iterable[str]) -> list[Listing]:
        return [found for key in keys if (found := self._at(key)) is not None]

    # --- for those who ask; names are in lower case ---

    def service(self, name: str) -> Listing | None:
        """The service of this name, as `web.shop`, on whichever networks."""
        key = self._keys.get(name)
        return self._at(key) if key is not None else None

    def called(self, network: str, name: str) -> list[Listing]:
        """The services that go by this name on a network, by their keys."""
        return self._listings(self._names.get((network, name)))

    def is_called(self, name: str) -> bool:
        """Whether any service goes by this name on any network."""
        return bool(self._names.get((_ANYWHERE, name)))

    def having(self, network: str, address: str) -> list[Listing]:
        """The services that have this address on a network, as theirs or as an instance's."""
        return self._listings(self._addresses.get((network, address)))

    def of_task(self, task_id: str) -> Listing | None:
        """The service of a task that is on any network."""
        key = self._tasks.get(task_id)
        return self._at(key) if key is not None else None


def _seen(listing: Listing) -> _Seen:
    facade = listing.facade
    names = {(network, name.lower()) for network, all_ in facade.names.items() for name in all_}
    inside = [each for each in listing.entries if each.networks]
    addresses = {place for each in inside for place in each.networks.items()}
    return _Seen(
        listing.key.lower(),
        frozenset(names.union((_ANYWHERE, name) for _, name in names)),
        frozenset(addresses.union(facade.vips.items())),
        frozenset(each.id.lower() for each in inside),
    )
