"""A directory that tests fill by hand, behind the interface that surfaces know."""

from __future__ import annotations

import asyncio

from bayplan.directory import Directory, Entry, Facade, Listing, Origin

_PLAIN = Facade()


class MemorySource:
    """A `Source`. Each `put` and `drop` is a change of its own."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.state = Origin()
        self._changed = asyncio.Event()

    def origin(self) -> Origin:
        return self.state

    def put(
        self, stack: str, service: str, *entries: Entry, canary: int = 0, facade: Facade = _PLAIN
    ) -> Listing:
        """A service has these entries from now on."""
        index = self.directory.index + 1
        listing = Listing.of(stack, service, index, entries, canary=canary, facade=facade)
        self.directory.put(listing, index)
        self._wake()
        return listing

    def drop(self, stack: str, service: str) -> None:
        """A service is no more."""
        self.directory.drop(stack, service, self.directory.index + 1)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, index: int, key: str = "") -> None:
        while self._index(key) <= index <= self.directory.index:
            await self._changed.wait()

    def _index(self, key: str) -> int:
        service, _, stack = key.rpartition(".")
        return self.directory.changed_at(stack, service) if key else self.directory.index
